"""The way between nodes of a layer3 network, which leads over the routers of two zones."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.support import objects
from tests.support.explaining import PING, Explained, accepted, step
from tests.support.patience import PATIENCE
from tests.support.realised import Cluster
from tests.support.routed import routed, secondary
from weft.observe.explain.sentence import Outcome

pytestmark = pytest.mark.real
KEY = "default/blue"
SUBNETS = "10.64.0.0/16", "fd00:64::/48"
SHORT = 0.6


async def test_a_way_over_two_routers(cluster: Cluster) -> None:
    net = await routed(cluster, secondary("blue", 1, *SUBNETS), KEY)
    nad = objects.nad("blue", "10.64.0.0/16/24,fd00:64::/48/64", topology="layer3", mtu=1300)
    world = Explained(cluster, accepted(nad))
    for number, (name, kept) in enumerate(zip("ab", cluster.kept, strict=True), 11):
        guest = await net.pod(name, kept, number)
        await world.plug(net.ports[name], guest)
    there = net.address(cluster.kept[1], 12, 4)
    assert await asyncio.to_thread(world.guests["a"].pings, there)

    async def stopped(expected: str) -> None:
        end = time.monotonic() + PATIENCE
        while expected not in (found := await world.ask("a", "b", patience=SHORT)).sentence:
            assert time.monotonic() < end, found
        assert found.outcome is Outcome.STOPPED

    for ipv6 in (False, True):
        found = await world.ask("a", "b", PING, ipv6=ipv6)
        assert found.sentence == "default/a reaches default/b by ping on blue.", found
        assert step(found, "OVN on node1") == (
            "ok: ovn-trace: the packet is output to the router of node2"
        )
        assert step(found, "OVN on node2") == "ok: ovn-trace: the packet is output to default/b"
        assert step(found, "Open vSwitch on node1").startswith("ok: ")
        assert step(found, "MTU") == "ok: packets of 1300 bytes pass"
        for role in ("source", "target"):
            assert step(found, f"{role} address").startswith("ok: ")

    cluster.end()  # an agent would remove what is not its own
    zone = cluster.kept[1].zone
    policy = ("blue_ovn_cluster_router", "1000", f"ip4.dst == {there}", "drop")
    await asyncio.to_thread(zone.run, "ovn-nbctl", "lr-policy-add", *policy)
    await asyncio.to_thread(zone.synced)
    await stopped(f"OVN on node2 drops the packet in lr_in_policy: ip4.dst == {there}")
    await asyncio.to_thread(zone.run, "ovn-nbctl", "lr-policy-del", policy[0])
    await asyncio.to_thread(zone.synced)

    way = ("busybox", "ip", "route", "del", SUBNETS[0])
    await asyncio.to_thread(world.guests["b"].run, *way)
    await stopped(f"default/b has {there}, and answers no ping at its own port")
