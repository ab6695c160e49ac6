"""Decides whether a VirtualMachine's instance is made, ended or left alone. Pure.

It applies run strategies, requests (status.stateChangeRequests, as `virtctl` and `weft vm` make
them) and the back-off of instances that fail repeatedly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

FINAL = ("Succeeded", "Failed")
FIRST_PAUSE, LONGEST_PAUSE = 5, 300  # seconds until a failed instance is made again

Object = Mapping[str, Any]


class Step(Enum):
    CREATE = "create"
    DELETE = "delete"
    TURN_ON = "turn on"  # its run strategy, as KubeVirt does before it starts a halted one paused
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Decision:
    """`after` > 0: look again in so many seconds. `requests` are those still to be served.

    `paused`: the guest of the instance that is made waits until it is told to begin.
    """

    step: Step
    after: float = 0.0
    requests: tuple[Mapping[str, Any], ...] = ()
    failure: Mapping[str, Any] | None = None
    paused: bool = False


def strategy(vm: Object) -> str:
    """spec.runStrategy, or what the older spec.running means."""
    spec = vm.get("spec") or {}
    return str(spec.get("runStrategy") or ("Always" if spec.get("running") else "Halted"))


def is_final(vmi: Object | None) -> bool:
    return vmi is not None and phase(vmi) in FINAL


def phase(vmi: Object) -> str:
    return str((vmi.get("status") or {}).get("phase") or "")


def is_deleted(obj: Object) -> bool:
    return bool(obj["metadata"].get("deletionTimestamp"))


def decide(vm: Object, vmi: Object | None, now: datetime) -> Decision:
    """The next step for a VM whose manifest is valid; `vmi` is its instance, if there is one."""
    status = vm.get("status") or {}
    requests = _open_requests(status.get("stateChangeRequests") or (), vmi)
    failure = _failure(status.get("startFailure"), vmi, now)
    if is_deleted(vm):
        return Decision(_end(vmi), failure=failure)
    if requests and requests[0].get("action") == "Stop":
        return Decision(_end(vmi), requests=requests, failure=failure)
    chosen = strategy(vm)
    if vmi is None:
        starts = bool(requests) and requests[0].get("action") == "Start"
        if starts and chosen == "Halted":
            return Decision(Step.TURN_ON, requests=requests, failure=failure)
        # A new machine is started, and one that failed; one that was stopped waits for a request.
        has_run = chosen == "RerunOnFailure" and status.get("runStrategy") == chosen
        if not starts and (chosen in ("Halted", "Manual") or (has_run and not failure)):
            return Decision(Step.NOTHING, requests=requests, failure=failure)
        pause = 0.0 if starts else _pause(failure, now)
        if pause > 0:
            return Decision(Step.NOTHING, after=pause, requests=requests, failure=failure)
        left = requests[1:] if starts else requests
        paused = starts and (requests[0].get("data") or {}).get("paused") == "true"
        return Decision(Step.CREATE, requests=left, failure=failure, paused=paused)
    ends = chosen == "Halted" or (
        is_final(vmi) and (chosen == "Always" or (chosen == "RerunOnFailure" and _failed(vmi)))
    )
    if requests and requests[0].get("action") == "Start":
        if is_final(vmi):
            return Decision(_end(vmi), requests=requests, failure=failure)
        requests = requests[1:]  # it runs already
    return Decision(_end(vmi) if ends else Step.NOTHING, requests=requests, failure=failure)


def _end(vmi: Object | None) -> Step:
    return Step.NOTHING if vmi is None or is_deleted(vmi) else Step.DELETE


def _failed(vmi: Object) -> bool:
    return phase(vmi) == "Failed"


def _open_requests(requests: Any, vmi: Object | None) -> tuple[Mapping[str, Any], ...]:
    """Requests without those to stop an instance that is gone."""
    uid = vmi["metadata"]["uid"] if vmi is not None else ""
    left = list(requests)
    while left and left[0].get("action") == "Stop" and left[0].get("uid", uid) != uid:
        left.pop(0)
    if vmi is None:
        while left and left[0].get("action") == "Stop":
            left.pop(0)
    return tuple(left)


def _failure(
    before: Mapping[str, Any] | None, vmi: Object | None, now: datetime
) -> Mapping[str, Any] | None:
    """status.startFailure: counts instances that failed in a row; forgotten once one is up."""
    if vmi is None:
        return before
    if phase(vmi) == "Running" and _connected(vmi):
        return None
    uid = vmi["metadata"]["uid"]
    if not _failed(vmi) or (before and before.get("lastFailedVMIUID") == uid):
        return before
    count = int((before or {}).get("consecutiveFailCount", 0)) + 1
    pause = min(FIRST_PAUSE * 2 ** (count - 1), LONGEST_PAUSE)
    return {
        "consecutiveFailCount": count,
        "lastFailedVMIUID": uid,
        "retryAfterTimestamp": stamp(now + timedelta(seconds=pause)),
    }


def _connected(vmi: Object) -> bool:
    conditions = (vmi.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == "AgentConnected" and c.get("status") == "True" for c in conditions)


def _pause(failure: Mapping[str, Any] | None, now: datetime) -> float:
    """Seconds until the next try is due."""
    if not failure:
        return 0.0
    try:
        due = datetime.strptime(str(failure["retryAfterTimestamp"]), FORMAT).replace(tzinfo=UTC)
    except (KeyError, ValueError):
        return 0.0
    return max((due - now).total_seconds(), 0.0)


FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def stamp(moment: datetime) -> str:
    """A time as Kubernetes writes it."""
    return moment.strftime(FORMAT)


def moment(text: object) -> datetime | None:
    """A time as Kubernetes writes it; None of any other text."""
    try:
        return datetime.strptime(str(text), FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return None
