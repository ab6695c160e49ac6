"""What is under the networks: nodes, and tunnels as both of their ends have them."""

from __future__ import annotations

from typing import Any

from tests.support import topology as rows
from weft.observe import underlay
from weft.observe.snapshot import Snapshot
from weft.observe.underlay import TunnelState


def interfaces(zone: rows.Zone) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = zone.tables["Interface"]
    return {row["name"]: row for row in found.values()}


def states(made: list[Snapshot]) -> dict[tuple[str, str], TunnelState]:
    return {tunnel.nodes: tunnel.state for tunnel in underlay.build(made).tunnels}


def test_each_pair_of_nodes_has_a_tunnel() -> None:
    shown = underlay.build(rows.snapshots(rows.zones(3)))
    assert [node.name for node in shown.nodes] == ["node1", "node2", "node3"]
    pairs = [("node1", "node2"), ("node1", "node3"), ("node2", "node3")]
    assert [tunnel.nodes for tunnel in shown.tunnels] == pairs
    for tunnel in shown.tunnels:
        assert (tunnel.type, tunnel.state) == ("geneve", TunnelState.WHOLE)
        one, other = tunnel.ends
        assert (one.local, one.remote) == (other.remote, other.local)
    assert all(node.egress == ("br-phy",) for node in shown.nodes)


def test_a_tunnel_that_one_node_lacks() -> None:
    made = rows.zones(2)
    interfaces(made[0])["ovn-node2"]["type"] = "internal"
    assert states(rows.snapshots(made)) == {("node1", "node2"): TunnelState.HALF}


def test_tunnels_that_should_be_there() -> None:
    made = rows.zones(2)
    for zone, other in zip(made, ("ovn-node2", "ovn-node1"), strict=True):
        interfaces(zone)[other]["type"] = "internal"
    assert states(rows.snapshots(made)) == {("node1", "node2"): TunnelState.NONE}


def test_a_tunnel_over_a_dead_link() -> None:
    made = rows.zones(2)
    interfaces(made[1])["ovn-node1"]["status"]["tunnel_egress_iface_carrier"] = "down"
    assert states(rows.snapshots(made)) == {("node1", "node2"): TunnelState.NONE}


def test_one_node_alone() -> None:
    assert states([rows.zones(2)[0].snapshot()]) == {("node1", "node2"): TunnelState.UNREAD}


def test_whose_interface_it_is() -> None:
    made = rows.zones(1)
    external = {"iface-id": "blue_shop_web", "weft/owner": "Pod/shop/web", "attached_mac": "0a:0b"}
    made[0].bridge("br-int", [made[0].interface("wp1", "internal", external_ids=external)])
    (node,) = underlay.build(rows.snapshots(made)).nodes
    found = [one for bridge in node.bridges for one in bridge.interfaces if one.owner]
    assert [(one.name, one.port, one.owner and one.owner.name, one.mac) for one in found] == [
        ("wp1", "blue_shop_web", "web", "0a:0b")
    ]
