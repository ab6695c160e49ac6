"""Makes a pod's status: phase, conditions, and one entry for each container.

Pure.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from weft_lab.kubelet import containers
from weft_lab.kubelet.containers import State

Object = dict[str, Any]

CREATING = "ContainerCreating"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the kubelet knows of a pod in addition to the states of its containers."""

    host_ip: str
    sandbox: str = ""
    ips: tuple[str, ...] = ()
    started: float = 0.0
    # The last states of containers that were started again.
    last: Mapping[str, State] | None = None
    now: float = 0.0
    # By container: the end of its log, as its termination message.
    words: Mapping[str, str] | None = None


def when(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def render(pod: Object, states: Mapping[str, State], facts: Facts) -> Object:
    """The pod's whole status."""
    spec = pod["spec"]
    first = [_entry(pod, c, states, facts, init=True) for c in spec.get("initContainers") or ()]
    main = [_entry(pod, c, states, facts, init=False) for c in spec["containers"]]
    phase = phase_of(pod, states)
    status: Object = {
        "phase": phase,
        "hostIP": facts.host_ip,
        "hostIPs": [{"ip": facts.host_ip}],
        "qosClass": "BestEffort",
        "conditions": _conditions(pod, first, main, phase, facts),
        "containerStatuses": main,
    }
    if facts.started:
        status["startTime"] = when(facts.started)
    if first:
        status["initContainerStatuses"] = first
    added = [
        {**_entry(pod, container, states, facts, init=False, again=False), "ready": False}
        for container in spec.get("ephemeralContainers") or ()
    ]
    if added:
        status["ephemeralContainerStatuses"] = added
    if facts.ips:
        status["podIP"] = facts.ips[0]
        status["podIPs"] = [{"ip": address} for address in facts.ips]
    return status


def lost(pod: Object, now: float) -> dict[str, State]:
    """Containers that ran before and are gone, since the node was restarted."""
    status = pod.get("status") or {}
    found = {}
    for entry in (
        *(status.get("initContainerStatuses") or ()),
        *(status.get("containerStatuses") or ()),
        *(status.get("ephemeralContainerStatuses") or ()),
    ):
        if not entry.get("containerID"):
            continue
        ended = (entry.get("state") or {}).get("terminated")
        code = ended.get("exitCode", 0) if ended else -signal.SIGKILL
        found[entry["name"]] = State(entry.get("restartCount", 0), now, code, now)
    return found


def phase_of(pod: Object, states: Mapping[str, State]) -> str:
    """The pod's phase; Pending until a container that is no init container has started."""
    main = [states.get(container["name"]) for container in pod["spec"]["containers"]]
    if containers.is_finished(pod, states):
        failed = any(state.status for state in states.values() if state.status is not None)
        return "Failed" if failed else "Succeeded"
    return "Running" if any(state is not None for state in main) else "Pending"


def _entry(
    pod: Object,
    container: Object,
    states: Mapping[str, State],
    facts: Facts,
    *,
    init: bool,
    again: bool = True,
) -> Object:
    name = container["name"]
    state = states.get(name)
    waits = (
        again
        and state is not None
        and state.status is not None
        and (containers.restarts(pod, state, init=init))
    )
    last = (facts.last or {}).get(name)
    running = state is not None and state.status is None
    entry: Object = {
        "name": name,
        "image": container.get("image", ""),
        "imageID": "",
        "ready": running if not init else state is not None and state.status == 0,
        "started": running,
        "restartCount": state.attempt if state else 0,
        "state": _waiting(state) if waits or state is None else _state(state, name, facts),
        "lastState": {},
    }
    if state is not None:
        entry["containerID"] = f"lab://{facts.sandbox}/{name}/{state.attempt}"
    if waits and state is not None:
        entry["lastState"] = _state(state, name, facts)
    elif last is not None:
        entry["lastState"] = _state(last, name, facts)
    return entry


def _waiting(state: State | None) -> Object:
    if state is None:
        return {"waiting": {"reason": CREATING}}
    seconds = containers.backoff(state)
    message = f"back-off {seconds:.0f}s restarting failed container"
    return {"waiting": {"reason": "CrashLoopBackOff", "message": message}}


def _state(state: State, name: str, facts: Facts) -> Object:
    if state.status is None:
        return {"running": {"startedAt": when(state.started)}}
    ended: Object = {
        "exitCode": exit_code(state.status),
        "startedAt": when(state.started),
        "finishedAt": when(state.ended),
        "reason": "Completed" if state.status == 0 else "Error",
        "containerID": f"lab://{facts.sandbox}/{name}/{state.attempt}",
    }
    words = (facts.words or {}).get(name)
    if words and state.status != 0:
        ended["message"] = words
    if state.status < 0:
        ended["signal"] = -state.status
    if state.error:
        ended |= {"reason": "StartError", "message": state.error}
    return {"terminated": ended}


def exit_code(status: int) -> int:
    """The exit code; for a signal, 128 plus its number, as in a shell."""
    return status if status >= 0 else 128 - status


def _conditions(
    pod: Object, first: Sequence[Object], main: Sequence[Object], phase: str, facts: Facts
) -> list[Object]:
    initialized = all(entry["ready"] for entry in first)
    ready = phase == "Running" and all(entry["ready"] for entry in main)
    done = "PodCompleted" if phase in ("Succeeded", "Failed") else ""
    unready = done or ("" if ready else "ContainersNotReady")
    current = {
        "PodReadyToStartContainers": (bool(facts.sandbox), ""),
        "Initialized": (initialized, done or ("" if initialized else "ContainersNotInitialized")),
        "Ready": (ready, unready),
        "ContainersReady": (ready, unready),
        "PodScheduled": (True, ""),
    }
    earlier = {c["type"]: c for c in (pod.get("status") or {}).get("conditions") or ()}
    return [
        *(
            _condition(kind, value, reason, earlier, facts)
            for kind, (value, reason) in current.items()
        ),
        *(condition for kind, condition in earlier.items() if kind not in current),
    ]


def _condition(
    kind: str, value: bool, reason: str, earlier: Mapping[str, Object], facts: Facts
) -> Object:
    status = "True" if value else "False"
    before = earlier.get(kind) or {}
    changed = before.get("status") != status
    moment = when(facts.now) if changed else before.get("lastTransitionTime", when(facts.now))
    found: Object = {"type": kind, "status": status, "lastTransitionTime": moment}
    if reason:
        found["reason"] = reason
    return found
