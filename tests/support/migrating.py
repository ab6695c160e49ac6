"""A virtual machine's port that moves from zone to zone, as its cluster's objects say; packets to
it are counted.

Its guests are namespaces with the machine's address: the one that is left loses its link, as a
paused guest does not answer, and the one that takes over announces itself as QEMU does.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from ipaddress import ip_interface
from typing import NamedTuple

from tests.support import cuts, frames, pinger
from tests.support.allocated import allocated_pod
from tests.support.patience import PATIENCE
from tests.support.realised import PORT, Cluster, Kept, alongside
from tests.support.zones import Guest
from weft import model, names, rows
from weft.control.zone import additionalchassis
from weft.migration import Migration
from weft.model import ObjectKey
from weft.ovn import ports


def rarp(mac: str) -> bytes:
    """The announcement that QEMU sends for a guest that it resumes (qemu/net/announce.c)."""
    own = bytes.fromhex(mac.replace(":", ""))
    head = b"\0\x01\x08\0\x06\x04\0\x03"
    return b"\xff" * 6 + own + b"\x80\x35" + head + (own + b"\0" * 4) * 2 + b"\0" * 18


class Ping(NamedTuple):
    """One ping: when it was sent and answered first (seconds), and how often it was answered."""

    sent: float
    answered: float
    times: int


class Figures(list[Ping]):
    """The pings of one peer."""

    @property
    def lost(self) -> int:
        return sum(not each.times for each in self)

    @property
    def is_cut(self) -> bool:
        return cuts.is_cut((each.sent, each.times) for each in self)

    @property
    def twice(self) -> int:
        return sum(each.times > 1 for each in self)

    @property
    def outage(self) -> float:
        """The longest time in which no ping was sent that was answered, in seconds."""
        longest, last = 0.0, self[0].sent if self else 0.0
        for each in self:
            if each.times:
                last = each.sent
            else:
                longest = max(longest, each.sent - last)
        return longest

    def __repr__(self) -> str:
        return (
            f"{len(self)} sent, {self.lost} lost, {self.twice} twice, {self.outage * 1000:.0f} ms"
        )


@asynccontextmanager
async def pinging(guest: Guest, address: str, interval: float = 0.01) -> AsyncIterator[Figures]:
    """Pings for as long as this is open; then the figures are there."""
    argv = (sys.executable, "-I", pinger.__file__, address, f"{interval:g}")
    process = guest.space.popen(*argv)
    assert process.stdin is not None
    assert process.stdout is not None
    figures = Figures()
    try:
        assert await asyncio.to_thread(process.stdout.readline)
        yield figures
        process.stdin.close()
        told = json.loads(await asyncio.to_thread(process.stdout.read))
        figures.extend(Ping(*each) for each in told["pings"])
    finally:
        process.kill()
        process.wait(PATIENCE)


@dataclass
class Machine:
    """Virtual machine `name` with one NIC on network `nad`; `guests` by pod."""

    cluster: Cluster
    nad: str
    allocation: model.Allocation
    name: str = "vm"
    pods: dict[str, Kept] = field(default_factory=dict)
    guests: dict[str, Guest] = field(default_factory=dict)

    def uid(self, pod: str) -> str:
        return f"uid-{pod}"

    @property
    def port(self) -> str:
        ref = model.PodRef(ObjectKey("default", "any"), "")
        return ports.of_attachment(self.nad, ref, self.allocation)

    @property
    def address(self) -> str:
        return str(self.allocation.addresses[0].ip)

    async def place(self, pod: str, kept: Kept, *, source: str = "", active: bool = False) -> None:
        """A pod of the machine on a node; `source`: it comes from that pod."""
        shared = Migration(source, self.uid(source), active) if source else None
        self.pods[pod] = kept
        ref = model.PodRef(ObjectKey("default", pod), self.uid(pod))
        allocations = {self.nad: replace(self.allocation, migration=shared)}
        made = allocated_pod(ref, kept.zone.name, allocations, {"app": "vm"})
        made = replace(made, pod=replace(made.pod, machine=self.name, created=pod))
        await self.cluster.update(lambda zone: zone.set_pod(ref.key, made))

    async def plug(self, pod: str) -> Guest:
        """The pod's interface on its node; its flows are in when this returns."""
        kept = self.pods[pod]
        guest = await asyncio.to_thread(
            kept.zone.guest, self.port, self.allocation.mac, version=self.uid(pod)
        )
        for address in self.allocation.addresses:
            guest.take(str(address))
        self.guests[pod] = guest
        find = ("ovs-vsctl", "--bare", "--columns=external_ids", "find", "Interface")
        mine = f"external_ids:iface-id-ver={self.uid(pod)}"
        async with asyncio.timeout(PATIENCE):
            while "ovn-installed=true" not in await asyncio.to_thread(kept.zone.run, *find, mine):
                pass
        return guest

    async def copied(self, to: Kept | None) -> None:
        """Returns when other zones copy packets to this one, or to none."""
        for kept in self.cluster.kept:
            if kept is to or kept.nb.get(PORT, self.port) is None:
                continue
            meant = {kept.sb.uuid("Chassis", to.zone.chassis)} if to is not None else set()

            def is_so(row: rows.Columns | None, meant: set[str | None] = meant) -> bool:
                found = row["additional_chassis"] if row is not None else ()
                return isinstance(found, Set) and set(found) == meant

            await kept.sb.wait_for("Port_Binding", self.port, is_so, PATIENCE)

    async def stop(self, pod: str) -> None:
        await self._set(pod, "down")

    async def resume(self, pod: str) -> None:
        await self._set(pod, "up")

    async def _set(self, pod: str, state: str) -> None:
        command = ("busybox", "ip", "link", "set", "eth0", state)
        await asyncio.to_thread(self.guests[pod].run, *command)

    async def announce(self, pod: str) -> None:
        await asyncio.to_thread(frames.send, self.guests[pod].space, rarp(self.allocation.mac))

    async def opened(self, pod: str) -> None:
        """Returns when the pod's node lets its guest through, who has announced itself."""
        kept = self.pods[pod]
        where = [["logical_port", "==", self.port]]
        select = {"op": "select", "table": "Port_Binding", "where": where, "columns": ["options"]}
        async with asyncio.timeout(PATIENCE):
            while True:
                (found,) = await kept.sb.transact([select])
                if any(ports.ACTIVATED in dict(row["options"][1]) for row in found["rows"]):
                    break
                await asyncio.sleep(0.02)
        await kept.synced()

    async def gone(self, pod: str) -> None:
        kept = self.pods.pop(pod)
        find = ("ovs-vsctl", "--bare", "--columns=name", "find", "Interface")
        device = kept.zone.run(*find, f"external_ids:iface-id-ver={self.uid(pod)}").strip()
        await asyncio.to_thread(kept.zone.run, "ovs-vsctl", "--if-exists", "del-port", device)
        await self.cluster.gone(pod)


def machine(cluster: Cluster, nad: str, number: int, *addresses: str) -> Machine:
    allocation = model.Allocation(
        f"0a:58:00:00:00:{number:02x}",
        tuple(map(ip_interface, addresses)),
        number,
        logical_port=names.machine_port(nad, "default", "vm", number),
    )
    return Machine(cluster, nad, allocation)


@asynccontextmanager
async def followed(*zones: Kept) -> AsyncIterator[list[additionalchassis.AdditionalChassis]]:
    """The zones' additional chassis, kept as their agents do."""
    kept = [additionalchassis.AdditionalChassis(each.nb, each.sb) for each in zones]
    for zone, each in zip(zones, kept, strict=True):
        zone.writer.before = each.switch
    async with alongside(_all(kept)):
        yield kept


async def _all(kept: list[additionalchassis.AdditionalChassis]) -> None:
    await asyncio.gather(*(each.run() for each in kept))
