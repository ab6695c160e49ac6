"""Renders the status of a Network object: what is accepted, who serves it, what is free.

`render` makes the status from `NetworkFindings`, with four conditions:

    Accepted        the NAD that owns the network is valid; if not, it goes on as accepted last
    Served          every node with members has an agent that announced it
    AddressesFree   another pod can get an address
    UpToDate        all pods run with what the NADs declare; if not, `edits` says which do not

A network that no NAD declares validly has Accepted alone; the others are Unknown.
What others than the owner declare never makes a condition false:
`networkAttachmentDefinitions` lists it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from weft import model
from weft.api import conditions as kubernetes
from weft.api.conditions import FALSE, TRUE, UNKNOWN
from weft.model import ObjectKey

MAX_LISTED = 100  # NADs and edits that a status lists
MAX_NODES = 500  # nodes that it lists
MAX_PODS = 10  # pods of each kind that an edit names
_FEW = 5  # items that a message names
_LONGEST = 1024  # characters of a message about a NAD


class NetworkReason(StrEnum):
    """The reasons of a network's conditions."""

    ACCEPTED = "Accepted"
    INVALID_CONFIG = "InvalidConfig"
    NO_NAD = "NoNetworkAttachmentDefinition"
    NO_NETWORK_ID = "NoNetworkId"
    NOT_ACCEPTED = "NotAccepted"

    SERVED = "Served"
    NO_MEMBERS = "NoMembers"
    NOT_COUNTED = "NotCounted"
    NODES_NOT_READY = "NodesNotReady"
    NO_BRIDGE_MAPPING = "NoBridgeMapping"

    FREE = "Free"
    NO_SUBNETS = "NoSubnets"
    EXHAUSTED = "Exhausted"

    UP_TO_DATE = "UpToDate"
    EDIT_WAITS = "EditWaits"
    ADDRESSES_EXCLUDED = "AddressesExcluded"


Condition = kubernetes.Condition[NetworkReason]


@dataclass(frozen=True, slots=True)
class Subnet:
    """How full the subnets of one family are; `size` and `free` count addresses that are allocated
    in turn.

    `subnet` is a list with commas, as a NAD has it.
    """

    subnet: str
    used: int
    free: int
    size: int = 0


@dataclass(frozen=True, slots=True)
class NadStatus:
    """A NAD of the network. `problem`: why it does not count, "" if it does."""

    key: ObjectKey
    generation: int = 0
    members: int = 0
    problem: str = ""
    is_deleting: bool = False


@dataclass(frozen=True, slots=True)
class Node:
    """A node with members. `problem`: why it does not serve them, "" if it does."""

    name: str
    members: int
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """A field of an edit: the value that is declared, and the one that pods run with."""

    field: str
    declared: str
    in_use: str = ""


@dataclass(frozen=True, slots=True)
class Edit:
    """An edit that not all pods follow, with the labels of those that have the old configuration
    and the new one."""

    nad: ObjectKey
    reason: NetworkReason
    changes: tuple[Change, ...]
    old_pods: tuple[str, ...]
    new_pods: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NetworkFindings:
    """What the status of a network is made from.

    `network`: None if no valid NAD declares it, or no id is free. `problem` says which, or what is
    wrong with the NAD that owns it. `days`: its allocations by the day on which their holders were
    created, the latest days (`alloc.forecast`).
    `eligible`: the nodes that its pods can run on, None for all.
    """

    name: str
    network: model.Network | None
    generation: int = 0
    problem: str = ""
    nads: tuple[NadStatus, ...] = ()
    nodes: tuple[Node, ...] = ()
    usage: tuple[Subnet, ...] = ()
    days: Mapping[str, int] = field(default_factory=dict)
    edits: tuple[Edit, ...] = ()
    eligible: tuple[str, ...] | None = None

    @property
    def members(self) -> int:
        return sum(node.members for node in self.nodes)


def conditions(found: NetworkFindings) -> tuple[Condition, ...]:
    """Returns the conditions Accepted, Served, AddressesFree and UpToDate."""
    if found.network is None:
        return _accepted(found), *map(_unknown, ("Served", "AddressesFree", "UpToDate"))
    return _accepted(found), _served(found), _free(found), _up_to_date(found)


def _accepted(found: NetworkFindings) -> Condition:
    name = "Accepted"
    if found.network is None:
        is_declared = any(not each.problem for each in found.nads)
        reason = NetworkReason.NO_NETWORK_ID if is_declared else NetworkReason.INVALID_CONFIG
        return Condition(name, FALSE, reason, found.problem[:_LONGEST])
    if all(each.key != found.network.owner for each in found.nads):
        message = "its last NetworkAttachmentDefinition is gone; it stays until its pods are gone"
        if found.network.is_default:
            return Condition(name, TRUE, NetworkReason.ACCEPTED, "is the cluster's default network")
        return Condition(name, FALSE, NetworkReason.NO_NAD, message)
    if found.problem:
        message = f"{found.problem}: the network goes on as it was accepted last"
        return Condition(name, FALSE, NetworkReason.INVALID_CONFIG, message[:_LONGEST])
    refused = sum(1 for each in found.nads if each.problem)
    message = f"is defined by NetworkAttachmentDefinition {found.network.owner}"
    if refused:
        message += f"; {refused} others are refused"
    return Condition(name, TRUE, NetworkReason.ACCEPTED, message)


def _unknown(name: str) -> Condition:
    return Condition(name, UNKNOWN, NetworkReason.NOT_ACCEPTED, "the network is not accepted")


