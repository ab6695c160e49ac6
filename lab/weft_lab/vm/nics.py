"""Plugs and unplugs the NICs of a running machine, and sets their links: the launcher's side.

The node's handler connects to nics.sock in the machine's folder, sends the instance's specification
and reads which NICs the guest has. A NIC is plugged into a spare PCIe root port; a guest that does
not release one is asked again with the next request.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from weft import errors
from weft_lab import state
from weft_lab.vm import links, machine, nicplaces, qemu, qmp

log = logging.getLogger(__name__)

SOCKET = "nics.sock"
COMMAND = "sync-nics"
RELEASE_SECONDS = 5.0  # for a guest to release a device
_DEVICES = "/machine/peripheral"  # QEMU's devices that have an id
LONGEST_REQUEST = 1 << 20  # bytes


@dataclass(frozen=True, slots=True)
class PluggedNic:
    """A NIC that the guest has. `bus`: the root port that it sits in."""

    nic: machine.Nic
    number: int
    mac: str
    is_down: bool
    bus: str

    @property
    def is_secondary(self) -> bool:
        return self.nic.binding == "bridge" and bool(self.nic.network)


def to_plug(
    desired: Mapping[str, machine.Nic],
    plugged: Mapping[str, PluggedNic],
    attached: Collection[str],
) -> list[machine.Nic]:
    """The NICs that the guest lacks and can get while it runs.

    `attached`: the pod's interfaces that its network-status names. One that it does not name may be
    there, half made: the plugin sets its MAC and addresses yet.
    """
    missing = [nic for name, nic in desired.items() if name not in plugged]
    return [
        nic
        for nic in missing
        if nic.binding == "bridge" and nic.network and nic.pod_interface in attached
    ]


def to_rejoin(
    desired: Mapping[str, machine.Nic],
    plugged: Mapping[str, PluggedNic],
    attached: Collection[str],
) -> list[tuple[PluggedNic, machine.Nic]]:
    """The NICs whose network is another now, each with what it is to be; `attached` as above."""
    both = [(one, desired[name]) for name, one in plugged.items() if name in desired]
    return [
        (one, nic)
        for one, nic in both
        if one.nic.network != nic.network and nic.pod_interface in attached
    ]


def to_unplug(
    desired: Mapping[str, machine.Nic], plugged: Mapping[str, PluggedNic]
) -> list[PluggedNic]:
    """The NICs that the guest has and can lose while it runs."""
    return [one for name, one in plugged.items() if name not in desired and one.is_secondary]


def free_port(plugged: Mapping[str, PluggedNic], spares: int) -> int:
    """The first spare root port without a NIC; -1 if there is none."""
    used = {nicplaces.spare(one.bus) for one in plugged.values()}
    return next((port for port in range(spares) if port not in used), -1)


class Nics:
    """The NICs of one machine, as QEMU has them."""

    def __init__(
        self, vm: machine.Machine, cards: tuple[qemu.Card, ...], place: Path, ports: int
    ) -> None:
        self._vm, self._place, self._ports = vm, place, ports
        self._spares = nicplaces.spare_ports(ports)
        self._plugged = {
            nic.name: PluggedNic(nic, number, card.mac, nic.is_down, card.bus)
            for number, (nic, card) in enumerate(zip(vm.nics, cards, strict=True))
        }
        self._next = len(cards)
        self._macs: dict[tuple[str, int], str] = {}  # of the pod's interfaces before they changed
        self._turn = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        """Serves requests for as long as the scope lasts."""
        path = self._place / SOCKET
        path.unlink(missing_ok=True)
        with state.short(path) as name:
            server = await asyncio.start_unix_server(self._answer, name, limit=LONGEST_REQUEST)
        path.chmod(0o600)
        try:
            yield
        finally:
            server.close()
            path.unlink(missing_ok=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = orjson.loads(await reader.readline())
            spec = request["arguments"]["spec"]
            attached = frozenset(map(str, request["arguments"]["attached"]))
            async with self._turn:
                failures = await self.sync(spec, attached)
            buses = {name: one.bus for name, one in self._plugged.items()}
            places = nicplaces.Places(self._ports, buses).rendered()
            shown = {"nics": self._shown(), "failures": failures, "places": places}
            answer: dict[str, Any] = {"return": shown}
        except (errors.WeftError, OSError, ValueError, KeyError, TypeError) as error:
            answer = {"error": {"desc": str(error)}}
        with contextlib.suppress(ConnectionError):
            writer.write(orjson.dumps(answer) + b"\n")
            await writer.drain()
        writer.close()

    def _shown(self) -> list[dict[str, Any]]:
        return [
            {"name": name, "mac": one.mac, "down": one.is_down}
            for name, one in self._plugged.items()
        ]

    async def sync(self, spec: Mapping[str, Any], attached: Collection[str]) -> dict[str, str]:
        """Gives the guest the NICs of a specification; what failed, by NIC.

        A NIC whose pod lacks the interface yet is left for a later call.
        """
        vm = self._vm
        meta = {"namespace": vm.namespace, "name": vm.name, "uid": vm.uid}
        desired = {nic.name: nic for nic in machine.read({"metadata": meta, "spec": spec}).nics}
        failures: dict[str, str] = {}
        async with qmp.Monitor(self._place / "qmp.sock") as monitor:
            for one in to_unplug(desired, self._plugged):
                with _noting(failures, one.nic.name):
                    await self._unplug(monitor, one)
            for nic in to_plug(desired, self._plugged, attached):
                if links.exists(nic.pod_interface):
                    with _noting(failures, nic.name):
                        await self._plug(monitor, nic)
            for one, nic in to_rejoin(desired, self._plugged, attached):
                if links.exists(nic.pod_interface):  # else a later call finds it
                    with _noting(failures, nic.name):
                        await self._rejoin(monitor, one, nic)
            for name, one in tuple(self._plugged.items()):
                if name in desired and desired[name].is_down != one.is_down:
                    with _noting(failures, name):
                        await self._set_link(monitor, one, up=one.is_down)
        return failures

    async def _plug(self, monitor: qmp.Monitor, nic: machine.Nic) -> None:
        port = free_port(self._plugged, self._spares)
        if port < 0:
            raise errors.Unavailable(
                f"the machine has no PCIe root port left of {self._spares} spare ones",
                hint="restart the machine: it starts with the NIC",
            )
        taken = links.take_over(nic.pod_interface, nic.bridge, nic.tap, plugged=not nic.is_down)
        interface = nic.pod_interface, links.index(nic.pod_interface)
        pod_mac = self._macs.setdefault(interface, taken.mac)
        model, bus = machine.model(self._vm, nic), f"{nicplaces.SPARE}{port}"
        card = qemu.Card(nic.mac or pod_mac, nic.tap, taken.mtu, model, nic.is_down, bus)
        number, self._next = self._next, self._next + 1
        try:
            await monitor.execute("netdev_add", **qemu.backend(card, number))
            try:
                await monitor.add_device(qemu.front(card, number))
            except errors.WeftError:
                await monitor.execute("netdev_del", id=qemu.netdev(number))
                raise
        except errors.WeftError:
            links.part(nic.bridge, nic.tap)
            raise
        self._plugged[nic.name] = PluggedNic(nic, number, card.mac, False, bus)
        if nic.is_down:
            await self._set_link(monitor, self._plugged[nic.name], up=False)

    async def _unplug(self, monitor: qmp.Monitor, one: PluggedNic) -> None:
        card = f"card{one.number}"
        try:
            await monitor.execute("device_del", id=card)
        except errors.Unavailable as error:
            # An earlier request is under way, or the guest has released it meanwhile.
            if not ("unplug" in str(error) or "not found" in str(error)):
                raise
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                await _released(monitor, card)
        except TimeoutError:
            raise errors.NotReady(
                f"the guest has not released its NIC within {RELEASE_SECONDS:g} s",
                hint="it is asked again; a guest without PCIe hotplug releases none: restart it",
            ) from None
        await monitor.execute("netdev_del", id=qemu.netdev(one.number))
        links.part(one.nic.bridge, one.nic.tap)
        del self._plugged[one.nic.name]

    async def _rejoin(self, monitor: qmp.Monitor, one: PluggedNic, nic: machine.Nic) -> None:
        """Joins the NIC to its pod's new interface; the guest sees its cable out and in again."""
        links.rejoin(nic.pod_interface, nic.bridge, plugged=not one.is_down)
        if not one.is_down:
            for up in (False, True):
                await monitor.execute("set_link", name=qemu.netdev(one.number), up=up)
        self._plugged[nic.name] = replace(one, nic=replace(nic, is_down=one.nic.is_down))

    async def _set_link(self, monitor: qmp.Monitor, one: PluggedNic, *, up: bool) -> None:
        if up and one.is_secondary:
            links.join(one.nic.bridge, one.nic.pod_interface)
        await monitor.execute("set_link", name=qemu.netdev(one.number), up=up)
        self._plugged[one.nic.name] = replace(one, is_down=not up)


async def _released(monitor: qmp.Monitor, card: str) -> None:
    """Returns when QEMU has a device no more; its own list counts, an event may be lost."""
    while any(each["name"] == card for each in await monitor.execute("qom-list", path=_DEVICES)):
        async for event in monitor.events():
            if event["event"] == "DEVICE_DELETED":
                break


@contextlib.contextmanager
def _noting(failures: dict[str, str], name: str) -> Iterator[None]:
    try:
        yield
    except (errors.WeftError, OSError) as error:
        hint = getattr(error, "hint", "")
        failures[name] = f"{error}" + (f" ({hint})" if hint else "")
