"""Finds the members and policies of a network in Kubernetes objects; pure.

A pod is a member of the networks on which it has an allocation, with the allocated addresses. On a
network without subnets nothing is allocated; a virtual machine then has the addresses that its
guest agent reports.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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

MOST_REMEMBERED = 20_000  # pods whose annotations are parsed once, some 2 KiB each
MOST_POLICIES = 2000  # that are parsed once
_DONE = ("Succeeded", "Failed")

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Objects:
    """The objects of a cluster that decide who may reach whom."""

    nads: Sequence[Object] = ()
    namespaces: Sequence[Object] = ()
    pods: Sequence[Object] = ()
    policies: Sequence[Object] = ()
    instances: Sequence[Object] = ()  # VirtualMachineInstances
    claims: Sequence[Object] = ()  # IPAMClaims
    controllers: Sequence[Object] = ()  # between a pod and its workload
    states: Sequence[Object] = ()  # Networks


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
    found = map(_in_force, objects.policies)
    return tuple(one for one in found if one is not None)


_in_force = remembered.by_text(policy.in_force, MOST_POLICIES)


def on(network: str, objects: Objects) -> tuple[Member, ...]:
    """The members of a network, sorted by namespace and name."""
    return everywhere(objects, {network}).get(network, ())


def everywhere(
    objects: Objects, only: Collection[str] | None = None
) -> dict[str, tuple[Member, ...]]:
    """The members of each network that has any, sorted by namespace and name; `only` of these."""
    labels = {obj["metadata"]["name"]: _labels(obj) for obj in objects.namespaces}
    nics = guestaddresses.nics(objects.instances)
    known = networks(objects)
    by_uid = workloads.index((*objects.instances, *objects.controllers))
    found: dict[str, list[Member]] = {}
    for pod in objects.pods:
        joined = _joined(pod, known, only)
        for member in _members(pod, joined, labels, by_uid) if joined else ():
            endpoint = member.endpoint
            if not endpoint.addresses and member.machine:
                endpoint = replace(endpoint, addresses=_reported(member, nics))
                member = replace(member, endpoint=endpoint)
            found.setdefault(endpoint.network, []).append(member)
    return {network: tuple(sorted(each, key=_order)) for network, each in found.items()}


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


def _joined(
    pod: Object, known: Mapping[ObjectKey, str], only: Collection[str] | None
) -> dict[str, list[_Attached]]:
    """What a pod has on each network; `only` of these."""
    joined: dict[str, list[_Attached]] = {}
    if (pod.get("status") or {}).get("phase") in _DONE:
        return joined
    for each in _parsed(pod):
        network = known.get(each.nad, "") if each.nad is not None else ""
        if network if only is None else network in only:
            joined.setdefault(network, []).append(each)
    return joined


def _members(
    pod: Object,
    joined: Mapping[str, Sequence[_Attached]],
    namespaces: Mapping[str, dict[str, str]],
    by_uid: Mapping[object, Object],
) -> Iterator[Member]:
    meta, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    workload = workloads.controlling(pod, by_uid)
    pod_key = f"{meta['namespace']}/{meta['name']}"
    labels, ports = _labels(pod), podports.NamedPorts(pod)
    for network, attachments in joined.items():
        for each in attachments:
            endpoint = netpolicy.Endpoint(
                namespace=meta["namespace"],
                pod=meta["name"],
                labels=labels,
                namespace_labels=namespaces.get(meta["namespace"], {}),
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


def _parsed(pod: Object) -> tuple[_Attached, ...]:
    meta = pod["metadata"]
    notes = meta.get("annotations") or {}
    if not notes.get(names.POD_NETWORKS):
        return ()
    is_short = sum(map(len, notes.values())) <= remembered.LONGEST
    read = _remembered if is_short else _read
    return read(meta["namespace"], meta["name"], tuple(notes.items()))


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


_remembered = lru_cache(maxsize=MOST_REMEMBERED)(_read)


def _reported(
    member: Member, nics: Mapping[guestaddresses.Key, Mapping[str, Any]]
) -> tuple[model.Address, ...]:
    nic = nics.get((member.endpoint.namespace, member.machine, member.mac), {})
    return tuple(address.ip for address in guestaddresses.of(nic))
