"""Parses Nodes, Namespaces, IPAMClaims and policies for the cluster manager.

Pure. Each object is parsed once, where it comes in, and frozen. `api/pod.py` parses pods, `nads.py`
NADs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from weft import errors, model, names
from weft.api import ipamclaim, nodeinfo, policy
from weft.control.cluster.outcome import Subject
from weft.kube import resources

Object = Mapping[str, Any]

_LONGEST_NAME = 253
_MAX_OWNERS = 8  # owners of an IPAMClaim that are kept
_NODE_ANNOTATIONS = (names.NODE_ID, names.NODE_TRANSIT, names.NODE_SUBNETS)


@dataclass(frozen=True, slots=True)
class ObservedObject:
    """A parsed object at one `version` (resourceVersion)."""

    subject: Subject
    version: str

    @property
    def uid(self) -> str:
        return self.subject.uid


@dataclass(frozen=True, slots=True)
class Node(ObservedObject):
    """A Node. If its annotations are invalid, `info` has the name alone and `problem` says why.

    `is_announced`: an agent has written its chassis and tunnel address. `is_ready`: so the kubelet
    says, or nobody. `physical_networks` are those that it has a bridge mapping for.
    """

    created: str
    info: model.NodeInfo
    annotations: Mapping[str, str]
    problem: str = ""
    is_announced: bool = False
    is_ready: bool = True
    physical_networks: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return self.subject.name


def node(obj: Object) -> Node:
    """Parses a Node; annotations that are invalid become its `problem`."""
    meta = obj["metadata"]
    notes = meta.get("annotations") or {}
    kept = {key: notes[key] for key in _NODE_ANNOTATIONS if key in notes}
    problem = ""
    try:
        info = nodeinfo.parse({"metadata": {"name": meta["name"], "annotations": kept}})
    except errors.InvalidInput as error:
        info, problem = model.NodeInfo(meta["name"]), error.in_full()
    created = meta.get("creationTimestamp", "")
    is_announced = all(notes.get(each) for each in (names.NODE_CHASSIS_ID, names.NODE_ENCAP_IPS))
    seen = _seen(resources.NODES, obj)
    physical = nodeinfo.physical_networks(notes.get(names.NODE_BRIDGE_MAPPINGS, "{}"))
    return Node(*seen, created, info, kept, problem, is_announced, _is_ready(obj), physical)


def _is_ready(obj: Object) -> bool:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return not any(
        each.get("type") == "Ready" and each.get("status") != "True" for each in conditions
    )


def eldest_first(nodes: Iterable[Node]) -> list[Node]:
    """Sorts Nodes by age, then name: of two that claim one value, the older keeps it."""
    return sorted(nodes, key=lambda each: (each.created, each.name))


@dataclass(frozen=True, slots=True)
class Namespace(ObservedObject):
    """A Namespace; `problems`: what is wrong with its ACL logging annotation."""

    labels: Mapping[str, str]
    problems: tuple[str, ...] = ()
    is_deleting: bool = False


def namespace(obj: Object) -> Namespace:
    """Parses a Namespace."""
    problems = tuple(error.in_full(named=False) for error in policy.logging_problems(obj))
    labels = obj["metadata"].get("labels") or {}
    is_deleting = "deletionTimestamp" in obj["metadata"]
    return Namespace(*_seen(resources.NAMESPACES, obj), labels, problems, is_deleting)


class Owner(NamedTuple):
    """An object that another one names as its owner: API group, kind, name and uid."""

    group: str
    kind: str
    name: str
    uid: str


def owners(obj: Object) -> tuple[Owner, ...]:
    """The first owners of an object."""
    listed = obj["metadata"].get("ownerReferences") or ()
    return tuple(
        Owner(str(each.get("apiVersion", "")).partition("/")[0], *map(str, _named(each)))
        for each in listed[:_MAX_OWNERS]
    )


def _named(owner: Object) -> tuple[Any, Any, Any]:
    return owner.get("kind", ""), owner.get("name", ""), owner.get("uid", "")


@dataclass(frozen=True, slots=True)
class IpamClaim(ObservedObject):
    """An IPAMClaim. `claim` is None if it is invalid; then `problem` says why.

    `condition` is that of its status: status, reason and message. `generation` is that of its
    spec, `observed` that of which the status speaks; 0: unknown. `misread`: what is wrong with its
    reservation. It exists for its `owners`, and stays while it has `finalizers`. `made_for`: the
    machine that weft made it for, "" if weft did not. `transfer`: the machine that is to own it.
    """

    claim: model.IpamClaim | None
    condition: tuple[str, str, str] = ("", "", "")
    problem: errors.InvalidInput | None = None
    created: str = ""
    misread: errors.InvalidInput | None = None
    generation: int = 0
    observed: int = 0
    owners: tuple[Owner, ...] = ()
    finalizers: tuple[str, ...] = ()
    is_deleting: bool = False
    made_for: str = ""
    transfer: str = ""

    @property
    def is_outdated(self) -> bool:
        """Whether the status speaks of an earlier spec."""
        return bool(self.generation and self.observed and self.generation != self.observed)


def ipam_claim(obj: Object) -> IpamClaim:
    """Parses an IPAMClaim; an error becomes its `problem`."""
    seen = _seen(resources.IPAMCLAIMS, obj)
    created = obj["metadata"].get("creationTimestamp") or ""
    try:
        claim = ipamclaim.parse(obj)
    except errors.InvalidInput as error:
        return _living(IpamClaim(*seen, None, problem=error, created=created), obj)
    misread, generations = None, ipamclaim.generations(obj)
    try:
        claim = replace(claim, reservation=ipamclaim.reservation(obj))
    except errors.InvalidInput as error:
        misread = error
    condition = ipamclaim.condition(obj)
    found = IpamClaim(*seen, claim, condition, None, created, misread, *generations)
    return _living(found, obj)


def _living(claim: IpamClaim, obj: Object) -> IpamClaim:
    meta = obj["metadata"]
    finalizers, is_deleting = meta.get("finalizers") or (), "deletionTimestamp" in meta
    kept = tuple(map(str, finalizers))
    notes = meta.get("annotations") or {}
    made_for, transfer = (
        str(notes.get(each) or "") for each in (names.CLAIM_MADE_FOR, names.CLAIM_TRANSFER)
    )
    return replace(
        claim,
        owners=owners(obj),
        finalizers=kept,
        is_deleting=is_deleting,
        made_for=made_for if len(made_for) <= _LONGEST_NAME else "",
        transfer=transfer if len(transfer) <= _LONGEST_NAME else "",
    )


@dataclass(frozen=True, slots=True)
class Policy(ObservedObject):
    """A MultiNetworkPolicy: what it declares, and the status that this manager wrote."""

    declared: policy.ParsedPolicy
    generation: int = 0
    status: Mapping[str, Any] | None = None


def multi_network_policy(obj: Object) -> Policy:
    """Parses a MultiNetworkPolicy; errors are in `declared.problems`."""
    return Policy(
        *_seen(resources.MULTINETWORKPOLICIES, obj),
        policy.read(obj),
        obj["metadata"].get("generation", 0),
        obj.get("status"),
    )


@dataclass(frozen=True, slots=True)
class NetworkObject(ObservedObject):
    """A Network object as it is stored: this manager, or an earlier one, wrote its status."""

    status: Mapping[str, Any] | None = None


def network_object(obj: Object) -> NetworkObject:
    """Parses a Network object."""
    return NetworkObject(*_seen(resources.NETWORKS, obj), obj.get("status"))


def _seen(resource: resources.Resource, obj: Object) -> tuple[Subject, str]:
    meta = obj["metadata"]
    subject = Subject(resource, resources.key(obj), meta.get("uid", ""))
    return subject, meta.get("resourceVersion", "")
