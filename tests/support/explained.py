"""Evidence for tests of `weft explain`: a way without fault, of which tests change one part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

from tests.support.reach import PING, member
from weft.observe.explain.evidence import (
    End,
    EndKind,
    Evidence,
    InterfaceFacts,
    NetworkFacts,
    NodeFacts,
    NodeState,
    PolicyFinding,
    PortFacts,
    Probe,
    Trace,
    Unseen,
    UsedAddresses,
)
from weft.observe.reach import ProbeResult
from weft.policy import netpolicy

MACS = {"a": "0a:58:0a:09:00:01", "b": "0a:58:0a:09:00:02"}
CHASSIS = {"node1": "c1", "node2": "c2"}
ENCAPS = {"node1": ("172.31.1.11",), "node2": ("172.31.1.12",)}
BLUE = NetworkFacts("blue", "layer2", (ip_network("10.9.0.0/24"),), 1300)
NOTHING = tuple(
    PolicyFinding(each) for each in (netpolicy.Direction.EGRESS, netpolicy.Direction.INGRESS)
)


def end(name: str, node: str, address: str, kind: EndKind = EndKind.POD) -> End:
    """A running end on blue with an allocated address."""
    given = ip_interface(f"{address}/24")
    mac = MACS[name]
    return End(
        name=f"default/{name}",
        kind=kind,
        node=node,
        networks=("blue",),
        member=replace(member(name, address), node=node, mac=mac),
        allocated=(given,),
        port=f"default.blue_default_{name}",
        security=(f"{mac} {given}",),
    )


def port(name: str, bound: str, *, is_local: bool, **changes: Any) -> PortFacts:
    """A port that is bound as it should be."""
    found = InterfaceFacts(f"wp{name}", 5, is_installed=True) if is_local else None
    security = (f"{MACS[name]} 10.9.0.{1 if name == 'a' else 2}/24",)
    return replace(
        PortFacts(True, True, security, True, bound, bound, found),
        **changes,
    )


def zone(node: str, **changes: Any) -> NodeFacts:
    """A zone that has both ports, and a tunnel to the other node."""
    ports = {
        "default.blue_default_a": port("a", "c1", is_local=node == "node1"),
        "default.blue_default_b": port("b", "c2", is_local=node == "node2"),
    }
    other = "172.31.1.12" if node == "node1" else "172.31.1.11"
    here = NodeFacts(
        chassis=frozenset(CHASSIS.values()),
        own=CHASSIS[node],
        ports=ports,
        tunnels={other: True},
        trace=Trace(reaches=True),
        datapath=Trace(reaches=True) if node == "node1" else None,
    )
    return replace(here, **changes)


def used(*addresses: str, **changes: Any) -> UsedAddresses:
    found = UsedAddresses(tuple(map(ip_interface, addresses)), "the guest agent", is_up=True)
    return replace(found, **changes)


def evidence(connection: netpolicy.Connection = PING, **changes: Any) -> Evidence:
    """Everything is as it should be: a on node1 reaches b on node2."""
    whole = Evidence(
        source=end("a", "node1", "10.9.0.1"),
        target=end("b", "node2", "10.9.0.2"),
        connection=replace(
            connection, source=ip_address("10.9.0.1"), target=ip_address("10.9.0.2")
        ),
        network=BLUE,
        policies=NOTHING,
        states={node: NodeState(True, chassis, "") for node, chassis in CHASSIS.items()},
        used={"source": used("10.9.0.1/24"), "target": used("10.9.0.2/24")},
        nodes={node: zone(node) for node in CHASSIS},
        encaps=ENCAPS,
        probe=Probe(ProbeResult.ANSWERED, full=ProbeResult.ANSWERED, size=1300),
    )
    return replace(whole, **changes)


SILENT = Probe(ProbeResult.SILENT, left=True, arrived=False, size=1300)


def with_zone(node: str, **changes: Any) -> Mapping[str, NodeFacts | Unseen]:
    """The zones, of which one differs."""
    return {each: zone(each, **(changes if each == node else {})) for each in CHASSIS}


def with_port(node: str, name: str, **changes: Any) -> Mapping[str, NodeFacts | Unseen]:
    """The zones, of which one has a port that differs."""
    whole = zone(node)
    key = f"default.blue_default_{name}"
    ports = {**whole.ports, key: replace(whole.ports[key], **changes)}
    return with_zone(node, ports=ports)
