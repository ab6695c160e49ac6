"""Broadcasts to a machine while another node waits for it: once each, wherever it runs."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest

from tests.support import frames
from tests.support.migrating import followed, machine
from tests.support.patience import PATIENCE
from tests.support.realised import PORT, Cluster, network
from tests.support.zones import Guest, Space

pytestmark = pytest.mark.real

NAD = "default/blue"
FENCES, NUMBERED = (200, 201), range(100, 120)  # last octets


def who_has(guest: Guest, number: int) -> bytes:
    """An ARP request of 10.1.0.12 for an address that nobody has."""
    mac = bytes.fromhex(guest.mac.replace(":", ""))
    head = b"\xff" * 6 + mac + b"\x08\x06" + b"\0\x01\x08\0\x06\x04\0\x01"
    return head + mac + bytes((10, 1, 0, 12)) + b"\0" * 6 + bytes((10, 1, 0, number))


def heard(sender: Guest, space: Space) -> Counter[int]:
    """How often each of NUMBERED came; a fence before and one after them are sent until they do."""

    def fence(number: int) -> None:
        request, end = who_has(sender, number), time.monotonic() + PATIENCE
        while True:
            frames.send(sender.space, request)
            try:
                ear.until(lambda frame: frame[:42] == request, timeout=1)
                return
            except AssertionError:
                assert time.monotonic() < end, "no broadcast comes"

    with frames.capture(space) as ear:
        fence(FENCES[0])
        frames.send(sender.space, *(who_has(sender, each) for each in NUMBERED))
        fence(FENCES[1])
    asked = [frame[41] for frame in ear.received if frames.is_arp(frame)]
    return Counter(each for each in asked if each in NUMBERED)


async def test_the_target_nodes_pods_reach_a_machine_where_it_runs(cluster: Cluster) -> None:
    """Also one that is alone on its node; and no broadcast comes twice."""
    a, b = [await cluster.zone() for _ in range(2)]
    await cluster.define(NAD, network("blue", 1, "10.1.0.0/24"))
    peer = await cluster.guest(b, await cluster.pod("peer", b, NAD, 12, "10.1.0.12/24"))
    vm = machine(cluster, NAD, 20, "10.1.0.20/24")
    await vm.place("vm-1", a)
    left = await vm.plug("vm-1")
    await cluster.synced()
    counts = {"before": await asyncio.to_thread(heard, peer, left.space)}
    async with followed(a, b):
        await vm.place("vm-2", b, source="vm-1")
        waiting = await vm.plug("vm-2")
        await vm.copied(b)
        await cluster.synced()
        with frames.capture(waiting.space) as gate:
            counts["alone"] = await asyncio.to_thread(heard, peer, left.space)
            await cluster.guest(a, await cluster.pod("more", a, NAD, 11, "10.1.0.11/24"))
            await cluster.synced()
            counts["not alone"] = await asyncio.to_thread(heard, peer, left.space)
        assert not any(map(frames.is_arp, gate.received)), "the gate"
        await vm.announce("vm-2")
        await vm.stop("vm-1")
        await vm.place("vm-2", b, source="vm-1", active=True)
        await vm.copied(None)
        await vm.gone("vm-1")
        await cluster.synced()
        assert b.nb.get(PORT, f"{vm.port}:source") is None
        counts["moved"] = await asyncio.to_thread(heard, peer, waiting.space)
    for when, of_each in counts.items():
        assert set(of_each.values()) == {1}, (when, of_each)
        assert len(of_each) > len(NUMBERED) / 2, (when, of_each)
