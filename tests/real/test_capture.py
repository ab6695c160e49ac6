"""Packets of one NIC, captured at its port: those and no others, whole to the end."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support import frames, packets, pcapfile
from tests.support.patience import PATIENCE
from tests.support.zones import Guest, Wire, Zone
from weft import errors, names
from weft.host import process
from weft.observe.capture import onnode, pcapng, session
from weft.observe.capture.order import Limits, Order
from weft.policy import netpolicy

pytestmark = pytest.mark.real

PORT, OTHER = 4321, 1234


def ends(number: int, to: int) -> packets.Ends:
    return packets.Ends(mac(number), mac(to), address(number), address(to))


def is_ipv4(packet: pcapng.Packet | pcapfile.Packet) -> bool:
    return packet.data[12:14] == b"\x08\x00"


def mac(number: int) -> str:
    return f"0a:58:0a:09:00:{number:02x}"


def address(number: int) -> str:
    return f"10.9.0.{number}"


@dataclass
class World:
    """A switch with three guests: two behind devices that OVS made, one behind a veth. A port is
    left for one more."""

    zone: Zone
    guests: dict[int, Guest] = field(default_factory=dict)

    def send(self, number: int, to: int, *ports: int) -> None:
        made = [
            packets.first(ends(number, to), netpolicy.Protocol.UDP, b"x" * 100, port=each)
            for each in ports
        ]
        frames.send(self.guests[number].space, *made)

    def command(self) -> process.Command:
        inside = self.zone.space.inside(sys.executable, "-m", "weft.observe.capture.onnode")
        return process.Command(tuple(inside), self.zone.space.env)


@pytest.fixture(scope="module")
def world(toolchain: object) -> object:
    wire = Wire(toolchain)  # type: ignore[arg-type]
    try:
        yield _world(wire.zone())
    finally:
        wire.end()


def _world(zone: Zone) -> World:
    made = World(zone)
    added = ["ls-add", "s"]
    for number in (1, 2, 3, 4):
        added += ["--", "lsp-add", "s", f"p{number}"]
        added += ["--", "lsp-set-addresses", f"p{number}", mac(number)]
    zone.run("ovn-nbctl", *added)
    for number in (1, 2):
        made.guests[number] = guest = zone.guest(f"p{number}", mac(number))
        inner = zone._inner(guest.space)
        ids = {names.POD_INTERFACE: "eth0", names.NETNS: f"/proc/{inner}/ns/net"}
        _own(zone, f"g{number - 1}", number, ids)
    made.guests[3] = _behind_veth(zone, 3)
    for number in made.guests:
        zone.run("ovs-vsctl", "wait-until", "Interface", device(number), "ofport>0")
    zone.synced()
    for number in made.guests:
        found = "external_ids:ovn-installed=true"
        zone.run("ovs-vsctl", "--timeout=60", "wait-until", "Interface", device(number), found)
    return made


def device(number: int) -> str:
    return f"veth{number}" if number > 2 else f"g{number - 1}"


def _own(zone: Zone, device: str, number: int, ids: dict[str, str]) -> None:
    """What weft's agent writes of a pod's port."""
    own = {names.OWNER: f"Pod/default/p{number}", **ids}
    pairs = [f'external_ids:"{key}"="{value}"' for key, value in own.items()]
    zone.run("ovs-vsctl", "set", "Interface", device, *pairs)


_VETH = """
import sys
from weft.host import netlink, netns
with netns.opened(sys.argv[1]) as there:
    netlink.make_veth(sys.argv[2], "eth0", there, mtu=1500, mac=sys.argv[3])
