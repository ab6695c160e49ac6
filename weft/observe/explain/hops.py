"""Says to whom a packet goes first, and in what form each zone on its way gets it. Pure.

Between nodes of a layer3 network a pod sends to its node's router. That router sends on a transit
switch, which both zones have, to the router of the other node.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from weft import model, names, ranges
from weft.observe.explain import zone
from weft.observe.explain.evidence import End, Evidence, NetworkFacts
from weft.ovn import router

LAYER3 = "layer3"
TTL = 64


@dataclass(frozen=True, slots=True)
class Crossing:
    """What one zone is asked: the port that the packet comes from, the one that it goes to, and the
    order."""

    ports: tuple[str, str]
    order: Mapping[str, Any]


def is_routed(evidence: Evidence) -> bool:
    """Whether packets between the ends pass routers."""
    network = evidence.network
    is_layer3 = isinstance(network, NetworkFacts) and network.topology == LAYER3
    source, target = evidence.source, evidence.target
    return is_layer3 and bool(source.member and target.member) and source.node != target.node


def gateway(end: End, version: int) -> model.Interface | None:
    """The address of the router in the end's subnet."""
    own = [each for each in end.allocated if each.version == version]
    return ranges.router(own[0].network) if own else None


def mac_towards(end: End, other: End, evidence: Evidence) -> str:
    """The MAC to which the end sends what is for the other; "" if it is not known."""
    if not is_routed(evidence):
        return other.member.mac if other.member else ""
    gateways = [ranges.router(each.network) for each in end.allocated]
    return router.mac(gateways) if gateways else ""


def crossings(evidence: Evidence, nodes: list[str]) -> dict[str, Crossing]:
    """What to ask each node; without a packet where it is not known what the zone gets."""
    source, target = evidence.source, evidence.target
    ports = source.port, target.port
    mac = mac_towards(source, target, evidence)
    macs = (source.member.mac, mac) if source.member and mac else None
    if not is_routed(evidence):
        tunnels = evidence.encaps.get(source.node, ())
        order = zone.order(ports, evidence.connection, macs, tunnels=tunnels)
        return {node: Crossing(ports, order) for node in nodes}
    assert isinstance(evidence.network, NetworkFacts)
    name = evidence.network.name
    out = source.port, names.transit_switch_port(name, target.node)
    into = names.transit_switch_port(name, source.node), target.port
    both = [evidence.routers.get(node, "") for node in (source.node, target.node)]
    between = (both[0], both[1]) if all(both) else None
    return {
        source.node: Crossing(out, zone.order(out, evidence.connection, macs)),
        target.node: Crossing(into, zone.order(into, evidence.connection, between, ttl=TTL - 1)),
    }
