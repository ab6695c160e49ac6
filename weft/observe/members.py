"""Finds the members and policies of a network in Kubernetes objects; pure.

A pod is a member of the networks on which it has an allocation, with the allocated addresses. On a
network without subnets nothing is allocated; a virtual machine then has the addresses that its
guest agent reports.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from weft import errors, model, names
from weft.api import podnetworks, podports, policy, selection
from weft.api.objects import key as key_of
from weft.model import ObjectKey
from weft.observe import guestaddresses, remembered, workloads
from weft.observe.chassis import natural_key
from weft.observe.reach import Member
from weft.policy import netpolicy

# Characters of texts that are parsed once; what is made of them takes some five times as much.
MOST_OF_PODS, MOST_OF_POLICIES = 8 << 20, 2 << 20
MOST_REMEMBERED = 20_000  # addresses
MOST_SHARED = 64  # sets of networks, and of labels, that members have in common
_DONE = ("Succeeded", "Failed")

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Objects:
    """The objects of a cluster that decide who may reach whom. `memo`: what was made of them, and
    of those of the last time."""

    nads: Sequence[Object] = ()
    namespaces: Sequence[Object] = ()
    pods: Sequence[Object] = ()
    policies: Sequence[Object] = ()
    instances: Sequence[Object] = ()  # VirtualMachineInstances
    claims: Sequence[Object] = ()  # IPAMClaims
    controllers: Sequence[Object] = ()  # between a pod and its workload
    states: Sequence[Object] = ()  # Networks
    memo: remembered.Memo = field(
        default_factory=remembered.Memo, compare=False, repr=False, kw_only=True
    )


def networks(objects: Objects) -> dict[ObjectKey, str]:
    """The network of each accepted NAD."""
    found = {}
    for each in objects.nads:
        network = (each["metadata"].get("annotations") or {}).get(names.NETWORK_NAME)
        if network:
            found[key_of(each)] = str(network)
    return found


def choose(
    text: str,
    namespace: str,
    known: Mapping[ObjectKey, str],
    *,
    command: str = "weft matrix",
    field: str = "NETWORK",
) -> str:
    """Resolve a network given by its own name, or by a NAD of it ("[<namespace>/]<name>").

    Raise InvalidInput, with the networks that exist, if there is no such network.
    """
    if text in known.values():
        return text
    key = ObjectKey.parse(text) if "/" in text else ObjectKey(namespace, text)
    if key in known:
        return known[key]
    listed = ", ".join(sorted(set(known.values()), key=natural_key)) or "none"
    raise errors.InvalidInput(
        command,
        field,
        text,
        f"must be a network, or a NAD of one as NAMESPACE/NAME; networks: {listed}",
        hint="kubectl get net-attach-def -A lists them",
    )


def in_force(objects: Objects) -> tuple[netpolicy.Policy, ...]:
    """The policies in force: each in its present version, or the one accepted last."""
    found = map(prepare_policy, objects.policies)
    return tuple(one for one in found if one is not None)


def prepare_policy(obj: Object) -> netpolicy.Policy | None:
    """A policy in force, once for each object: its present version, or the one accepted last."""
    make = functools.partial(_parsed_policy, obj)
    return remembered.once(obj, "in force", None, make)


_parsed_policy = remembered.by_text(policy.in_force, MOST_OF_POLICIES)


def on(network: str, objects: Objects) -> tuple[Member, ...]:
    """The members of a network, sorted by namespace and name."""
    return everywhere(objects, {network}).get(network, ())


def everywhere(
    objects: Objects, only: Collection[str] | None = None
) -> dict[str, tuple[Member, ...]]:
    """The members of each network that has any, sorted by namespace and name; `only` of these."""
    labels = {obj["metadata"]["name"]: _labels(obj) for obj in objects.namespaces}
    nics = guestaddresses.nics(objects.instances)
    known = _shared(frozenset(networks(objects).items()))
    asked = known if only is None else {nad: name for nad, name in known.items() if name in only}
    by_uid = workloads.index((*objects.instances, *objects.controllers))
    found: dict[str, list[Member]] = {}
    for pod in objects.pods:
        if (pod.get("status") or {}).get("phase") in _DONE:
            continue
        space = labels.get(pod["metadata"]["namespace"], _NOTHING)
        # What is remembered of a pod is for each network; of any other, those asked for are enough.
        there = known if isinstance(pod, remembered.Kept) else asked
        for member in _members(pod, there, space, workloads.above(pod, by_uid)):
            network = member.endpoint.network
            if only is not None and network not in only:
                continue
            if member.machine and not member.endpoint.addresses:
                endpoint = replace(member.endpoint, addresses=_reported(member, nics))
                member = replace(member, endpoint=endpoint)
            found.setdefault(network, []).append(member)
    return {
        network: objects.memo.of(("members", network), each, functools.partial(_sorted, each))
        for network, each in found.items()
    }


def _sorted(found: Iterable[Member]) -> tuple[Member, ...]:
    return tuple(sorted(found, key=_order))


def learned(member: Member, seen: Iterable[str]) -> Member:
    """The member with the addresses that were seen on its interface, unless it has allocated
    ones."""
    own = member.endpoint.addresses
    more = tuple(each.ip for each in guestaddresses.parsed(seen) if each.ip not in own)
    if any(not address.is_link_local for address in own):
        more = ()
    return replace(member, endpoint=replace(member.endpoint, addresses=(*own, *more)))


def _order(member: Member) -> tuple[Any, ...]:
    return natural_key(member.endpoint.namespace), natural_key(member.name), member.id


def _labels(obj: Object) -> dict[str, str]:
    return dict(obj["metadata"].get("labels") or {})


@lru_cache(maxsize=MOST_SHARED)
def _shared(networks: frozenset[tuple[ObjectKey, str]]) -> Mapping[ObjectKey, str]:
    """One object for equal networks: the next page compares it at once."""
    return dict(networks)


def _members(
    pod: Object,
    known: Mapping[ObjectKey, str],
    space: Mapping[str, str],
    above: Sequence[Object],
) -> tuple[Member, ...]:
    """A pod's members; `space`: its namespace's labels, `above`: what controls it."""
    make = functools.partial(_made, pod, known, space, above)
    return remembered.once(pod, "members", (known, space, above), make)


def _made(
    pod: Object,
    known: Mapping[ObjectKey, str],
    space: Mapping[str, str],
    above: Sequence[Object],
) -> tuple[Member, ...]:
    joined: dict[str, list[_Attached]] = {}
    for each in _parsed(pod):
        if network := known.get(each.nad, "") if each.nad is not None else "":
            joined.setdefault(network, []).append(each)
    return tuple(_each(pod, joined, space, above)) if joined else ()


def _each(
    pod: Object,
    joined: Mapping[str, Sequence[_Attached]],
    space: Mapping[str, str],
    above: Sequence[Object],
) -> Iterator[Member]:
    meta, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    workload = workloads.controlling(pod, above)
    pod_key = f"{meta['namespace']}/{meta['name']}"
    labels, ports = _labels(pod), podports.NamedPorts(pod)
    for network, attachments in joined.items():
        for each in attachments:
            endpoint = netpolicy.Endpoint(
                namespace=meta["namespace"],
                pod=meta["name"],
                labels=labels,
                namespace_labels=space,
                network=network,
                addresses=each.addresses,
                named_ports=ports,
            )
            yield Member(
                id=f"{pod_key}@{each.interface}" if len(attachments) > 1 else pod_key,
                node=spec.get("nodeName", ""),
                interface=each.interface,
                mac=each.mac,
                endpoint=endpoint,
                machine=labels.get(names.VM_NAME, ""),
                running=status.get("phase") == "Running",
                workload=workload,
            )


@dataclass(frozen=True, slots=True)
class _Attached:
    """An allocation of a pod's annotations."""

    nad: ObjectKey | None
    interface: str
    mac: str
    addresses: tuple[model.Address, ...]


