"""Decides what a request to start, stop, restart or migrate a virtual machine writes. Pure.

Also when a machine's consoles may be connected to, and when it may be paused or frozen.
Rules, codes and words are those of KubeVirt's virt-api (pkg/virt-api/rest in its sources).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from weft_lab.apiserver import status
from weft_lab.apiserver.resources import Object

GROUP = "kubevirt.io"
MACHINES, INSTANCES = "virtualmachines", "virtualmachineinstances"
MIGRATIONS = "virtualmachineinstancemigrations"
VERBS = ("migrate", "restart", "start", "stop")
CONSOLES = ("console", "vnc")
SCREENSHOT = "vnc/screenshot"
# The node's handler does them.
ORDERS = ("freeze", "pause", "reset", "softreboot", "unfreeze", "unpause")
EVACUATION = "evacuate/cancel"
# What virt-api has, too. Of machines and of instances.
UNSERVED = {
    MACHINES: (
        *("addvolume", "expand-spec", "memorydump", "objectgraph", "portforward"),
        *("removememorydump", "removevolume"),
    ),
    INSTANCES: (
        *("addvolume", "backup", "filesystemlist", "guestosinfo", "objectgraph", "portforward"),
        *("removevolume", "sev/fetchcertchain", "sev/injectlaunchsecret"),
        *("sev/querylaunchmeasurement", "sev/setupsession", "usbredir", "userlist", "vsock"),
    ),
}
_LONGEST_DURATION = 64  # characters
_FINAL = ("Succeeded", "Failed")
_NOT_RUNNING = "VM is not running"


@dataclass(frozen=True, slots=True)
class Options:
    """Of all verbs; a verb ignores those of others. `grace`: seconds, None if not given."""

    dry_run: bool = False
    paused: bool = False
    grace: int | None = None
    selector: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Write:
    """A merge patch of the machine's object of this type, or a new object of it."""

    plural: str
    body: Object
    subresource: str = ""
    creates: bool = False


def options(verb: str, body: Any) -> Options:
    """The options in a request's body. Raises BadRequest for values of another type."""
    if body is None:
        return Options()
    if not isinstance(body, dict):
        raise _unreadable("body", "an object")
    dry_run, paused = body.get("dryRun") or [], body.get("paused") or False
    if not isinstance(dry_run, list) or any(each != "All" for each in dry_run):
        raise _unreadable("dryRun", 'a list of "All"')
    if not isinstance(paused, bool):
        raise _unreadable("paused", "true or false")
    name = {"stop": "gracePeriod", "restart": "gracePeriodSeconds"}.get(verb, "")
    grace = body.get(name) if name else None
    if grace is not None and (not isinstance(grace, int) or isinstance(grace, bool)):
        raise _unreadable(name, "a number of seconds")
    if verb == "restart" and grace:
        why = "For force restart, only gracePeriod=0 is supported for now"
        raise status.bad_request(
            why if grace > 0 else "gracePeriod has to be greater or equal to 0"
        )
    if verb == "stop" and grace is not None and grace < 0:
        raise _unreadable(name, "no negative number")
    selector = body.get("addedNodeSelector") or {}
    if not isinstance(selector, dict) or not all(isinstance(v, str) for v in selector.values()):
        raise _unreadable("addedNodeSelector", "a map of strings")
    return Options(bool(dry_run), paused, grace, selector)


def _unreadable(field_: str, expected: str) -> status.ApiError:
    return status.bad_request(
        f"Can not unmarshal Request body to struct, error: {field_} must be {expected}"
    )


def changes(verb: str, vm: Object, vmi: Object | None, asked: Options) -> list[Write]:
    """What to write to start, stop or restart `vm`. Raises Conflict where it has no effect now."""
    return {"start": _start, "stop": _stop, "restart": _restart}[verb](vm, vmi, asked)


