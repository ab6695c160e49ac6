"""Adds details from Kubernetes objects to a graph: guests' addresses, workloads, MTUs, troubles.

Pure. OVN's databases alone make a graph; objects add to it. What a guest reports is only shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from ipaddress import ip_address, ip_interface, ip_network

from weft import errors, model
from weft.alloc.ledger import AllocationOwner, Ledger
from weft.alloc.nodesubnets import NodeSubnets
from weft.api import ipamclaim, nad
from weft.api.objects import key as key_of
from weft.observe import guestaddresses, members, networkobjects, workloads
from weft.observe.graph import DatapathRole, Graph, Network, Port, Switch
from weft.observe.members import Object, Objects

MAX_REPORTED = 16  # addresses of one interface; a guest may report any number
MAX_TROUBLES = 5  # sentences about a network; any number of NADs may be refused

_Reported = Mapping[guestaddresses.Key, tuple[str, ...]]


def detailed(graph: Graph, objects: Objects) -> Graph:
    """Return the graph with details from the objects; invalid objects are skipped."""
    reported = _reported(objects.instances)
    controlled = workloads.controlled(objects.pods, (*objects.instances, *objects.controllers))
    switches = tuple(
        replace(one, ports=tuple(_port(port, reported, controlled) for port in one.ports))
        for one in graph.switches
    )
    known = specs(objects)
    claimed = _claimed(objects)
    reasons, troubles = networkobjects.reasons(objects.states), _troubles(objects)
    there = {network.name for network in graph.networks}
    return replace(
        graph,
        switches=switches,
        absent=tuple(
            Network(name, "", False, reasons=reasons[name], troubles=troubles.get(name, ()))
            for name in sorted(reasons.keys() - there)
        ),
        networks=tuple(
            _network(
                replace(
                    network,
                    reasons=reasons.get(network.name, ()),
                    troubles=troubles.get(network.name, ()),
                ),
                known.get(network.name),
                [switch for switch in switches if switch.network == network.name],
                claimed.get(network.name, []),
            )
            for network in graph.networks
        ),
    )


def _troubles(objects: Objects) -> dict[str, tuple[str, ...]]:
    """What is wrong with each network, by its Network object."""
    found: dict[str, list[str]] = {}
    for name, message in networkobjects.troubles(objects.states):
        found.setdefault(name, []).append(message)
    return {name: _some(messages) for name, messages in found.items()}


def _some(messages: list[str]) -> tuple[str, ...]:
    more = len(messages) - MAX_TROUBLES
    return (*messages[:MAX_TROUBLES], *([f"and {more} more: weft networks"] if more > 0 else []))


def specs(objects: Objects) -> dict[str, model.NetworkSpec]:
    """The parsed NAD of each network by its name: the first that is valid and accepted."""
    accepted = members.networks(objects)
    found: dict[str, model.NetworkSpec] = {}
    for each in objects.nads:
        try:
            spec = nad.parse(each)
        except errors.InvalidInput:
            continue
        if spec is not None and accepted.get(key_of(each)) == spec.name:
            found.setdefault(spec.name, spec)
    return found


def _claimed(objects: Objects) -> dict[str, list[model.Interface]]:
    """Addresses that IPAMClaims hold, by network, whether or not their machines run."""
    found: dict[str, list[model.Interface]] = {}
    for claim in objects.claims:
        try:
            parsed = ipamclaim.parse(claim)
        except errors.InvalidInput:
            continue
        found.setdefault(parsed.network, []).extend(parsed.addresses)
    return found


def _network(
    network: Network,
    spec: model.NetworkSpec | None,
    switches: Iterable[Switch],
    claimed: Iterable[model.Interface],
) -> Network:
    if spec is None:
        return network
    return replace(network, mtu=spec.mtu, free=_free(spec, tuple(switches), tuple(claimed)))


def _free(
    spec: model.NetworkSpec, switches: tuple[Switch, ...], claimed: tuple[model.Interface, ...]
) -> int | None:
    """How many addresses are free, in the family that has fewer; None without subnets.

    On a layer3 network only the subnets that nodes have are counted.
    """
    if not spec.subnets:
        return None
    whole = model.Network(spec, 0)
    nodes = [one for one in switches if one.role is DatapathRole.NODE]
    parts = [NodeSubnets(one.zones[0], _subnets(one)) for one in nodes]
    ledgers = [Ledger(whole, share) for share in parts] or [Ledger(whole)]
    if spec.topology is model.Topology.LAYER3 and not parts:
        return None
    texts = {
        text
        for one in switches
        for port in one.ports
        if port.owner is not None
        for text in port.addresses
    }
    held = {one.ip: one for one in map(_interface, texts) if one is not None}
    held |= {each.ip: ip_interface(each.ip) for each in claimed}
    for ledger in ledgers:
        for address, interface in held.items():
            owner = AllocationOwner(str(address))
            ledger.reserve(owner, model.Allocation("", (interface,)))
    free: dict[int, int] = {}
    for usage in (usage for ledger in ledgers for usage in ledger.usage()):
        free[usage.subnet.version] = free.get(usage.subnet.version, 0) + usage.free
    return min(free.values(), default=None)


def _subnets(switch: Switch) -> tuple[model.Subnet, ...]:
    return tuple(ip_network(text) for text in switch.subnets)


def _port(port: Port, reported: _Reported, controlled: Mapping[str, workloads.Workload]) -> Port:
    if port.owner is None:
        return port
    workload = controlled.get(f"{port.owner.namespace}/{port.owner.pod}")
    owner = replace(port.owner, workload=workload)
    key = owner.namespace, owner.machine, port.mac.lower()
    seen = reported.get(key, ()) if owner.machine else ()
    return replace(port, owner=owner, reported=seen)


def _reported(instances: Iterable[Object]) -> _Reported:
    """Addresses that guest agents report, by interface.

    KubeVirt fills in the pod's own addresses for guests without an agent; those are skipped.
    """
    found: dict[guestaddresses.Key, tuple[str, ...]] = {}
    for key, nic in guestaddresses.nics(instances).items():
        if "guest-agent" not in str(nic.get("infoSource", "")):
            continue
        own = [str(each.ip) for each in guestaddresses.of(nic) if not each.ip.is_link_local]
        found[key] = tuple(sorted(own, key=lambda text: (":" in text, text))[:MAX_REPORTED])
    return found


@lru_cache(maxsize=members.MOST_REMEMBERED)
def _interface(address: str) -> model.Interface | None:
    """The address alone; None if the text is none."""
    try:
        return ip_interface(ip_address(address))
    except ValueError:
        return None
