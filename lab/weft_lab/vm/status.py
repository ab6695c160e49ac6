"""Makes the status of a VirtualMachine and its instance. Pure: facts in, dicts out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_interface
from typing import Any

from weft.api.conditions import MACHINE_CONFLICT
from weft.errors import InvalidInput
from weft_lab.vm import hotplug, launcherpod, lifecycle, machine
from weft_lab.vm.agentclient import GuestInterface

Object = Mapping[str, Any]
Json = dict[str, Any]
_BY_USER = ("PausedByUser", "VMI was paused by user")
# Reason and message of the condition Paused, by QEMU's state.
PAUSES = {
    "paused": _BY_USER,
    "prelaunch": _BY_USER,
    "io-error": ("PausedIOError", "VMI was paused, low-level IO error detected"),
}
_NOT_READY = (  # as a kubelet says it of the pod
    "ReadinessGatesNotReady",
    'the status of pod readiness gate "kubevirt.io/virtual-machine-unpaused" is not "True", but'
    " False",
)


def with_condition(
    conditions: Sequence[Object],
    kind: str,
    value: str,
    now: str,
    reason: str = "",
    message: str = "",
) -> list[Json]:
    """`conditions` with one set; its time moves only when its value does."""
    entry: Json = {"type": kind, "status": value, "lastTransitionTime": now, "lastProbeTime": None}
    if reason:
        entry["reason"] = reason
    if message:
        entry["message"] = message
    found = []
    for condition in conditions:
        if condition.get("type") != kind:
            found.append(dict(condition))
        elif condition.get("status") == value:
            entry["lastTransitionTime"] = condition.get("lastTransitionTime") or now
    return [*found, entry]


def without_condition(conditions: Sequence[Object], kind: str) -> list[Json]:
    return [dict(condition) for condition in conditions if condition.get("type") != kind]


def with_pause(
    conditions: Sequence[Object], paused: tuple[str, str] | None, now: str
) -> list[Json]:
    """Those of a machine that runs, or is `paused` for a reason."""
    if paused is None:
        found = with_condition(conditions, "Ready", "True", now)
        return without_condition(found, "Paused")
    found = with_condition(conditions, "Ready", "False", now, *_NOT_READY)
    return with_condition(found, "Paused", "True", now, *paused)


def is_paused(vmi: Object | None) -> bool:
    return (condition(vmi, "Paused") or {}).get("status") == "True"


def condition(obj: Object | None, kind: str) -> Object | None:
    """The condition of that type of an object, if it has one."""
    conditions = ((obj or {}).get("status") or {}).get("conditions") or ()
    return next((entry for entry in conditions if entry.get("type") == kind), None)


def with_phase(status: Object, phase: str, now: str) -> Json:
    """The status in a phase; the time of the change is noted beside it."""
    if status.get("phase") == phase:
        return dict(status)
    times = list(status.get("phaseTransitionTimestamps") or ())
    times.append({"phase": phase, "phaseTransitionTimestamp": now})
    return {**status, "phase": phase, "phaseTransitionTimestamps": times}


# VirtualMachine


def of_machine(
    vm: Object,
    vmi: Object | None,
    problems: Sequence[InvalidInput],
    decision: lifecycle.Decision,
    now: str,
) -> Json:
    """status of a VM; fields that must go are None, as a merge patch wants it."""
    before = vm.get("status") or {}
    conditions = list(before.get("conditions") or ())
    ready = condition(vmi, "Ready")
    if ready is not None and ready.get("status") == "True":
        conditions = with_condition(conditions, "Ready", "True", now)
    else:
        reason = (
            "VMINotExists" if vmi is None else str((ready or {}).get("reason") or "GuestNotRunning")
        )
        message = "the virtual machine does not run" if vmi is None else ""
        message = str((ready or {}).get("message") or message)
        conditions = with_condition(conditions, "Ready", "False", now, reason, message)
    if problems:
        text = "; ".join(f"{one}" for one in problems)
        conditions = with_condition(conditions, "Failure", "True", now, "InvalidSpec", text)
    else:
        conditions = without_condition(conditions, "Failure")
    if fields := _differing(vm, vmi):
        text = f"changed, and the running guest is as it was before: {', '.join(fields)}"
        conditions = with_condition(conditions, "RestartRequired", "True", now, message=text)
    else:
        conditions = without_condition(conditions, "RestartRequired")
    for kind in ("AgentConnected", "LiveMigratable", "Paused"):
        there = condition(vmi, kind)
        conditions = without_condition(conditions, kind) + ([dict(there)] if there else [])
    if vmi is not None:  # as KubeVirt copies all that it does not know; without one they stay
        there = condition(vmi, MACHINE_CONFLICT)
        conditions = without_condition(conditions, MACHINE_CONFLICT)
        conditions += [dict(there)] if there else []
    return {
        "created": vmi is not None or None,
        "ready": (ready is not None and ready.get("status") == "True") or None,
        "runStrategy": lifecycle.strategy(vm),
        "printableStatus": printable(vm, vmi, problems, decision),
        "conditions": conditions,
        "stateChangeRequests": list(decision.requests) or None,
        "startFailure": decision.failure,
        "observedGeneration": vm["metadata"].get("generation"),
        "desiredGeneration": vm["metadata"].get("generation"),
    }


def _differing(vm: Object, vmi: Object | None) -> list[str]:
    """The fields of the template that differ from the machine that runs until its restart."""
    template = (vm.get("spec") or {}).get("template") or {}
    if vmi is None or lifecycle.is_final(vmi):
        return []
    return hotplug.needs_restart(template.get("spec") or {}, vmi)


def printable(
    vm: Object,
    vmi: Object | None,
    problems: Sequence[InvalidInput],
    decision: lifecycle.Decision,
) -> str:
    """status.printableStatus: the word that `kubectl get vm` shows."""
    if lifecycle.is_deleted(vm):
        return "Terminating"
    if vmi is None:
        if problems:
            return "Invalid"
        if decision.step is lifecycle.Step.CREATE:
            return "Starting"
        return "CrashLoopBackOff" if decision.after > 0 else "Stopped"
    if lifecycle.is_final(vmi):
        restarts = decision.step is lifecycle.Step.DELETE or lifecycle.is_deleted(vmi)
        return "Stopping" if restarts else "Stopped"
    if lifecycle.is_deleted(vmi) or decision.step is lifecycle.Step.DELETE:
        return "Stopping"
    if _is_migrating(vmi):
        return "Migrating"
    if lifecycle.phase(vmi) == "Running":
        return "Paused" if is_paused(vmi) else "Running"
    scheduled = condition(vmi, "PodScheduled")
    unschedulable = scheduled is not None and scheduled.get("status") == "False"
    return "ErrorUnschedulable" if unschedulable else "Starting"


def _is_migrating(vmi: Object) -> bool:
    """Whether its memory is being sent, as KubeVirt says it."""
    state = (vmi.get("status") or {}).get("migrationState") or {}
    return bool(state.get("startTimestamp")) and not state.get("endTimestamp")


# VirtualMachineInstance, until its node's handler takes over


def pod_of(vmi: Object, pods: Sequence[Json]) -> Json | None:
    """The pod in which an instance runs; of several, by the node that its status names.

    A migration's target pod is the instance's when the status names its node.
    """
    node = (vmi.get("status") or {}).get("nodeName")
    expected = launcherpod.current(vmi)
    there = [pod for pod in pods if not node or (pod.get("spec") or {}).get("nodeName") == node]
    named = [pod for pod in there if pod["metadata"]["name"] == expected]
    own = [pod for pod in there if launcherpod.MIGRATION_UID not in _labels(pod)]
    return next(iter((*named, *own)), None)


def _labels(pod: Object) -> Mapping[str, str]:
    return pod["metadata"].get("labels") or {}


def of_instance(
    vmi: Object,
    pod: Object | None,
    problems: Sequence[InvalidInput],
    now: str,
    pods: Sequence[Object] = (),
) -> Json:
    """status of an instance as its pod shows it; equal to the present one if nothing is new.

    `pods` are all of the instance.
    """
    before = vmi.get("status") or {}
    after = with_phase(before, _phase(before.get("phase") or "", pod), now)
    conditions = list(after.get("conditions") or ())
    if problems:
        text = "; ".join(f"{one}" for one in problems)
        conditions = with_condition(conditions, "Synchronized", "False", now, "InvalidSpec", text)
    if pod is not None:
        node = (pod.get("spec") or {}).get("nodeName")
        if node:
            after["nodeName"] = node
            after["activePods"] = _active(before, pods or (pod,))
        conditions = _scheduled(conditions, pod, now)
    if after["phase"] != "Running":
        reason, message = "GuestNotRunning", _waits_for(after["phase"], pod)
        if after["phase"] in lifecycle.FINAL:
            reason = "PodTerminated"
        conditions = with_condition(conditions, "Ready", "False", now, reason, message)
        if after["phase"] in lifecycle.FINAL:
            conditions = without_condition(conditions, "AgentConnected")
    return {**after, "conditions": conditions}


def _active(before: Object, pods: Sequence[Object]) -> Json:
    """The node of each pod that has one and has not ended; None for one that has, for a patch."""
    found: Json = dict.fromkeys(before.get("activePods") or {})
    for pod in pods:
        node = (pod.get("spec") or {}).get("nodeName")
        if node and (pod.get("status") or {}).get("phase") not in lifecycle.FINAL:
            found[pod["metadata"]["uid"]] = node
    return found


def _phase(current: str, pod: Object | None) -> str:
    if current in lifecycle.FINAL:
        return current
    if pod is None:
        return "Pending" if current in ("", "Pending") else "Failed"
    found = (pod.get("status") or {}).get("phase") or "Pending"
    if found in lifecycle.FINAL:
        return str(found)
    if current == "Running":
        return current
    return "Scheduled" if found == "Running" else "Scheduling"


def _waits_for(phase: str, pod: Object | None) -> str:
    if phase == "Failed":
        return _ending(pod) if pod is not None else "its virt-launcher pod is gone"
    if phase == "Succeeded":
        return "the guest was shut down"
    return "the guest does not run yet"


def _ending(pod: Object) -> str:
    """Why a launcher failed, as far as its pod's status says."""
    for entry in (pod.get("status") or {}).get("containerStatuses") or ():
        ended = (entry.get("state") or {}).get("terminated") or {}
        if ended:
            text = f"virt-launcher ended with status {ended.get('exitCode')}"
            words = _reason(str(ended.get("message") or ""))
            return f"{text}: {words}" if words else text
    return str((pod.get("status") or {}).get("message") or "its virt-launcher pod failed")


