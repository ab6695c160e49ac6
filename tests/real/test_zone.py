"""Networks across real OVN zones, judged by packets on the wire."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.realised import Cluster, network

pytestmark = pytest.mark.real


async def test_unicast_and_arp(cluster: Cluster) -> None:
    a, b = await cluster.zone(), await cluster.zone()
    await cluster.define("default/blue", network("blue", 1, "10.1.0.0/24"))
    one = await cluster.pod("one", a, "default/blue", 11, "10.1.0.11/24")
    two = await cluster.pod("two", b, "default/blue", 12, "10.1.0.12/24")
    first, second = await cluster.guest(a, one), await cluster.guest(b, two)
    for guest, address in ((first, "10.1.0.11/24"), (second, "10.1.0.12/24")):
        guest.run("busybox", "ip", "addr", "add", address, "dev", "eth0")
    assert await asyncio.to_thread(first.pings, "10.1.0.12", 3)
    assert await asyncio.to_thread(second.pings, "10.1.0.11", 3)
