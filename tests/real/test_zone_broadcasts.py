"""Broadcasts to a machine while another node waits for it: once each, wherever it runs."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest

from tests.support import frames
from tests.support.migrating import Machine, followed, machine
from tests.support.patience import PATIENCE
from tests.support.realised import PORT, Cluster, Kept, network
from tests.support.zones import Guest, Space
from weft import model, names, rows, tunnelkeys

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


async def test_machines_that_wait_together_take_no_key_from_a_pod(cluster: Cluster) -> None:
    """Their own keys lead to one key for what stands in for each. To the second one northd would
    give any that is free here, and later none to the pod which has that one everywhere else."""
    a, b = [await cluster.zone() for _ in range(2)]
    await cluster.define(NAD, network("blue", 1, "10.1.0.0/24"))
    every = tunnelkeys.LAST_TUNNEL_KEY - tunnelkeys.LAST_POD_TUNNEL_KEY
    machines = [alike(cluster, every - 1 + number * every, f"vm{number}") for number in range(3)]
    for vm in machines:
        await vm.place(f"{vm.name}-1", a)
    async with followed(a, b):
        for vm in machines:
            await vm.place(f"{vm.name}-2", b, source=f"{vm.name}-1")
        await cluster.synced()
        keys = [await key_of(b, f"{vm.port}:source") for vm in machines]
        assert len({*keys}) == len(keys), keys
        assert all(each > tunnelkeys.LAST_POD_TUNNEL_KEY for each in keys), keys
        # The key of one that waits no more is free again, and the others keep theirs.
        await cluster.gone(f"{machines[0].name}-2")
        await cluster.synced()
        assert [await key_of(b, f"{vm.port}:source") for vm in machines[1:]] == keys[1:]
        await machines[0].place(f"{machines[0].name}-3", b, source=f"{machines[0].name}-1")
        await cluster.synced()
        assert [await key_of(b, f"{vm.port}:source") for vm in machines] == keys


def alike(cluster: Cluster, key: int, name: str) -> Machine:
    port = names.machine_port(NAD, "default", name, key)
    mac = f"0a:58:00:00:{key >> 8:02x}:{key & 0xFF:02x}"
    return Machine(cluster, NAD, model.Allocation(mac, (), key, logical_port=port), name)


async def key_of(kept: Kept, port: str) -> int:
    """The tunnel key that a port has in a zone's Southbound database."""
    found = 0

    def is_there(row: rows.Columns | None) -> bool:
        nonlocal found
        found = int(str(row["tunnel_key"])) if row is not None else 0
        return row is not None

    await kept.sb.wait_for("Port_Binding", port, is_there, PATIENCE)
    return found