def _reason(words: str) -> str:
    """The lines of a launcher's termination message that add information."""
    lines = (line.removeprefix("virt-launcher: ").strip() for line in words.splitlines())
    return "; ".join(
        line for line in lines if line and not line.startswith(("runs under", "ended with status"))
    )


def _scheduled(conditions: Sequence[Object], pod: Object, now: str) -> list[Json]:
    """The pod's PodScheduled, shown while it is False."""
    entry = condition(pod, "PodScheduled")
    if entry is None or entry.get("status") != "False":
        return without_condition(conditions, "PodScheduled")
    return with_condition(
        conditions, "PodScheduled", "False", now,
        str(entry.get("reason") or ""), str(entry.get("message") or ""),
    )  # fmt: skip


# VirtualMachineInstance while it runs


def interfaces(
    vm: machine.Machine,
    macs: Sequence[str],
    guest: Sequence[GuestInterface],
    pod_ips: Sequence[str] = (),
    waiting: Sequence[machine.Nic] = (),
) -> list[Json]:
    """status.interfaces: the domain's cards in order, NICs `waiting` in the pod, then what only the
    guest has.

    A card behind its pod is reached at the pod's addresses, so these are what it shows. A
    guest's bridge or VLAN may have its card's MAC: the card is the first that has it.
    """
    rest = list(guest)
    found = []
    for nic, mac in zip(vm.nics, macs, strict=False):
        entry: Json = {"name": nic.name, "mac": mac, "infoSource": "domain", "queueCount": 1}
        if nic.is_down:
            entry["linkState"] = "down"
        entry["podInterfaceName"] = nic.pod_interface
        if nic.network:
            entry["infoSource"] = "domain, multus-status"
        seen = next((one for one in rest if one.mac.lower() == mac.lower()), None)
        addresses = _addresses(seen) if seen else []
        if seen:
            rest.remove(seen)
            entry["interfaceName"] = seen.name
            entry["infoSource"] += ", guest-agent"
        if nic.binding != "bridge" and pod_ips:
            addresses = list(pod_ips)
        if addresses:
            entry["ipAddress"] = addresses[0]
            entry["ipAddresses"] = addresses
        found.append(entry)
    for nic in waiting:
        shown = {"infoSource": "multus-status", "podInterfaceName": nic.pod_interface}
        found.append({"name": nic.name, **shown})
    for other in rest:
        addresses = _addresses(other)
        entry = {"mac": other.mac, "interfaceName": other.name, "infoSource": "guest-agent"}
        if addresses:
            entry |= {"ipAddress": addresses[0], "ipAddresses": addresses}
        found.append(entry)
    return found


def _addresses(guest: GuestInterface) -> list[str]:
    """Without prefix lengths; IPv4 first, link-local last."""
    parsed = [ip_interface(address).ip for address in guest.addresses]
    return [str(ip) for ip in sorted(parsed, key=lambda ip: (ip.is_link_local, ip.version))]


def guest_system(answer: Object) -> Json:
    """status.guestOSInfo out of the agent's guest-get-osinfo."""
    fields = {
        "name": "name",
        "id": "id",
        "prettyName": "pretty-name",
        "version": "version",
        "versionId": "version-id",
        "kernelRelease": "kernel-release",
        "kernelVersion": "kernel-version",
        "machine": "machine",
    }
    return {field: answer[key] for field, key in fields.items() if answer.get(key)}
