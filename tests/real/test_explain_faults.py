"""What breaks on a node, and a policy: injected into real zones, named by explain, and mended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from tests.support import objects
from tests.support.explaining import MAPPINGS, Explained, step
from tests.support.realised import Cluster, alongside
from tests.support.zones import Zone
from weft import model
from weft.control.zone import writer
from weft.model import ObjectKey
from weft.observe import members

pytestmark = pytest.mark.real
A, B = "default.blue_default_a", "default.blue_default_b"
SWITCH = "blue_ovn_layer2_switch"
REMOTE = "options:remote_ip=192.0.2.2"
CONTROLLER = "/run/ovn/ovn-controller.pid"


@dataclass
class Node:
    """One node, to which harm is done by hand."""

    zone: Zone

    async def run(self, *argv: str) -> str:
        return (await asyncio.to_thread(self.zone.run, *argv)).strip()

    async def found(self, program: str, table: str, column: str, where: str) -> str:
        return await self.run(program, "--bare", f"--columns={column}", "find", table, where)

    async def restarts(self, daemon: str) -> None:
        await asyncio.to_thread(self.zone.stop, daemon)
        await asyncio.to_thread(self.zone.start, daemon)

    @asynccontextmanager
    async def without_controller(self) -> AsyncIterator[None]:
        """ovn-controller stands still: it mends nothing of what the block does."""
        await self.run("sh", "-ec", f"kill -STOP $(cat {CONTROLLER})")
        try:
            yield
        finally:
            await self.run("sh", "-ec", f"kill -CONT $(cat {CONTROLLER})")


async def build(cluster: Cluster) -> tuple[Explained, Node, Node]:
    """Pods a on the first node and b on the second, which reach each other."""
    world = await Explained.build(cluster, zones=2)
    await world.add("a", 11)
    await world.add("b", 12, zone=1)
    found = await world.reaches("a", "b")
    assert step(found, "tunnel node1 - node2") == "ok: both ends answer"
    for node in ("node1", "node2"):
        assert step(found, f"Open vSwitch on {node}") == "ok: ofproto/trace: the packet goes on"
    near, far = (Node(each.zone) for each in cluster.kept)
    return world, near, far


async def test_a_policy_of_the_source(cluster: Cluster) -> None:
    world, _, _ = await build(cluster)
    rule = {"to": [{"podSelector": {"matchLabels": {"app": "c"}}}]}
    world.policies.append(objects.policy("home", policyTypes=["Egress"], egress=[rule]))
    (policy,) = members.in_force(world.objects())
    key = ObjectKey("default", "home")
    await cluster.update(lambda zone: zone.policies.set_policy(key, policy))
    await cluster.synced()
    found = await world.stopped(
        "a", "b", "policy default/home isolates default/a (Egress), and no rule allows ping; add"
    )
    told = "ok: ovn-trace: dropped by an ACL of Namespace default, as policies say"
    assert step(found, "OVN on node1") == told

    world.policies.clear()  # it is gone, and its ACL is still there
    await world.stopped("a", "b", "OVN on node1 drops it by an ACL of Namespace default, though no")
    await cluster.update(lambda zone: zone.policies.set_policy(key, None))
    await cluster.synced()
    await world.reaches("a", "b")


async def test_what_ovn_has_bound_and_connected(cluster: Cluster) -> None:
    world, near, _ = await build(cluster)
    cluster.end()  # an agent would write it again
    await near.run("ovn-sbctl", "chassis-add", "chassis-3", "geneve", "192.0.2.3")
    elsewhere, there = [
        await near.found("ovn-sbctl", "Chassis", "_uuid", f"name=chassis-{number}")
        for number in (3, 2)
    ]
    bound = "OVN on node1 has bound the port of default/b to {}, not to node2; the agent on node1"
    await near.run("ovn-sbctl", "set", "Port_Binding", B, f"chassis={elsewhere}")
    await world.stopped("a", "b", bound.format("another node"))
    await near.run("ovn-sbctl", "clear", "Port_Binding", B, "chassis")
    await world.stopped("a", "b", bound.format("no node"))
    await near.run("ovn-sbctl", "set", "Port_Binding", B, f"chassis={there}")
    await world.reaches("a", "b")

    async with near.without_controller():
        tunnel = await near.found("ovs-vsctl", "Interface", "name", REMOTE)
        await near.run("ovs-vsctl", "del-port", "br-int", tunnel)
        told = "Open vSwitch on node1 has no tunnel to node2; is ovn-controller up on node1?"
        await world.stopped("a", "b", told)
    await world.reaches("a", "b")

    thief = ("--", "lsp-set-addresses", "thief", world.guests["b"].mac)
    addresses = await near.run("ovn-nbctl", "lsp-get-addresses", B)
    away = ("--", "lsp-set-addresses", B, "0a:58:0a:09:00:63")
    await near.run("ovn-nbctl", "--wait=hv", "lsp-add", SWITCH, "thief", *thief, *away)
    told = f"OVN on node1 outputs the packet to thief instead of {B}; do two ports have one MAC"
    await world.stopped("a", "b", told)
    back = ("--", "lsp-set-addresses", B, *addresses.splitlines())
    await near.run("ovn-nbctl", "--wait=hv", "lsp-del", "thief", *back)
    await world.reaches("a", "b")

    for place, told, *harm in (
        (0, "OVN on node1 does not know node node2; the", "ovn-sbctl", "chassis-del", "chassis-2"),
        (0, "OVN on node1 has no port for default/b; the", "ovn-nbctl", "--wait=hv", "lsp-del", B),
        (1, "OVN on node2 has no port for default/b; the", "ovn-nbctl", "--wait=hv", "lsp-del", B),
    ):
        kept = cluster.kept[place]
        await Node(kept.zone).run(*harm)
        await world.stopped("a", "b", told)
        again = writer.OvnWriter(kept.state, kept.nb, kept.sb, own=kept.info)
        async with alongside(again.run()):  # as an agent mends it
            await world.reaches("a", "b")


async def test_what_a_switch_has_lost(cluster: Cluster) -> None:
    world, near, far = await build(cluster)
    cluster.end()  # an agent would mend it
    guest = world.guests["b"]
    async with far.without_controller():
        await asyncio.to_thread(far.zone.unplug, guest)
        await world.stopped("a", "b", "Open vSwitch on node2 has no interface for default/b; the")
        await world.replug("b")
        told = "the flows of default/b are not in place on node2 (no ovn-installed); is ovn-contr"
        await world.stopped("a", "b", told)
    await world.reaches("a", "b")

    device = far.zone.device(guest)
    ids = ("external_ids:iface-id={}", "external_ids:iface-id-ver=uid-b")
    thief = ("--", "add-port", "br-int", "thief", "--", "set", "Interface", "thief")
    there = (*thief, "type=internal", ids[0].format(B), ids[1])
    await far.run("ovs-vsctl", "set", "Interface", device, ids[0].format("lost"), *there)
    told = "Open vSwitch on node2 has thief, which has the id of default/b's port and is not weft's"
    await world.stopped("a", "b", told)
    own = ("--", "set", "Interface", device, ids[0].format(B))
    await far.run("ovs-vsctl", "del-port", "thief", *own)
    await world.reaches("a", "b")

    for node in (near, far):
        async with node.without_controller():
            await node.run("ovs-ofctl", "del-flows", "br-int")
            told = f"Open vSwitch on {node.zone.name} drops what OVN would forward: it has no flow"
            await world.stopped("a", "b", told)
        await node.restarts("ovn-controller")
        await world.reaches("a", "b")


async def test_a_node_that_does_not_lead_to_the_physical_network(cluster: Cluster) -> None:
    """From the start: ovn-controller keeps what it has wired by a mapping that goes."""
    world = await Explained.build(cluster, zones=2, topology=model.Topology.LOCALNET)
    far = Node(cluster.kept[1].zone)
    own = await far.run("ovs-vsctl", "get", *MAPPINGS)
    await far.run("ovs-vsctl", "remove", *MAPPINGS[:2], "external_ids", "ovn-bridge-mappings")
    await world.add("a", 11)
    await world.add("b", 12, zone=1)
    told = "node node2 has no bridge mapping for physical network physnet; add physnet:BRIDGE to"
    await world.stopped("a", "b", told)
    await far.run("ovs-vsctl", "set", *MAPPINGS[:2], f"{MAPPINGS[2]}={own}")
    await world.reaches("a", "b")


async def test_a_northd_that_stands_still(cluster: Cluster) -> None:
    """On the node of the source or of the target: of what comes meanwhile it makes nothing."""
    world, near, far = await build(cluster)
    for number, node in ((13, near), (14, far)):
        name = f"pod{number}"
        await asyncio.to_thread(node.zone.stop, "ovn-northd")
        port = await world.declare(name, number, zone=1)
        told = f"northd on {node.zone.name} has not made the port of default/{name}; is ovn-northd"
        await world.stopped("a", name, told)
        await asyncio.to_thread(node.zone.start, "ovn-northd")
        await world.wire(port)
        await world.reaches("a", name)