def _start(vm: Object, vmi: Object | None, asked: Options) -> list[Write]:
    strategy = _strategy(vm)
    if vmi is not None and _phase(vmi) not in (*_FINAL, "Unknown", ""):
        raise _conflict(vm, "VM is already running")
    start: Object = {"action": "Start", **({"data": {"paused": "true"}} if asked.paused else {})}
    if strategy == "Halted":
        return [_requests(vm, start) if asked.paused else _set_running(vm, True)]
    if strategy in ("Always", "Once"):
        raise _conflict(vm, f"{strategy} does not support manual start requests")
    if vmi is None:
        return [_requests(vm, start)]
    if strategy == "RerunOnFailure" and _phase(vmi) == "Failed":
        raise _conflict(vm, "RerunOnFailure does not support starting VM from failed state")
    if _phase(vmi) in _FINAL:
        return [_requests(vm, _stop_of(vmi), start)]
    return [_requests(vm, start)]


def _stop(vm: Object, vmi: Object | None, asked: Options) -> list[Write]:
    strategy, writes = _strategy(vm), []
    runs = vmi is not None and _phase(vmi) not in _FINAL
    had = ((vmi or {}).get("spec") or {}).get("terminationGracePeriodSeconds")
    if strategy not in ("Always", "Once") and not runs:
        raise _conflict(vm, _NOT_RUNNING)
    if strategy == "Halted" and (asked.grace is None or (had is not None and asked.grace >= had)):
        why = "Halted only supports manual stop requests with a shorter graceperiod"
        raise _conflict(vm, why)
    if runs and asked.grace is not None:
        writes.append(_with_grace(vmi, asked.grace))
    if strategy in ("Always", "Once"):
        return [*writes, _set_running(vm, False)]
    assert vmi is not None
    return [*writes, _requests(vm, _stop_of(vmi))]


def _restart(vm: Object, vmi: Object | None, asked: Options) -> list[Write]:
    strategy = _strategy(vm)
    if strategy in ("Halted", "Once"):
        why = f"RunStategy {strategy} does not support manual restart requests"  # its spelling
        raise _conflict(vm, why)
    if vmi is None:
        raise _conflict(vm, f"{_NOT_RUNNING}: Halted")
    writes = []
    if asked.grace == 0 and _phase(vmi) not in _FINAL:
        # KubeVirt deletes the pod with the shortest safe period; the instance's is used here.
        writes.append(_with_grace(vmi, 1))
    return [*writes, _requests(vm, _stop_of(vmi), {"action": "Start"})]


def migration(vm: Object, vmi: Object, asked: Options) -> Write:
    """The migration of a running machine, which is judged when it is made (migrations.py).

    Raises Conflict for a machine that does not run.
    """
    if _phase(vmi) != "Running":
        raise _conflict(vm, _NOT_RUNNING)
    spec: Object = {"vmiName": vm["metadata"]["name"]}
    if asked.selector:
        spec["addedNodeSelector"] = dict(asked.selector)
    made = {
        "apiVersion": f"{GROUP}/v1",
        "kind": "VirtualMachineInstanceMigration",
        "metadata": {"generateName": "kubevirt-migrate-vm-"},
        "spec": spec,
    }
    return Write(MIGRATIONS, made, creates=True)


def evacuation_cancelled(vmi: Object, body: Any) -> list[Write]:
    """What ends the evacuation of an instance: a migration that was made for it goes on.

    Nothing where there is none. Raises an error for one of another node than the body says.
    """
    node = (vmi.get("status") or {}).get("evacuationNodeName")
    given = (body or {}).get("evacuationNodeName") or node
    if not isinstance(given, str | None):
        raise _unreadable("evacuationNodeName", "the name of a node")
    if not node:
        return []
    if given != node:
        why = f"testing value /status/evacuationNodeName failed: it is {node}, not {given}"
        raise status.internal(why)
    body = {"metadata": _seen(vmi), "status": {"evacuationNodeName": None}}
    return [Write(INSTANCES, body, "status")]


def check_console(verb: str, vmi: Object) -> None:
    """Raises what virt-api answers where a machine has no such console now."""
    devices = ((vmi.get("spec") or {}).get("domain") or {}).get("devices") or {}
    if verb in ("vnc", SCREENSHOT) and devices.get("autoattachGraphicsDevice") is False:
        raise status.bad_request("No graphics devices are present.")
    if verb == "console" and devices.get("autoattachSerialConsole") is False:
        raise status.bad_request("No serial consoles are present.")
    if verb == "console" and _phase(vmi) == "Failed":
        name = vmi["metadata"]["name"]
        raise status.conflict(GROUP, "virtualmachineinstance", name, "VMI is in failed status")
    if _phase(vmi) != "Running":
        raise status.bad_request("VMI is not running")


