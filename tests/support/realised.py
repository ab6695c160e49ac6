"""Zones whose databases are kept by weft's zone writer, fed with objects by the test."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from ipaddress import ip_interface, ip_network
from typing import Any, Self

import pytest

from tests.support.allocated import allocated_pod
from tests.support.patience import PATIENCE
from tests.support.zones import Guest, Wire, Zone
from weft import errors, model, ranges, rows
from weft.control.zone import state, writer
from weft.model import ObjectKey
from weft.ovn import ports, tables
from weft.ovsdb.replica import Replica

PORT = ports.PORT
PORT_BINDINGS = rows.Table(
    "Port_Binding",
    ("logical_port", "chassis", "additional_chassis", "up", "type", "tunnel_key"),
    rows.ByColumns(("logical_port",)),
)
Stream = subprocess.Popen[str]


def network(
    name: str,
    number: int,
    *subnets: str,
    mtu: int = 1300,
    topology: model.Topology = model.Topology.LAYER2,
    vlan: int | None = None,
) -> state.DeclaredNetwork:
    """`vlan` is of a localnet, which is on physical network physnet."""
    physical = "physnet" if topology is model.Topology.LOCALNET else ""
    ranges_ = tuple(ip_network(subnet) for subnet in subnets)
    spec = model.NetworkSpec(name, topology, mtu, ranges_, vlan_id=vlan, physical_network=physical)
    return state.DeclaredNetwork(model.Network(spec, number))


def info(zone: Zone) -> model.NodeInfo:
    """What a node says of itself, with the id that it would get; no part of any network yet."""
    number = int(zone.name.removeprefix("node")) + 1
    transit = ranges.transit(number)
    return model.NodeInfo(zone.name, zone.chassis, (zone.address,), id=number, transit=transit)


class Kept:
    """One zone, its state and its writer."""

    def __init__(self, zone: Zone, nb: Replica, sb: Replica, style: ports.RemotePorts) -> None:
        self.zone, self.nb, self.sb = zone, nb, sb
        self.state = state.Zone(
            zone.name, zone.chassis, remote_ports=style, physical_network="physnet"
        )
        self.info = info(zone)
        self.on_written: Callable[[], None] = lambda: None
        self.writer = writer.OvnWriter(
            self.state, nb, sb, own=self.info, on_written=lambda: self.on_written()
        )

    @classmethod
    async def open(cls, stack: AsyncExitStack, zone: Zone, style: ports.RemotePorts) -> Self:
        made: list[Self] = []

        def again() -> None:
            made[0].writer.reset()

        nb = await stack.enter_async_context(
            await Replica.open(zone.nb, tables.NORTHBOUND, tables.NB, on_reset=again)
        )
        sb = await stack.enter_async_context(
            await Replica.open(
                zone.sb,
                tables.SOUTHBOUND,
                (*tables.SB, PORT_BINDINGS),
                on_reset=again,
                observed=tables.DERIVED,
            )
        )
        made.append(cls(zone, nb, sb, style))
        return made[0]

    async def synced(self) -> None:
        """Returns when the zone's switch does what its Northbound database says now."""
        await asyncio.to_thread(self.zone.synced)

    async def bound(self, port: str, chassis: str) -> None:
        """Returns when the port is bound to the chassis in this zone, and up if it is this one."""
        try:
            await self._bound(port, chassis)
        except errors.NotReady as error:
            told = await asyncio.to_thread(faults_of, self.zone, port)
            raise AssertionError(f"{error}\n{told}") from error

    async def _bound(self, port: str, chassis: str) -> None:
        await self.sb.wait_for("Chassis", chassis, lambda row: row is not None, timeout=PATIENCE)
        uuid = self.sb.uuid("Chassis", chassis)

        def there(row: object) -> bool:
            return (
                isinstance(row, dict)
                and row["chassis"] == uuid
                and (chassis != self.zone.chassis or row["up"] is True)
            )

        await self.sb.wait_for("Port_Binding", port, there, timeout=PATIENCE)


def faults_of(zone: Zone, port: str) -> str:
    """What a zone says of a port that is not as it should be, each daemon in its own words."""
    asked = (
        ("ovn-nbctl", "list", "Logical_Switch_Port", port),
        ("ovn-sbctl", "find", "Port_Binding", f"logical_port={port}"),
        ("ovn-sbctl", "--columns=_uuid,name", "list", "Chassis"),
        ("ovs-vsctl", "find", "Interface", f"external_ids:iface-id={port}"),
        ("ovn-appctl", "-t", "ovn-controller", "connection-status"),
        ("ovn-appctl", "-t", "ovn-northd", "status"),
        ("tail", "-n30", "/run/ovn/ovn-northd.log", "/run/ovn/ovn-controller.log"),
        ("tail", "-n10", "/run/openvswitch/ovs-vswitchd.log"),
        ("cat", "/proc/loadavg"),
    )
    return "\n".join(f"$ {' '.join(each)}\n{zone.run(*each, check=False)}" for each in asked)


