"""Renders the conditions of a status as Kubernetes has them (metav1.Condition). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

R = TypeVar("R", bound=StrEnum)

TRUE, FALSE, UNKNOWN = "True", "False", "Unknown"
# Of a virtual machine or instance: another one has its addresses, or its claim does not serve it.
MACHINE_CONFLICT = "weft/IdentityConflict"


@dataclass(frozen=True)  # slots would refuse what typing notes on instances
class Condition(Generic[R]):
    """A condition of a status, without its times; `R` is the enumeration of its reasons."""

    type: str
    status: str
    reason: R
    message: str


def rendered(
    conditions: Iterable[Condition[Any]], before: object, generation: int, now: str
) -> list[dict[str, object]]:
    """Returns the conditions as entries of a status.

    `before` is the present status, from which a condition keeps its `lastTransitionTime` while its
    status is the same; `now` is a time in RFC 3339.
    """
    return [
        _condition(condition, _earlier(before, condition.type), generation, now)
        for condition in conditions
    ]


def of_node(
    condition: tuple[str, str, str, str], before: Mapping[str, Any], now: str
) -> dict[str, Any]:
    """Returns a condition of a Node (type, status, reason, message), as the kubelet writes them.

    `before` is the present condition, `now` a time in RFC 3339.
    """
    type, status, reason, message = condition
    since = before.get("lastTransitionTime") if before.get("status") == status else None
    return {
        "type": type,
        "status": status,
        "reason": reason,
        "message": message,
        "lastHeartbeatTime": now,
        "lastTransitionTime": since or now,
    }


def beside(
    status: object, type: str, reason: str, message: str, now: str
) -> list[dict[str, object]] | None:
    """Returns the conditions of an object of somebody else's with one of weft's that is True.

    Without a reason it is removed. All others are as they were; None: nothing changes. `status` is
    the present one, `now` a time in RFC 3339.
    """
    before = _earlier(status, type)
    if not reason and not before:
        return None
    listed = status.get("conditions") if isinstance(status, Mapping) else None
    others = [
        dict(each)
        for each in (listed if isinstance(listed, list) else ())
        if isinstance(each, Mapping) and each.get("type") != type
    ]
    if not reason:
        return others
    made: dict[str, object] = {"type": type, "status": TRUE, "reason": reason, "message": message}
    if all(before.get(key) == value for key, value in made.items()):
        return None
    is_new = before.get("status") != TRUE
    made["lastTransitionTime"] = now if is_new else before.get("lastTransitionTime") or now
    return [*others, made]


def has(status: object, type: str) -> bool:
    """Returns whether a status has a condition of a type, whatever its status is."""
    return bool(_earlier(status, type))


def _condition(
    condition: Condition[Any], before: Mapping[str, object], generation: int, now: str
) -> dict[str, object]:
    since = before.get("lastTransitionTime") if before.get("status") == condition.status else None
    return {
        "type": condition.type,
        "status": condition.status,
        "reason": condition.reason.value,
        "message": condition.message,
        "observedGeneration": generation,
        "lastTransitionTime": since or now,
    }


def _earlier(status: object, type: str) -> Mapping[str, object]:
    listed = status.get("conditions") if isinstance(status, Mapping) else None
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, Mapping) and each.get("type") == type:
            return each
    return {}
