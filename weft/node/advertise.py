"""Sends router advertisements and DHCPv6 answers to this node's IPv6 guests (ADR 0004, 0074).

Each network has an OVS port for it. The port's device is in a network namespace of its own and has
no address, so that no guest reaches the node through it. A socket filter passes only router
solicitations and DHCPv6 of this node's guests; a guest that sends too many is ignored for a while.
`weft.ovn.advertisement` and `dhcpv6` render the frames.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from weft import errors, names, rows
from weft.host import netlink, netns, rawsocket
from weft.kube import queue
from weft.metrics import Figures, Metric
from weft.nic import port
from weft.node import budget
from weft.ovn import advertisement, dhcpv6
from weft.ovsdb import replica

log = logging.getLogger(__name__)

NAMESPACE = Path("/run/netns/weft-advertiser")
# Seconds between unsolicited advertisements: a random time from this range (RFC 4861, 6.2.4).
INTERVAL = (200.0, 600.0)
_SOLICITATION = 133
_AT_ONCE = 64  # frames that are read before other tasks run
_PATIENCE = 10.0
_STRAYS = ""  # the queue's key for ports without a network; no network has this name


@dataclass(slots=True)
class OpenDevice:
    """One network's open device."""

    said: advertisement.Advertisement
    sock: socket.socket
    budget: budget.Budget = field(default_factory=budget.Budget)
    muted: set[str] = field(default_factory=set)
    told: set[str] = field(default_factory=set)  # muted once, and logged
    timer: asyncio.TimerHandle | None = None