def check_order(verb: str, vmi: Object) -> None:
    """Raises what virt-api answers where it cannot be done to the machine now."""
    name, probe = vmi["metadata"]["name"], (vmi.get("spec") or {}).get("livenessProbe")
    is_paused = any(
        each.get("type") == "Paused" for each in (vmi.get("status") or {}).get("conditions") or ()
    )
    why = ""
    if _phase(vmi) != "Running" and verb == "reset":
        what = f"Failed to reset non-running VMI with phase {_phase(vmi)}: {_NOT_RUNNING}"
        raise status.internal(what)
    if _phase(vmi) != "Running":
        words_of_vm = verb in ("pause", "freeze", "softreboot")
        why = _NOT_RUNNING if words_of_vm else "VMI is not running"
    elif verb == "pause" and probe and probe.get("guestAgentPing") is None:
        what = "Pausing VMIs with a non-GuestAgentPing LivenessProbe is not supported"
        raise status.forbidden(GROUP, "virtualmachineinstance", name, what)
    elif verb == "pause" and is_paused:
        why = "VMI is already paused"
    elif verb == "softreboot" and is_paused:
        why = "VMI is paused"
    elif verb == "unpause" and not is_paused:
        why = "VMI is not paused"
    if why:
        raise status.conflict(GROUP, "virtualmachineinstance", name, why)


def passed_on(verb: str, body: Any) -> Object:
    """What the node's handler gets of a request's body. Raises BadRequest."""
    if verb != "freeze" or not isinstance(body, dict):
        return {}
    given = body.get("unfreezeTimeout")
    if given is not None and not (isinstance(given, str) and len(given) <= _LONGEST_DURATION):
        raise _unreadable("unfreezeTimeout", "a duration, such as 10s")
    return {"unfreezeTimeout": given}


def not_found(plural: str, name: str) -> status.ApiError:
    """virt-api names the kind in the singular."""
    return status.not_found(GROUP, plural.removesuffix("s"), name)


def _phase(obj: Object) -> str:
    return str((obj.get("status") or {}).get("phase") or "")


def _strategy(vm: Object) -> str:
    spec = vm.get("spec") or {}
    return str(spec.get("runStrategy") or ("Always" if spec.get("running") else "Halted"))


def _set_running(vm: Object, runs: bool) -> Write:
    """In the field that the manifest uses: both at once are refused."""
    if (vm.get("spec") or {}).get("runStrategy"):
        spec: Object = {"runStrategy": "Always" if runs else "Halted"}
    else:
        spec = {"running": runs}
    return Write(MACHINES, {"metadata": _seen(vm), "spec": spec})


def _with_grace(vmi: Object | None, seconds: int) -> Write:
    assert vmi is not None
    spec = {"terminationGracePeriodSeconds": seconds}
    return Write(INSTANCES, {"metadata": _seen(vmi), "spec": spec})


def _seen(obj: Object) -> Object:
    """What makes a patch fail where the object has changed since it was read."""
    return {"resourceVersion": obj["metadata"]["resourceVersion"]}


def _stop_of(vmi: Object) -> Object:
    return {"action": "Stop", "uid": vmi["metadata"]["uid"]}


def _requests(vm: Object, *requests: Object) -> Write:
    """Requests that the controller serves. A stop replaces those that wait, others wait."""
    found = vm.get("status") or {}
    is_stop = len(requests) == 1 and requests[0]["action"] == "Stop"
    if found.get("stateChangeRequests") and not is_stop:
        raise status.internal("unable to complete request: stop/start already underway")
    body: Object = {"stateChangeRequests": list(requests), "startFailure": None}
    return Write(MACHINES, {"metadata": _seen(vm), "status": body}, "status")


def _conflict(vm: Object, why: str) -> status.ApiError:
    return status.conflict(GROUP, "virtualmachine", vm["metadata"]["name"], why)
