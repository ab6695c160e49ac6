"""Pictures of real databases: rows written with OVN's own tools, read through their sockets."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.tests.support.labs import LabHouse
from weft import errors
from weft.observe import reading, topology
from weft.observe.graph import DatapathRole, Graph, Nat, Route
from weft_lab import sockets, spec, up

pytestmark = pytest.mark.real

# A gateway router between an external switch and a join switch, and a router behind that.
ROWS = """
lr-add GR_node1 -- set Logical_Router GR_node1 options:chassis=somewhere
lrp-add GR_node1 rtoe-GR_node1 0a:58:ac:1f:01:0b 172.31.1.11/24 fd98:1::11/64
lrp-add GR_node1 rtoj-GR_node1 0a:58:64:40:00:02 100.64.0.2/16
lr-nat-add GR_node1 snat 172.31.1.11 10.128.0.0/14
lr-route-add GR_node1 0.0.0.0/0 172.31.1.1
lr-add ovn_cluster_router
lrp-add ovn_cluster_router rtoj-ovn_cluster_router 0a:58:64:40:00:01 100.64.0.1/16
--policy=src-ip lr-route-add ovn_cluster_router 10.128.2.0/23 100.64.0.2
ls-add ext_node1
lsp-add ext_node1 br-ex_node1 -- lsp-set-type br-ex_node1 localnet
lsp-set-addresses br-ex_node1 unknown -- lsp-set-options br-ex_node1 network_name=physnet
lsp-add ext_node1 etor-GR_node1 -- lsp-set-type etor-GR_node1 router
lsp-set-options etor-GR_node1 router-port=rtoe-GR_node1
ls-add join
lsp-add join jtor-GR_node1 -- lsp-set-type jtor-GR_node1 router
lsp-set-options jtor-GR_node1 router-port=rtoj-GR_node1
lsp-add join jtor-ovn_cluster_router -- lsp-set-type jtor-ovn_cluster_router router
lsp-set-options jtor-ovn_cluster_router router-port=rtoj-ovn_cluster_router
"""


async def read(name: str, *, without: str = "") -> Graph:
    with up.running(name) as peer:
        zones = [
            reading.Addresses(
                node, **{**at, **({"nb": "unix:/nowhere"} if node == without else {})}
            )
            for node, at in sockets.databases(peer, spec.Lab(name=name, nodes=2))
        ]
        return topology.build(await reading.read(zones))


async def test_routers_nat_and_routes(labs: LabHouse) -> None:
    labs.up("rows", nodes=2)
    words = [word for line in ROWS.strip().splitlines() for word in (*line.split(), "--")]
    labs.run("node1", "ovn-nbctl", *words[:-1], lab="rows")
    graph = await read("rows")
    gateway, cluster = graph.routers
    assert (gateway.role, cluster.role) == (DatapathRole.GATEWAY, DatapathRole.CLUSTER)
    assert gateway.nats == (Nat("snat", "10.128.0.0/14", "172.31.1.11"),)
    assert gateway.routes == (Route("0.0.0.0/0", "172.31.1.1"),)
    assert cluster.routes == (Route("10.128.2.0/23", "100.64.0.2", "src-ip"),)
    assert {switch.name: switch.role for switch in graph.switches} == {
        "ext_node1": DatapathRole.EXTERNAL,
        "join": DatapathRole.JOIN,
    }
    outside = next(link for link in graph.links if link.port == "rtoe-GR_node1")
    assert outside.addresses == ("172.31.1.11/24", "fd98:1::11/64")
    assert [network.name for network in graph.networks] == ["default"]

    partly = await read("rows", without="node2")
    assert [(zone.name, zone.read) for zone in partly.zones] == [("node1", True), ("node2", False)]
    assert "/nowhere" in partly.zones[1].trouble
    assert partly.routers == graph.routers


async def test_nothing_to_read(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/none"
    with pytest.raises(errors.Unavailable, match="cannot connect"):
        await reading.read([reading.Addresses("here", address, address, address)])