class Cluster:
    """The same objects to every zone, as the API would bring them."""

    def __init__(self, wire: Wire, stack: AsyncExitStack, group: asyncio.TaskGroup) -> None:
        self.wire, self._stack, self._group = wire, stack, group
        self.kept: list[Kept] = []
        self._steps: list[Callable[[state.Zone], None]] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def zone(self, style: ports.RemotePorts = ports.RemotePorts.PLAIN) -> Kept:
        kept = await Kept.open(self._stack, self.wire.zone(), style)
        for step in self._steps:
            step(kept.state)
        self.kept.append(kept)
        self._tasks.append(self._group.create_task(kept.writer.run()))
        await self.node(kept, kept.info)
        return kept

    async def renamed(self, kept: Kept, chassis: str) -> Kept:
        """The node under another chassis id; all that keeps its zone starts anew, as its agent."""
        place = self.kept.index(kept)
        self._tasks[place].cancel()
        ids = f"external_ids:system-id={chassis}"
        await asyncio.to_thread(kept.zone.run, "ovs-vsctl", "set", "Open_vSwitch", ".", ids)
        kept.zone.chassis = chassis
        again = await Kept.open(self._stack, kept.zone, ports.RemotePorts.PLAIN)
        for step in self._steps:
            step(again.state)
        self.kept[place] = again
        self._tasks[place] = self._group.create_task(again.writer.run())
        await self.node(again, replace(kept.info, chassis=chassis))
        return again

    async def node(self, kept: Kept, info: model.NodeInfo) -> None:
        """What a node says of itself from now on."""
        kept.info = info
        await self.update(lambda zone: zone.set_node(info.name, info))

    async def update(self, step: Callable[[state.Zone], None]) -> None:
        """One change of the cluster, written by every zone when this returns."""
        self._steps.append(step)
        for kept in self.kept:
            step(kept.state)
            kept.writer.wake()
        for kept in self.kept:
            async with asyncio.timeout(PATIENCE):
                await kept.writer.settled()

    async def synced(self) -> None:
        """Returns when every zone's switch does what its Northbound database says now."""
        await asyncio.gather(*(kept.synced() for kept in self.kept))

    async def define(self, nad: str, declared: state.DeclaredNetwork | None) -> None:
        await self.update(lambda zone: zone.set_nad(ObjectKey.parse(nad), declared))

    async def pod(
        self,
        name: str,
        node: Kept,
        key: str,
        number: int,
        *addresses: str,
        uid: str = "",
        labels: Mapping[str, str] | None = None,
    ) -> model.Port:
        """A pod with one attachment; number is its tunnel key and the end of its MAC."""
        allocation = model.Allocation(
            f"0a:58:00:00:{number >> 8:02x}:{number & 255:02x}",
            tuple(ip_interface(address) for address in addresses),
            number,
        )
        ref = model.PodRef(model.ObjectKey("default", name), uid or f"uid-{name}")
        pod = allocated_pod(ref, node.zone.name, {key: allocation}, labels=labels or {})
        await self.update(lambda zone: zone.set_pod(ref.key, pod))
        return model.Port(ref, key, ObjectKey.parse(key), "", node.zone.name, allocation)

    async def options(self, port: model.Port, nic: model.NicOptions) -> None:
        """The pod again, which may have these from now on."""
        allocations = {port.key: replace(port.allocation, nic=nic)}
        pod = allocated_pod(port.pod, port.node, allocations)
        await self.update(lambda zone: zone.set_pod(port.pod.key, pod))

    async def gone(self, name: str) -> None:
        await self.update(lambda zone: zone.set_pod(ObjectKey("default", name), None))

    async def guest(self, kept: Kept, port: model.Port) -> Guest:
        """The pod's interface on its node, its port bound in every zone that has it."""
        name = ports.port_key(port)
        guest = await asyncio.to_thread(
            kept.zone.guest, name, port.allocation.mac, version=port.pod.uid
        )
        for each in self.kept:
            if each.nb.get(PORT, name) is not None:
                await each.bound(name, kept.zone.chassis)
        return guest

    def end(self) -> None:
        for task in self._tasks:
            task.cancel()


@asynccontextmanager
async def alongside(part: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Something that runs for as long as this is open."""
    task = asyncio.create_task(part)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def cluster(wire: Wire) -> AsyncIterator[Cluster]:
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        made = Cluster(wire, stack, group)
        yield made
        made.end()
