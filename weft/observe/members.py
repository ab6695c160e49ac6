"""Finds the members and policies of a network in Kubernetes objects; pure.

A pod is a member of the networks on which it has an allocation, with the allocated addresses. On a
network without subnets nothing is allocated; a virtual machine then has the addresses that its
guest agent reports.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from weft import errors, model, names
from weft.api import podnetworks, podports, policy, selection
from weft.api.objects import key as key_of
from weft.model import ObjectKey
from weft.observe import guestaddresses, workloads
from weft.observe.chassis import natural_key
from weft.observe.reach import Member
from weft.policy import netpolicy

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
    found = (policy.in_force(obj) for obj in objects.policies)
    return tuple(one for one in found if one is not None)


def on(network: str, objects: Objects) -> tuple[Member, ...]:
    """The members of a network, sorted by namespace and name."""
    labels = {obj["metadata"]["name"]: _labels(obj) for obj in objects.namespaces}
    nics = guestaddresses.nics(objects.instances)
    known = networks(objects)
    controlled = workloads.controlled(objects.pods, (*objects.instances, *objects.controllers))
    found = [
        replace(
            member,
            workload=controlled.get(member.pod),
            endpoint=replace(member.endpoint, addresses=_with(member, nics)),
        )
        for pod in objects.pods
        for member in _attached(pod, network, known, labels)
    ]
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


def _attached(
    pod: Object,
    network: str,
    known: Mapping[ObjectKey, str],
    namespaces: Mapping[str, dict[str, str]],
) -> Iterator[Member]:
    meta, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    if status.get("phase") in _DONE:
        return
    try:
        allocations = podnetworks.parse(pod)
        interfaces = {one.key: one.interface for one in selection.parse(pod)}
    except errors.InvalidInput:
        return  # weft makes no ports for an invalid pod
    keys = [key for key in allocations if _network(key, known) == network and key in interfaces]
    pod_key = f"{meta['namespace']}/{meta['name']}"
    for key in keys:
        allocation = allocations[key]
        endpoint = netpolicy.Endpoint(
            namespace=meta["namespace"],
            pod=meta["name"],
            labels=_labels(pod),
            namespace_labels=namespaces.get(meta["namespace"], {}),
            network=network,
            addresses=tuple(interface.ip for interface in allocation.addresses),
            named_ports=podports.named_ports(pod),
        )
        yield Member(
            id=f"{pod_key}@{interfaces[key]}" if len(keys) > 1 else pod_key,
            node=spec.get("nodeName", ""),
            interface=interfaces[key],
            mac=allocation.mac,
            endpoint=endpoint,
            machine=endpoint.labels.get(names.VM_NAME, ""),
            running=status.get("phase") == "Running",
        )


def _network(attachment: str, known: Mapping[ObjectKey, str]) -> str:
    return known.get(nad, "") if (nad := podnetworks.nad_of(attachment)) else ""


def _with(
    member: Member, nics: Mapping[guestaddresses.Key, Mapping[str, Any]]
) -> tuple[model.Address, ...]:
    own = member.endpoint.addresses
    nic = nics.get((member.endpoint.namespace, member.machine, member.mac), {})
    return own or tuple(address.ip for address in guestaddresses.of(nic))