class RouterAdvertiser:
    """Serves the networks of the last `update`; one task of the agent.

    `interval`: seconds between unsolicited advertisements, from and to.
    """

    def __init__(
        self,
        ovs: replica.Replica,
        *,
        bridge: str = port.BRIDGE,
        namespace: Path = NAMESPACE,
        interval: tuple[float, float] = INTERVAL,
    ) -> None:
        self._ovs, self._bridge, self._namespace = ovs, bridge, namespace
        self._interval = interval
        self._wanted: dict[str, advertisement.Advertisement] = {}
        self._voices: dict[str, OpenDevice] = {}
        self._queue = queue.Queue[str]("router advertisement")
        self._sent = self._answered = self._muted = 0
        self._told = False
        ovs.subscribe("Interface", self._interface_changed)

    def update(self, wanted: Mapping[str, advertisement.Advertisement]) -> None:
        """Sets what to advertise from now on, by network."""
        if not self._told:
            self._told = True
            self._queue.add(_STRAYS)
        before, self._wanted = self._wanted, dict(wanted)
        for name in {*before, *wanted}:
            if before.get(name) != wanted.get(name):
                self._queue.add(name)

    async def run(self) -> None:
        """Serves until cancelled; its ports stay, so that a new agent finds them."""
        try:
            await self._queue.run(self._reconcile)
        finally:
            for name in list(self._voices):
                self._silence(name)

    @property
    def trouble(self) -> str:
        """Which network's advertisements cannot be sent, and why; else empty."""
        return self._queue.trouble

    def figures(self) -> Figures:
        return {
            Metric.ADVERTISED: len(self._voices),
            Metric.ADVERTISEMENTS: self._sent,
            Metric.SOLICITATIONS: self._answered,
            Metric.MUTED: self._muted,
        }

    async def _reconcile(self, name: str) -> None:
        if name == _STRAYS:
            await self._remove_strays()
            return
        said, voice = self._wanted.get(name), self._voices.get(name)
        if said is None:
            if voice is not None:
                self._silence(name)
                await self._ovs.apply((), [("Port", voice.said.device)])
            return
        if voice is not None and voice.said.device == said.device:
            await self._ovs.apply(desired(said, self._bridge))  # as somebody may have altered it
            before, voice.said = voice.said, said
            if before.leases.keys() != said.leases.keys():
                voice.budget.forget_but(said.leases.keys())
                voice.told &= said.leases.keys()
                listen(voice)
            if said.has_same_content_as(before):
                return
        else:
            if voice is not None:
                self._silence(name)
                await self._ovs.apply((), [("Port", voice.said.device)])
            await self._open(name, said)
        self._speak(name)

    async def _open(self, name: str, said: advertisement.Advertisement) -> None:
        """Makes the port, its device and a socket on it; uses what exists of them already.

        Raises Unavailable if one of them cannot be had.
        """
        await self._ovs.apply(desired(said, self._bridge))
        found = await self._ovs.wait_for("Interface", said.device, _settled, _PATIENCE)
        if found is None or port.failure(found[1]):
            what = port.failure(found[1]) if found else "was removed while it was being made"
            raise errors.Unavailable(what, where=f"OVS port {said.device}")
        try:
            sock = await asyncio.to_thread(settle, said, self._namespace)
        except OSError as error:
            raise errors.Unavailable(
                f"cannot be listened on: {error.strerror}", where=f"device {said.device}"
            ) from error
        self._voices[name] = OpenDevice(said, sock)
        listen(self._voices[name])
        asyncio.get_running_loop().add_reader(sock.fileno(), self._heard, name)
        log.info("advertising %s on network %s", ", ".join(map(str, said.prefixes)), name)

    def _silence(self, name: str) -> None:
        voice = self._voices.pop(name)
        if voice.timer is not None:
            voice.timer.cancel()
        asyncio.get_running_loop().remove_reader(voice.sock.fileno())
        voice.sock.close()

    def _heard(self, name: str) -> None:
        """Answers the frames of local guests that wait, and mutes a guest that sends too many."""
        voice = self._voices[name]
        now = asyncio.get_running_loop().time()
        for _ in range(_AT_ONCE):
            try:
                frame = voice.sock.recv(2048)
            except BlockingIOError:
                return
            except OSError as error:
                self._lost(name, error)
                return
            mac = frame[6:12].hex(":")
            if mac not in voice.said.leases or mac in voice.muted:
                continue
            if not voice.budget.spend(mac, now):
                self._mute(voice, mac)
                continue
            said = answer(voice.said, frame)
            if said is not None:
                self._answered += 1
                if not self._send(name, said):
                    return

    def _mute(self, voice: OpenDevice, mac: str) -> None:
        """Ignores the guest's frames for some time; other guests are served as before."""
        voice.muted.add(mac)
        self._muted += 1
        listen(voice)
        if mac not in voice.told:  # once, or the guest could fill the node's disk
            voice.told.add(mac)
            log.info(
                "guest %s of network %s asks too often; it is ignored for a while",
                mac,
                voice.said.network,
            )

        def hear_again() -> None:
            voice.muted.discard(mac)
            if voice.sock.fileno() >= 0:
                listen(voice)

        asyncio.get_running_loop().call_later(budget.MUTE, hear_again)

    def _speak(self, name: str) -> None:
        """Sends an advertisement to all local guests now, and again after a random time."""
        voice = self._voices.get(name)
        if voice is None:
            return
        if voice.timer is not None:
            voice.timer.cancel()
        pause = random.uniform(*self._interval)
        voice.timer = asyncio.get_running_loop().call_later(pause, self._speak, name)
        self._send(name, advertisement.to_all(voice.said))

    def _send(self, name: str, frame: bytes) -> bool:
        """Sends a frame; returns whether the device still exists."""
        try:
            self._voices[name].sock.send(frame)
            self._sent += 1
        except BlockingIOError:
            pass  # like a frame lost on the wire: the guest asks again
        except OSError as error:
            self._lost(name, error)
            return False
        return True

    def _lost(self, name: str, error: OSError) -> None:
        """Opens a lost device again; vswitchd, for example, has restarted."""
        log.info("device of network %s: %s; opening it again", name, error.strerror)
        self._silence(name)
        self._queue.add(name)

    def _interface_changed(
        self, _: str, old: rows.Columns | None, new: rows.Columns | None
    ) -> None:
        """Opens a device again that OVS lost or replaced.

        A restarted vswitchd makes a new device; the old one stays in the namespace, up and dead.
        """
        # A row that was ours before the change counts, even if its external_ids are gone.
        known = old if old is not None and is_ours(old) else new
        if known is None or not is_ours(known):
            return
        name = str(port.external_ids(known)[names.NETWORK])
        if old is not None and new is not None and not is_alike(old, new):
            self._queue.add(name)
        if name in self._voices:
            if new is not None and not _is_anew(old, new):
                return
            self._silence(name)
        self._queue.add(name)

    async def _remove_strays(self) -> None:
        """Removes the ports of networks that ended while no agent ran."""
        kept = {said.device for said in self._wanted.values()}
        strays = [
            ("Port", str(columns["name"]))
            for columns in self._ovs.rows("Interface").values()
            if is_ours(columns) and columns["name"] not in kept
        ]
        await self._ovs.apply((), strays)