def prepare(pod: Object) -> tuple[model.Address, ...]:
    """Parse a pod's annotations before somebody looks at it; returns its addresses."""
    if (pod.get("status") or {}).get("phase") in _DONE:
        return ()
    return tuple(address for each in _parsed(pod) for address in each.addresses)


def _parsed(pod: Object) -> tuple[_Attached, ...]:
    meta = pod["metadata"]
    notes = meta.get("annotations") or {}
    if not notes.get(names.POD_NETWORKS):
        return ()
    key = meta["namespace"], meta["name"], tuple(notes.items())
    length = sum(map(len, notes.values()))
    return _remembered.of(key, length, functools.partial(_read, *key))


def _read(
    namespace: str, name: str, annotations: tuple[tuple[str, str], ...]
) -> tuple[_Attached, ...]:
    """What annotations say. A page is made again for each change of one pod: the texts of all
    others are the same as before."""
    meta = {"namespace": namespace, "name": name, "annotations": dict(annotations)}
    pod = {"metadata": meta}
    try:
        allocations = podnetworks.parse(pod)
        interfaces = {one.key: one.interface for one in selection.parse(pod)}
    except errors.InvalidInput:
        return ()  # weft makes no ports for an invalid pod
    return tuple(
        _Attached(
            nad=podnetworks.nad_of(key),
            interface=interfaces[key],
            mac=allocation.mac,
            addresses=tuple(interface.ip for interface in allocation.addresses),
        )
        for key, allocation in allocations.items()
        if key in interfaces
    )


_remembered = remembered.Texts(MOST_OF_PODS)
_NOTHING: Mapping[str, str] = {}


def _reported(
    member: Member, nics: Mapping[guestaddresses.Key, Mapping[str, Any]]
) -> tuple[model.Address, ...]:
    nic = nics.get((member.endpoint.namespace, member.machine, member.mac), {})
    return tuple(address.ip for address in guestaddresses.of(nic))
