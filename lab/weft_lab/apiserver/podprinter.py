"""Computes the cells of `kubectl get pods`, as Kubernetes' printPod does."""

from __future__ import annotations

from typing import Any

from weft_lab.apiserver import clock
from weft_lab.apiserver.resources import Object


def _statuses(obj: Object, kind: str = "containerStatuses") -> list[Object]:
    return list((obj.get("status") or {}).get(kind) or ())


def ready(obj: Object) -> Any:
    total = len((obj.get("spec") or {}).get("containers") or ())
    up = sum(
        1
        for one in _statuses(obj)
        if one.get("ready") and (one.get("state") or {}).get("running") is not None
    )
    return f"{up}/{total}"


def restarts(obj: Object) -> Any:
    statuses = _statuses(obj)
    count = sum(one.get("restartCount", 0) for one in statuses)
    ends = [
        ended
        for one in statuses
        if (ended := ((one.get("lastState") or {}).get("terminated") or {}).get("finishedAt"))
    ]
    if not count or not ends:
        return str(count)
    return f"{count} ({clock.age(max(ends))} ago)"


def reason(obj: Object) -> Any:
    """The cell STATUS: Terminating, Completed, CrashLoopBackOff, Init:0/1, Running and so on."""
    state = obj.get("status") or {}
    word = state.get("reason") or state.get("phase") or "Unknown"
    starting = _starting(obj)
    word = starting or _running(obj, word)
    if obj["metadata"].get("deletionTimestamp"):
        return "Unknown" if state.get("reason") == "NodeLost" else "Terminating"
    return word


def _starting(obj: Object) -> str:
    """STATUS of the first init container that has not succeeded; empty if all have."""
    statuses = _statuses(obj, "initContainerStatuses")
    total = len((obj.get("spec") or {}).get("initContainers") or ())
    for place, one in enumerate(statuses):
        state = one.get("state") or {}
        ended = state.get("terminated")
        if ended is not None and ended.get("exitCode") == 0:
            continue
        if ended is not None:
            return f"Init:{_ending(ended)}"
        waiting = (state.get("waiting") or {}).get("reason")
        if waiting and waiting != "PodInitializing":
            return f"Init:{waiting}"
        return f"Init:{place}/{total}"
    return ""


def _running(obj: Object, word: str) -> str:
    has_running = False
    for one in reversed(_statuses(obj)):
        state = one.get("state") or {}
        if (state.get("waiting") or {}).get("reason"):
            word = state["waiting"]["reason"]
        elif state.get("terminated") is not None:
            word = _ending(state["terminated"])
        elif one.get("ready") and state.get("running") is not None:
            has_running = True
    if word == "Completed" and has_running:
        conditions = (obj.get("status") or {}).get("conditions") or ()
        up = any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)
        return "Running" if up else "NotReady"
    return word


def _ending(ended: Object) -> str:
    if ended.get("reason"):
        return str(ended["reason"])
    if ended.get("signal"):
        return f"Signal:{ended['signal']}"
    return f"ExitCode:{ended.get('exitCode', 0)}"


def gates(obj: Object) -> Any:
    gates = [
        one.get("conditionType") for one in (obj.get("spec") or {}).get("readinessGates") or ()
    ]
    if not gates:
        return "<none>"
    conditions = (obj.get("status") or {}).get("conditions") or ()
    true = {c.get("type") for c in conditions if c.get("status") == "True"}
    return f"{sum(1 for one in gates if one in true)}/{len(gates)}"