def _served(found: NetworkFindings) -> Condition:
    failing = [f"{each.name} {each.problem}" for each in found.nodes if each.problem]
    if failing:
        return Condition("Served", FALSE, NetworkReason.NODES_NOT_READY, _listed(failing))
    if found.eligible == () and found.network is not None:
        physical = found.network.spec.physical_network
        message = (
            f"no node leads to physical network {physical}: add {physical}:<bridge> to "
            "external_ids:ovn-bridge-mappings of Open vSwitch on the nodes that do"
        )
        return Condition("Served", FALSE, NetworkReason.NO_BRIDGE_MAPPING, message)
    if found.network is not None and found.network.is_default:
        message = "every node serves the default network; its pods are not counted here"
        return Condition("Served", TRUE, NetworkReason.NOT_COUNTED, message)
    if not found.nodes:
        return Condition(
            "Served", TRUE, NetworkReason.NO_MEMBERS, "no pod uses it, so no node needs it"
        )
    message = "every node with pods of the network serves it"
    return Condition("Served", TRUE, NetworkReason.SERVED, message)


def _free(found: NetworkFindings) -> Condition:
    name = "AddressesFree"
    assert found.network is not None
    if not found.network.spec.subnets:
        return Condition(name, TRUE, NetworkReason.NO_SUBNETS, "the network assigns no addresses")
    full = [each.subnet for each in found.usage if not each.free]
    if full:
        message = f"no address is free in {_listed(full)}"
        return Condition(name, FALSE, NetworkReason.EXHAUSTED, message)
    return Condition(name, TRUE, NetworkReason.FREE, "addresses are free in every subnet")


def _up_to_date(found: NetworkFindings) -> Condition:
    if not found.edits:
        message = "all pods run with what is declared"
        return Condition("UpToDate", TRUE, NetworkReason.UP_TO_DATE, message)
    first = found.edits[0]
    fields = _listed(each.field for each in first.changes)
    if first.reason is NetworkReason.EDIT_WAITS:
        message = (
            f"an edit of {fields} in {first.nad} waits until no pod uses the network: "
            "delete all its pods at the same time, or undo the edit"
        )
    else:
        message = "pods keep addresses that are in excludeSubnets: recreate them"
    return Condition("UpToDate", FALSE, first.reason, message)


def render(found: NetworkFindings, before: object, now: str) -> dict[str, Any]:
    """Returns the whole status; `before` is the present one, `now` a time in RFC 3339.

    Returns what equals `before` if nothing has changed. Empty values are included, because the
    status is merged into the present one.
    """
    spec = found.network.spec if found.network is not None else None
    scarce = min(found.usage, key=lambda each: each.free, default=None)
    return {
        "observedGeneration": found.generation,
        "network": found.name,
        "id": found.network.id if found.network is not None else -1,
        "topology": str(spec.topology) if spec is not None else "",
        "subnets": ",".join(map(str, spec.subnets)) if spec is not None else "",
        "owner": str(found.network.owner or "") if found.network is not None else "",
        "members": found.members,
        "servingNodes": sum(1 for each in found.nodes if not each.problem),
        "usedAddresses": scarce.used if scarce is not None else 0,
        "freeAddresses": scarce.free if scarce is not None else 0,
        "sizeAddresses": scarce.size if scarce is not None else 0,
        "allocationsByDay": [
            {"day": day, "allocations": number} for day, number in found.days.items()
        ],
        "addresses": [_usage(each) for each in found.usage],
        "networkAttachmentDefinitions": [_nad(each) for each in found.nads[:MAX_LISTED]],
        "nodes": [_node(each) for each in found.nodes[:MAX_NODES]],
        "eligibleNodes": list((found.eligible or ())[:MAX_NODES]),
        "edits": [_edit(each) for each in found.edits[:MAX_LISTED]],
        "conditions": kubernetes.rendered(conditions(found), before, found.generation, now),
    }


def _usage(each: Subnet) -> dict[str, object]:
    return {"subnet": each.subnet, "size": each.size, "used": each.used, "free": each.free}


def _nad(each: NadStatus) -> dict[str, object]:
    return {
        "name": str(each.key),
        "accepted": not each.problem,
        "deleting": each.is_deleting,
        "message": each.problem[:_LONGEST],
        "members": each.members,
        "observedGeneration": each.generation,
    }


def _node(each: Node) -> dict[str, object]:
    node: dict[str, object] = {"name": each.name, "members": each.members}
    return {**node, "serving": not each.problem, "message": each.problem}


def _edit(each: Edit) -> dict[str, object]:
    return {
        "networkAttachmentDefinition": str(each.nad),
        "reason": each.reason.value,
        "fields": [
            {"name": one.field, "declared": one.declared, "inUse": one.in_use}
            for one in each.changes
        ],
        "podsWithOld": len(each.old_pods),
        "podsWithNew": len(each.new_pods),
        "oldPods": list(each.old_pods[:MAX_PODS]),
        "newPods": list(each.new_pods[:MAX_PODS]),
    }


def _listed(items: Iterable[str]) -> str:
    """Returns the first items by name, the others as a count."""
    return ", ".join(_few(list(items)))


def _few(items: list[str]) -> Iterator[str]:
    yield from items[:_FEW]
    if len(items) > _FEW:
        yield f"{len(items) - _FEW} more"


def network_of(status: Mapping[str, Any]) -> str:
    """Returns the name of the network that a status is about, "" if it does not say."""
    return str(status.get("network") or "")


def allocations_by_day(status: Mapping[str, Any]) -> dict[str, int]:
    """Returns the present allocations by the day on which their holders were created."""
    listed = status.get("allocationsByDay") or ()
    return {str(each.get("day")): int(each.get("allocations", 0)) for each in listed}
