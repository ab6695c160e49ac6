"""Routed networks across real OVN zones, judged by packets on the wire."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.realised import Cluster
from tests.support.routed import OUTSIDE, default, open_gateways, routed, secondary
from tests.support.zones import Guest
from weft import model
from weft.ovn import ports

pytestmark = pytest.mark.real

KEY = "default/blue"


async def pings(guest: Guest, address: str, count: int = 3) -> bool:
    return await asyncio.to_thread(guest.pings, address, count)


@pytest.mark.parametrize("style", ports.RemotePorts)
@pytest.mark.parametrize(
    ("definition", "key"),
    [
        (default("10.128.0.0/14", "fd00:10::/48"), "default"),
        (secondary("blue", 1, "10.64.0.0/16", "fd00:64::/48"), KEY),
    ],
    ids=["default", "secondary"],
)
async def test_pods_reach_pods_of_every_node(
    cluster: Cluster, definition: object, key: str, style: ports.RemotePorts
) -> None:
    net = await routed(cluster, definition, key, style=style)  # type: ignore[arg-type]
    a, b = cluster.kept
    one = await net.pod("one", a, 11)
    await net.pod("two", b, 12)
    await net.pod("near", a, 13)
    for version in (4, 6):
        assert await pings(one, net.address(a, 13, version))
        assert await pings(one, net.address(b, 12, version))
        assert await pings(net.guests["two"], net.address(a, 11, version))


async def test_the_outside_is_reached_and_does_not_reach_in(cluster: Cluster) -> None:
    net = await routed(cluster, default("10.128.0.0/14", "fd00:10::/48"), "default")
    outside = await open_gateways(cluster)
    a, b = cluster.kept
    one = await net.pod("one", a, 11)
    two = await net.pod("two", b, 12)
    for address in OUTSIDE:
        assert await pings(one, address)
        assert await pings(two, address)
