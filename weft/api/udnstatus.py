"""Renders the status of UserDefinedNetworks: conditions and reasons are ovn-kubernetes'.

NetworkCreated              the NADs of the network exist, and declare it
NetworkAllocationSucceeded  the network has its id, and nodes get subnets of it
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from itertools import islice
from typing import Any

from weft.api import conditions as kubernetes
from weft.api.conditions import FALSE, TRUE

CREATED = "NetworkCreated"
ALLOCATED = "NetworkAllocationSucceeded"
_MOST = 100  # namespaces or errors that a message lists
_LONGEST = 32768  # characters of a message


class UdnReason(StrEnum):
    """The reasons of the conditions; of CUDNs, errors of their NADs have a reason of their own."""

    NAD_CREATED = "NetworkAttachmentDefinitionCreated"
    NAD_DELETED = "NetworkAttachmentDefinitionDeleted"
    SYNC_ERROR = "SyncError"
    NAD_SYNC_ERROR = "NetworkAttachmentDefinitionSyncError"
    ALLOCATION_SUCCEEDED = "NetworkAllocationSucceeded"
    INTERNAL_ERROR = "InternalError"


Condition = kubernetes.Condition[UdnReason]


def failed(problems: Iterable[str], *, is_cluster_wide: bool) -> Condition:
    """The network was not created, or not everywhere."""
    reason = UdnReason.NAD_SYNC_ERROR if is_cluster_wide else UdnReason.SYNC_ERROR
    return Condition(CREATED, FALSE, reason, "; ".join(_some(problems))[:_LONGEST])


def deleted(nads: Iterable[str]) -> Condition:
    """Somebody deletes NADs of the network; they are made again when they are gone."""
    message = f"NetworkAttachmentDefinition is being deleted: {', '.join(_some(nads))}"
    return Condition(CREATED, FALSE, UdnReason.NAD_DELETED, message[:_LONGEST])


def created(namespaces: Sequence[str] | None) -> Condition:
    """The NADs exist; `namespaces` in which, None for a UserDefinedNetwork."""
    message = "NetworkAttachmentDefinition has been created"
    if namespaces is not None:
        message += f" in {len(namespaces)} namespaces: {', '.join(_some(namespaces))}"
    return Condition(CREATED, TRUE, UdnReason.NAD_CREATED, message[:_LONGEST])


def allocated(problems: Iterable[str]) -> Condition:
    """Whether the network has its id and its nodes their subnets; `problems` say what lacks."""
    found = "; ".join(_some(problems))
    if found:
        return Condition(ALLOCATED, FALSE, UdnReason.INTERNAL_ERROR, found[:_LONGEST])
    message = "every node that asked has its part of the network"
    return Condition(ALLOCATED, TRUE, UdnReason.ALLOCATION_SUCCEEDED, message)


def is_created(status: object) -> bool:
    """Whether a status says that the network was created."""
    listed = status.get("conditions") if isinstance(status, Mapping) else None
    found = [each for each in listed or () if isinstance(each, Mapping)]
    return any((each.get("type"), each.get("status")) == (CREATED, TRUE) for each in found)


def render(
    conditions: Iterable[Condition], before: object, generation: int, now: str
) -> dict[str, Any]:
    """The status; conditions of other controllers stay as they are in `before`."""
    listed = before.get("conditions") if isinstance(before, Mapping) else None
    others = [
        each
        for each in (listed if isinstance(listed, list) else ())
        if isinstance(each, Mapping) and each.get("type") not in (CREATED, ALLOCATED)
    ]
    own = kubernetes.rendered(conditions, before, generation, now)
    return {"conditions": [*others, *own]}


def _some(items: Iterable[str]) -> list[str]:
    listed = list(items)
    more = len(listed) - _MOST
    return [*islice(listed, _MOST), *([f"{more} more"] if more > 0 else [])]
