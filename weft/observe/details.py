"""Adds details from Kubernetes objects to a graph: guests' addresses, workloads, MTUs, troubles.

Pure. OVN's databases alone make a graph; objects add to it. What a guest reports is only shown.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from ipaddress import ip_interface, ip_network
from typing import Any

from weft import errors, model
from weft.alloc.ledger import AllocationOwner, Ledger
from weft.alloc.nodesubnets import NodeSubnets
from weft.api import ipamclaim, nad
from weft.api.objects import key as key_of
from weft.observe import guestaddresses, members, networkobjects, remembered, workloads
from weft.observe.graph import DatapathRole, Graph, Network, Port, Switch
from weft.observe.members import Object, Objects

MAX_REPORTED = 16  # addresses of one interface; a guest may report any number
MOST_SPECS = 2 << 20  # characters of NADs that are parsed once
MOST_COUNTED = 64  # networks whose free addresses are counted once
MAX_TROUBLES = 5  # sentences about a network; any number of NADs may be refused

Reports = Mapping[guestaddresses.Key, tuple[str, ...]]


def detailed(graph: Graph, objects: Objects) -> Graph:
    """Return the graph with details from the objects; invalid objects are skipped."""
    reports = reported(objects.instances)
    controlled = workloads.controlled(objects.pods, (*objects.instances, *objects.controllers))
    switches = tuple(
        replace(one, ports=tuple(_port(port, reports, controlled) for port in one.ports))
        for one in graph.switches
    )
    return of_networks(replace(graph, switches=switches), objects, specs(objects))


def of_networks(graph: Graph, objects: Objects, known: Mapping[str, model.NetworkSpec]) -> Graph:
    """Return the graph with details of networks alone; `known` are the `specs` of the objects."""
    claimed = _claimed(objects)
    by_network: dict[str, list[Switch]] = {}
    for switch in graph.switches:
        by_network.setdefault(switch.network, []).append(switch)
    reasons, troubles = networkobjects.reasons(objects.states), _troubles(objects)
    there = {network.name for network in graph.networks}
    return replace(
        graph,
        absent=tuple(
            Network(name, "", False, reasons=reasons[name], troubles=troubles.get(name, ()))
            for name in sorted(reasons.keys() - there)
        ),
        networks=tuple(
            _remembered(
                objects.memo,
                replace(
                    network,
                    reasons=reasons.get(network.name, ()),
                    troubles=troubles.get(network.name, ()),
                ),
                known.get(network.name),
                by_network.get(network.name, ()),
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
        spec = prepare_nad(each)
        if spec is not None and accepted.get(key_of(each)) == spec.name:
            found.setdefault(spec.name, spec)
    return found


def prepare(pod: Object) -> None:
    """Parse what a pod's annotations say before somebody looks at it; it is remembered."""
    for address in members.prepare(pod):
        _interface(str(address))


def prepare_nad(declaration: Object) -> model.NetworkSpec | None:
    """A parsed NAD, once for each object; None if it is invalid."""
    make = functools.partial(_spec, declaration)
    return remembered.once(declaration, "spec", None, make)


def _parsed(declaration: Object) -> model.NetworkSpec | None:
    try:
        return nad.parse(declaration)
    except errors.InvalidInput:
        return None


_spec = remembered.by_text(_parsed, MOST_SPECS)


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


def _remembered(memo: remembered.Memo, *given: Any) -> Network:
    """`_network` of the same, once."""
    return memo.of(("network", given[0].name), given, lambda: _network(*given))


def _network(
    network: Network,
    spec: model.NetworkSpec | None,
    switches: Iterable[Switch],
    claimed: Iterable[model.Interface],
) -> Network:
    if spec is None:
        return network
    if not spec.subnets:
        return replace(network, mtu=spec.mtu)
    found = tuple(switches)
    nodes = [one for one in found if one.role is DatapathRole.NODE]
    parts = tuple(NodeSubnets(one.zones[0], _subnets(one)) for one in nodes)
    free = _free(spec, parts, _held(found), frozenset(each.ip for each in claimed))
    return replace(network, mtu=spec.mtu, free=free)


def _held(switches: Iterable[Switch]) -> frozenset[str]:
    """The addresses that pods have."""
    return frozenset(
        text
        for one in switches
        for port in one.ports
        if port.owner is not None
        for text in port.addresses
    )


@lru_cache(maxsize=MOST_COUNTED)
def _free(
    spec: model.NetworkSpec,
    parts: tuple[NodeSubnets, ...],
    texts: frozenset[str],
    claimed: frozenset[model.Address],
) -> int | None:
    """How many addresses are free, in the family that has fewer. `texts`: those that pods have.

    On a layer3 network only the subnets that nodes have are counted, `parts`.
    """
    whole = model.Network(spec, 0)
    ledgers = [Ledger(whole, share) for share in parts] or [Ledger(whole)]
    if spec.topology is model.Topology.LAYER3 and not parts:
        return None
    held = [one for one in map(_interface, texts) if one is not None]
    held += [ip_interface(each) for each in claimed]  # some of them twice, which takes one
    for ledger in ledgers:
        ledger.reserve(AllocationOwner("all"), model.Allocation("", tuple(held)))
    free: dict[int, int] = {}
    for usage in (usage for ledger in ledgers for usage in ledger.usage()):
        free[usage.subnet.version] = free.get(usage.subnet.version, 0) + usage.free
    return min(free.values(), default=None)


def _subnets(switch: Switch) -> tuple[model.Subnet, ...]:
    return tuple(ip_network(text) for text in switch.subnets)


def _port(port: Port, reports: Reports, controlled: Mapping[str, workloads.Workload]) -> Port:
    if port.owner is None:
        return port
    workload = controlled.get(f"{port.owner.namespace}/{port.owner.pod}")
    owner = replace(port.owner, workload=workload)
    key = owner.namespace, owner.machine, port.mac.lower()
    seen = reports.get(key, ()) if owner.machine else ()
    return replace(port, owner=owner, reported=seen)


def reported(instances: Iterable[Object]) -> Reports:
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
    if "/" in address:
        return None
    try:
        return ip_interface(address)
    except ValueError:
        return None