"""


def _behind_veth(zone: Zone, number: int) -> Guest:
    port, veth, space = f"p{number}", device(number), zone.space.fork("--net")
    zone.run(sys.executable, "-c", _VETH, f"/proc/{zone._inner(space)}/ns/net", veth, mac(number))
    space.run("busybox", "ip", "link", "set", "dev", "eth0", "up")
    iface = f"external_ids:iface-id={port}"
    zone.run("ovs-vsctl", "add-port", "br-int", veth, "--", "set", "Interface", veth, iface)
    _own(zone, veth, number, {})
    return Guest(space, port, mac(number))


@dataclass
class Running:
    """A capture that runs, and what it has taken."""

    enough: asyncio.Event
    data: bytearray
    seen: asyncio.Condition
    packets: list[pcapng.Packet]
    task: asyncio.Task[session.Outcome]

    def datagrams(self) -> int:
        """Those that a test sent: a guest's kernel sends others, of IPv6."""
        return sum(map(is_ipv4, self.packets))

    async def until(self, count: int) -> None:
        """Returns when it has so many datagrams."""
        async with asyncio.timeout(PATIENCE), self.seen:
            await self.seen.wait_for(lambda: self.datagrams() >= count)

    async def end(self) -> session.Outcome:
        self.enough.set()
        async with asyncio.timeout(PATIENCE):
            return await self.task


@asynccontextmanager
async def capturing(world: World, number: int, **changes: object) -> AsyncIterator[Running]:
    """A capture of one guest's NIC, from its first packet on."""
    asked = Order(f"p{number}", f"default/p{number}", "eth1 (blue)", **changes)  # type: ignore[arg-type]
    loop, begun = asyncio.get_running_loop(), asyncio.Event()
    enough, data, seen = asyncio.Event(), bytearray(), asyncio.Condition()
    found: list[pcapng.Packet] = []

    async def note() -> None:
        async with seen:
            seen.notify_all()

    def take(blocks: Sequence[tuple[pcapng.Block | None, bytes]]) -> None:
        for block, each in blocks:
            data.extend(each)
            if isinstance(block, pcapng.Packet):
                found.append(block)
        loop.call_soon_threadsafe(begun.set)
        asyncio.run_coroutine_threadsafe(note(), loop).result(PATIENCE)

    task = asyncio.create_task(session.run(world.command(), asked, take, enough=enough))
    waiting = asyncio.create_task(begun.wait())
    try:
        async with asyncio.timeout(PATIENCE):
            await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        yield Running(enough, data, seen, found, task)
    finally:
        waiting.cancel()
        task.cancel()
        await asyncio.gather(task, waiting, return_exceptions=True)


@pytest.mark.parametrize("number", [1, 3])
async def test_the_packets_of_one_nic_both_ways_and_nobody_elses(world: World, number: int) -> None:
    async with capturing(world, number) as running:
        await asyncio.to_thread(world.send, 2, 5, 9)  # to nobody, and not through this port
        await asyncio.to_thread(world.send, 2, number, PORT)
        await running.until(1)  # a busy switch would bring it after the next one
        await asyncio.to_thread(world.send, number, 2, OTHER)
        await running.until(2)
        outcome = await running.end()
    assert outcome.statistics is not None
    assert outcome.statistics.reason == onnode.ENOUGH
    assert outcome.statistics.dropped == 0
    file = pcapfile.read(bytes(running.data))
    sent = [
        packets.first(ends(2, number), netpolicy.Protocol.UDP, b"x" * 100, port=PORT),
        packets.first(ends(number, 2), netpolicy.Protocol.UDP, b"x" * 100, port=OTHER),
    ]
    mine = [(each.data, each.direction) for each in file.packets if is_ipv4(each)]
    assert mine == [(sent[0], pcapfile.INBOUND), (sent[1], pcapfile.OUTBOUND)]
    assert file.interface == "eth1 (blue)"
    assert file.received == outcome.packets == len(file.packets)


async def test_a_filter_and_a_snaplen(world: World) -> None:
    limits = Limits(length=60)
    async with capturing(world, 1, filter=f"udp dst port {PORT}", limits=limits) as running:
        await asyncio.to_thread(world.send, 2, 1, OTHER, PORT, OTHER)
        await running.until(1)
        await running.end()
    file = pcapfile.read(bytes(running.data))
    whole = packets.first(ends(2, 1), netpolicy.Protocol.UDP, b"x" * 100, port=PORT)
    assert [(each.data, each.length) for each in file.packets] == [(whole[:60], len(whole))]
    assert file.filter == f"udp dst port {PORT}"


