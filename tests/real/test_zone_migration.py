"""A machine's port that moves between real zones, judged by packets from each of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_network

import pytest

from tests.support.migrating import Figures, Machine, followed, machine, pinging
from tests.support.realised import Cluster, Kept, network
from tests.support.zones import Guest
from weft import model
from weft.model import ObjectKey
from weft.policy import netpolicy

pytestmark = pytest.mark.real

NAD = "default/blue"
LOCALNET = model.Topology.LOCALNET


@dataclass
class Scene:
    """Machine vm of two families, which runs on `a`, and a peer on each of three nodes."""

    a: Kept
    b: Kept
    c: Kept
    peers: dict[str, Guest]
    vm: Machine

    @asynccontextmanager
    async def counted(self, address: str = "") -> AsyncIterator[dict[str, Figures]]:
        """Pings from all peers while this is open."""
        async with AsyncExitStack() as stack:
            yield {
                name: await stack.enter_async_context(pinging(peer, address or self.vm.address))
                for name, peer in self.peers.items()
            }


async def build(cluster: Cluster) -> Scene:
    zones = [await cluster.zone() for _ in range(3)]
    await cluster.define(NAD, network("blue", 1, "10.1.0.0/24", "fd00:1::/64"))
    peers = {}
    for number, kept in enumerate(zones, start=11):
        addresses = (f"10.1.0.{number}/24", f"fd00:1::{number}/64")
        port = await cluster.pod(f"peer-{kept.zone.name}", kept, NAD, number, *addresses)
        peers[kept.zone.name] = await cluster.guest(kept, port)
        for address in addresses:
            peers[kept.zone.name].take(address)
    vm = machine(cluster, NAD, 20, "10.1.0.20/24", "fd00:1::20/64")
    a, b, c = zones
    scene = Scene(a, b, c, peers, vm)
    await vm.place("vm-1", scene.a)
    await vm.plug("vm-1")
    for peer in peers.values():
        assert await asyncio.to_thread(peer.pings, vm.address)
    return scene


async def moved(scene: Scene, source: str, target: str, to: Kept) -> None:
    """From the target pod's creation to the end of the source's, under pings of all peers.

    The guest's own pause is left out, and what the target's node takes to let it through: the
    source falls silent only then. The bench holds how long that is.
    """
    vm = scene.vm
    async with scene.counted() as waiting:
        await vm.place(target, to, source=source)
        await vm.plug(target)
        await vm.copied(to)
        await asyncio.sleep(0.3)
    assert not any(each.is_cut for each in waiting.values()), waiting
    del waiting[to.zone.name]  # before the gate is there, this guest answers too: it is not paused
    assert not any(each.twice for each in waiting.values()), waiting
    async with scene.counted() as opened:
        await vm.announce(target)
        await vm.opened(target)
        await vm.stop(source)
        await asyncio.sleep(0.3)
    assert not any(each.is_cut for each in opened.values()), opened
    async with scene.counted() as flipped:
        await vm.place(target, to, source=source, active=True)
        await vm.copied(None)
        await vm.gone(source)
        await asyncio.sleep(0.3)
    assert not any(each.is_cut or each.twice for each in flipped.values()), flipped
    async with scene.counted() as after:
        await asyncio.sleep(0.3)
    assert not any(each.is_cut or each.twice for each in after.values()), after


async def test_a_machine_moves_there_and_back_and_on(cluster: Cluster) -> None:
    """The gate is shut each time, although the guest announced itself on that node before."""
    scene = await build(cluster)
    async with followed(scene.a, scene.b, scene.c):
        await moved(scene, "vm-1", "vm-2", scene.b)
        await moved(scene, "vm-2", "vm-3", scene.a)
        await moved(scene, "vm-3", "vm-4", scene.c)
        async with scene.counted("fd00:1::20") as last:
            await asyncio.sleep(0.3)
        assert not any(each.is_cut or each.twice for each in last.values()), last


async def test_a_policy_holds_at_each_moment_of_a_move(cluster: Cluster) -> None:
    """Whom it admits loses nothing, and who is shut out gets no answer, in either family."""
    scene = await build(cluster)
    vm = scene.vm
    admitted = tuple(ip_network(each) for each in ("10.1.0.11/32", "fd00:1::11/128"))
    blocks = tuple(netpolicy.IPBlock(each) for each in admitted)
    app = netpolicy.Selector((netpolicy.Requirement("app", netpolicy.Operator.IN, ("vm",)),))
    policy = netpolicy.Policy(
        *("default", "one", "uid-one", (ObjectKey.parse(NAD),), app),
        frozenset({netpolicy.Direction.INGRESS}),
        ingress=(netpolicy.Rule(0, blocks),),
    )
    await cluster.update(lambda zone: zone.policies.set_policy(policy.key, policy))
    for kept in cluster.kept:
        await kept.synced()
    inside, outside = scene.peers.pop(scene.a.zone.name), scene.peers
    async with followed(scene.a, scene.b, scene.c):
        for address, source, target, to in (
            ("10.1.0.20", "vm-1", "vm-2", scene.b),
            ("fd00:1::20", "vm-2", "vm-3", scene.c),
        ):
            assert await asyncio.to_thread(inside.pings, "10.1.0.20"), "the control"
            async with pinging(inside, address) as passed, scene.counted(address) as shut:
                await vm.place(target, to, source=source)
                await vm.plug(target)
                await vm.copied(to)
                await vm.announce(target)
                await vm.opened(target)
                await vm.stop(source)
                await vm.place(target, to, source=source, active=True)
                await vm.copied(None)
                await vm.gone(source)
                await asyncio.sleep(0.3)
            assert not passed.is_cut, passed
            for name in outside:
                assert len(shut[name]) == shut[name].lost, shut


async def test_a_migration_that_is_given_up_loses_nothing(cluster: Cluster) -> None:
    """Also when the gate was open already; and the next one to that node finds it shut."""
    scene = await build(cluster)
    vm = scene.vm
    async with followed(scene.a, scene.b, scene.c):
        for target, is_announced in (("vm-2", False), ("vm-3", True)):
            async with scene.counted() as figures:
                await vm.place(target, scene.b, source="vm-1")
                guest = await vm.plug(target)
                await vm.copied(scene.b)
                if is_announced:
                    await asyncio.to_thread(guest.run, "busybox", "ip", "addr", "flush", "eth0")
                    await vm.announce(target)
                await asyncio.sleep(0.3)
                await vm.gone(target)
                await vm.copied(None)
                await asyncio.sleep(0.3)
            assert not any(each.is_cut for each in figures.values()), figures
            del figures[scene.b.zone.name]  # see `moved`
            assert not any(each.twice for each in figures.values()), figures
        await moved(scene, "vm-1", "vm-4", scene.b)


async def test_a_guest_that_goes_on_at_its_source_is_reached_at_once(cluster: Cluster) -> None:
    """The target's gate is open already when its pod ends, as where QEMU fails at the last moment:
    nothing is lost but what the guest stood still."""
    scene = await build(cluster)
    vm = scene.vm
    async with followed(scene.a, scene.b, scene.c):
        await vm.place("vm-2", scene.b, source="vm-1")
        guest = await vm.plug("vm-2")
        await asyncio.to_thread(guest.run, "busybox", "ip", "addr", "flush", "eth0")
        await vm.copied(scene.b)
        async with scene.counted() as stopped:
            await vm.stop("vm-1")
            await vm.announce("vm-2")
            await asyncio.sleep(1)  # a peer that has no turn sends no pings for a while
        assert all(each.is_cut for each in stopped.values()), "the control: it stands still"
        await vm.resume("vm-1")
        async with scene.counted() as resumed:
            await asyncio.sleep(0.1)
            await vm.gone("vm-2")
            await vm.copied(None)
            await asyncio.sleep(0.3)
        assert not any(each.is_cut or each.twice for each in resumed.values()), resumed


async def test_on_the_wire_it_stays_with_the_source_until_the_cluster_says_it_moved(
    cluster: Cluster,
) -> None:
    """Peers on both nodes reach the source meanwhile, although the target has its interface up."""
    a, b = await cluster.zone(), await cluster.zone()
    await cluster.define(NAD, network("rack", 1, "10.1.0.0/24", topology=LOCALNET, vlan=20))
    peers = []
    for number, kept in ((11, a), (12, b)):
        port = await cluster.pod(f"peer-{number}", kept, NAD, number, f"10.1.0.{number}/24")
        peers.append(await cluster.guest(kept, port))
        peers[-1].take(f"10.1.0.{number}/24")
    vm = machine(cluster, NAD, 20, "10.1.0.20/24")
    await vm.place("vm-1", a)
    await vm.plug("vm-1")
    for peer in peers:
        assert await asyncio.to_thread(peer.pings, vm.address)
    await vm.place("vm-2", b, source="vm-1")
    await vm.plug("vm-2")
    for peer in peers:
        assert await asyncio.to_thread(peer.pings, vm.address)
    await vm.stop("vm-1")
    assert not await asyncio.to_thread(peers[1].pings, vm.address, 1), "it was the source"
    await vm.place("vm-2", b, source="vm-1", active=True)
    for peer in peers:
        assert await asyncio.to_thread(peer.pings, vm.address)