def desired(said: advertisement.Advertisement, bridge: str) -> tuple[rows.Row, ...]:
    """Returns the rows of the OVS port that is bound to the network's advertiser port."""
    owner = names.network_owner(said.network)
    return (
        rows.Row(
            "Interface",
            said.device,
            {
                "name": said.device,
                "type": "internal",
                "external_ids": rows.MapEntries(
                    {
                        names.IFACE_ID: said.port,
                        names.OWNER: owner,
                        names.NETWORK: said.network,
                    }
                ),
            },
        ),
        rows.Row(
            "Port",
            said.device,
            {
                "name": said.device,
                "interfaces": frozenset({rows.Ref("Interface", said.device)}),
            },
            parent=rows.Ref("Bridge", bridge),
            parent_column="ports",
        ),
    )


def is_ours(columns: rows.Columns) -> bool:
    """Whether an Interface row is an advertiser's."""
    ids = port.external_ids(columns)
    network = str(ids.get(names.NETWORK, ""))
    return ids.get(names.IFACE_ID) == names.advertiser_port(network)


def is_alike(old: rows.Columns, new: rows.Columns) -> bool:
    """Whether all that `desired` writes is unchanged."""
    return is_ours(new) and all(old[name] == new[name] for name in ("name", "type"))


def _is_anew(old: rows.Columns | None, new: rows.Columns) -> bool:
    """Whether OVS has made another device. `ifindex` is 0 for one that was moved away."""
    if old is None or old["ofport"] != new["ofport"]:
        return True
    return old["ifindex"] != new["ifindex"] and new["ifindex"] not in (frozenset(), 0)


def prepare(namespace: Path) -> None:
    """Makes the namespace unless it exists."""
    namespace.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    if not _is_namespace(namespace):
        netns.unbind(namespace)
        netns.make(namespace)


def settle(said: advertisement.Advertisement, namespace: Path) -> socket.socket:
    """Moves the device into the namespace, without IP on it, and returns a socket on it."""
    prepare(namespace)
    if netlink.read(said.device) is not None:
        with netns.entered(str(namespace)):
            netlink.remove(said.device)  # a dead one, which OVS does not use any more
        with netns.opened(str(namespace)) as target:
            netlink.move(said.device, target, said.device)
    with netns.entered(str(namespace)):
        netlink.configure(
            said.device,
            mac=names.SERVER_MAC,
            mtu=said.mtu,
            sysctls=((f"net/ipv6/conf/{said.device}/disable_ipv6", "1", True),),
        )
        # The filter passes nothing until `listen` sets the guests.
        return rawsocket.open(said.device, _of_guests(()))


def listen(voice: OpenDevice) -> None:
    """Sets the socket's filter to the network's local guests that are not muted."""
    guests = voice.said.leases.keys() - voice.muted
    try:
        rawsocket.filter(voice.sock, _of_guests(guests))
    except OSError as error:  # too many guests for the kernel: `_heard` tells them apart
        log.warning("network %s: guests are not filtered: %s", voice.said.network, error.strerror)
        rawsocket.filter(voice.sock, _of_guests(None))


def answer(said: advertisement.Advertisement, frame: bytes) -> bytes | None:
    """Returns the answer to a guest's frame, None if it asks nothing."""
    solicited = advertisement.parse(frame)
    if solicited is not None:
        return advertisement.answer(said, solicited)
    asked = dhcpv6.parse(frame)
    if asked is not None:
        return dhcpv6.answer(asked, said.leases[asked.mac], said.settings)
    return None


def _of_guests(macs: Collection[str] | None) -> tuple[rawsocket.Instruction, ...]:
    return rawsocket.icmpv6_or_udp(_SOLICITATION, dhcpv6.SERVER_PORT, macs)


def _is_namespace(path: Path) -> bool:
    try:
        with netns.entered(str(path)):
            return True
    except netns.Gone:
        return False


def _settled(columns: rows.Columns | None) -> bool:
    return columns is not None and (port.number(columns) > 0 or bool(port.failure(columns)))