async def test_it_ends_at_its_limits(world: World) -> None:
    for limits, reason in (
        (Limits(packets=3), "3 packets are captured"),
        (Limits(bytes=900), "the file would be larger than 900 bytes"),
        (Limits(seconds=0.5), "0.5 s are over"),
    ):
        async with capturing(world, 1, limits=limits, filter=f"port {PORT}") as running:
            await asyncio.to_thread(world.send, 2, 1, *[PORT] * 8)
            outcome = await running.task
        assert outcome.statistics is not None
        assert outcome.statistics.reason == reason
        file = pcapfile.read(bytes(running.data))
        assert len(file.packets) == outcome.packets
        if limits.packets == 3:
            assert outcome.packets == 3
        assert len(running.data) <= 1200 or limits.bytes != 900


async def test_a_nic_that_goes_ends_it(world: World) -> None:
    zone, ip = world.zone, ("busybox", "ip", "link")
    world.guests[4] = await asyncio.to_thread(_behind_veth, zone, 4)  # no other test's
    async with capturing(world, 4) as running:
        for state in ("down", "up"):
            await asyncio.to_thread(zone.run, *ip, "set", "dev", "veth4", state)
        async with asyncio.timeout(PATIENCE):
            while not running.datagrams():  # a link that was down for a while is not gone
                await asyncio.to_thread(world.send, 4, 2, PORT)
        await asyncio.to_thread(zone.run, *ip, "del", "veth4")
        async with asyncio.timeout(PATIENCE):
            outcome = await running.task
    assert outcome.statistics is not None
    assert outcome.statistics.reason == onnode.GONE
    assert len(pcapfile.read(bytes(running.data)).packets) == outcome.packets


async def test_a_port_of_another_pod_and_none_at_all(world: World) -> None:
    for asked in (Order("p1", "default/p2", "eth0"), Order("p9", "default/p9", "eth0")):
        with pytest.raises(errors.Unavailable, match="has no port p"):
            await session.run(world.command(), asked, print, enough=asyncio.Event())


def captures(world: World) -> set[int]:
    """The processes that capture in the zone."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            argv = (folder / "cmdline").read_bytes().split(b"\0")
            inside = os.readlink(folder / "ns/mnt") == os.readlink(
                f"/proc/{world.zone.space.pid}/ns/mnt"
            )
        except OSError:
            continue
        if inside and b"weft.observe.capture.onnode" in argv:
            found.add(int(folder.name))
    return found


async def test_the_nodes_process_ends_when_its_reader_is_killed(world: World) -> None:
    """Nothing is said: the pipes are closed, as kubectl's death closes them."""
    command = world.command()
    asked = Order("p1", "default/p1", "eth0")
    reader = await process.spawn(command.argv, env=command.env, stdin=True)
    assert reader.stdin is not None
    assert reader.stdout is not None
    reader.stdin.write(asked.line())
    async with asyncio.timeout(PATIENCE):
        await reader.stdout.readexactly(28)
    assert captures(world)
    reader.stdin.close()
    async with asyncio.timeout(PATIENCE):
        await reader.wait()
    assert not captures(world)


async def test_it_ends_when_the_reader_says_nothing_any_more(world: World) -> None:
    """A connection that is cut does not close a pipe: this reader is stopped, not gone."""
    code = "from weft.observe.capture import onnode, order; order.IDLE = 1.0; onnode.main()"
    argv = world.zone.space.inside(sys.executable, "-c", code)
    node = await process.spawn(argv, env=world.zone.space.env, stdin=True)
    assert node.stdin is not None
    node.stdin.write(Order("p1", "default/p1", "eth0").line())
    async with asyncio.timeout(PATIENCE):
        assert await node.wait() == 0
    assert not captures(world)
