"""Sends router advertisements to this node's IPv6 guests, one port a network (ADR 0004, 0074).

The question answered here: when is what `weft.ovn.advertisement` and `dhcpv6` render sent, and
through which device? The port's device lives in a network namespace of its own without any address,
so that no guest reaches the node through it; only router solicitations and DHCPv6 of this node's
guests wake this process, and none that asks without end.
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
_AT_ONCE = 64  # frames that are read before other work has its turn
_PATIENCE = 10.0
_STRAYS = ""  # the queue's key for ports that no network wants; no network has this name


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
    """Speaks on the networks of the last `update`, as one task of the agent."""

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
        """What to advertise from now on, by network."""
        if not self._told:
            self._told = True
            self._queue.add(_STRAYS)
        before, self._wanted = self._wanted, dict(wanted)
        for name in {*before, *wanted}:
            if before.get(name) != wanted.get(name):
                self._queue.add(name)

    async def run(self) -> None:
        """Speaks until cancelled; its ports stay, so that a new agent finds them."""
        try:
            await self._queue.run(self._reconcile)
        finally:
            for name in list(self._voices):
                self._silence(name)

    @property
    def trouble(self) -> str:
        """Which network's advertisements cannot be sent, and why."""
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
        """The port, its device and a socket on it: whatever is there of them already is used."""
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
        """Questions wait: answer those of local guests, and mute a guest that asks without end."""
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
        if mac not in voice.told:  # once, or it would write to the node's disk as it likes
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
        """To all local guests, now and again after some time."""
        voice = self._voices.get(name)
        if voice is None:
            return
        if voice.timer is not None:
            voice.timer.cancel()
        pause = random.uniform(*self._interval)
        voice.timer = asyncio.get_running_loop().call_later(pause, self._speak, name)
        self._send(name, advertisement.to_all(voice.said))

    def _send(self, name: str, frame: bytes) -> bool:
        """Whether the device is still there to speak through."""
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
        """The device is gone, with vswitchd say: open it anew."""
        log.info("device of network %s: %s; opening it again", name, error.strerror)
        self._silence(name)
        self._queue.add(name)

    def _interface_changed(
        self, _: str, old: rows.Columns | None, new: rows.Columns | None
    ) -> None:
        """Opens again what OVS lost or made anew: a switch that starts again makes another device,
        and the one that was moved away stays behind, up and dead."""
        # Before a change it was ours, even if nothing says so any more.
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
        """Ports of networks that went while no agent ran."""
        kept = {said.device for said in self._wanted.values()}
        strays = [
            ("Port", str(columns["name"]))
            for columns in self._ovs.rows("Interface").values()
            if is_ours(columns) and columns["name"] not in kept
        ]
        await self._ovs.apply((), strays)


def desired(said: advertisement.Advertisement, bridge: str) -> tuple[rows.Row, ...]:
    """The OVS port that is bound to the network's advertiser port."""
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
    """Whether all that `desired` writes is as it was."""
    return is_ours(new) and all(old[name] == new[name] for name in ("name", "type"))


def _is_anew(old: rows.Columns | None, new: rows.Columns) -> bool:
    """Whether the device in this namespace is another one. OVS says 0 for one that was moved."""
    if old is None or old["ofport"] != new["ofport"]:
        return True
    return old["ifindex"] != new["ifindex"] and new["ifindex"] not in (frozenset(), 0)


def prepare(namespace: Path) -> None:
    """The namespace, unless an earlier agent left it."""
    namespace.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    if not _is_namespace(namespace):
        netns.unbind(namespace)
        netns.make(namespace)


def settle(said: advertisement.Advertisement, namespace: Path) -> socket.socket:
    """Bring the device into the namespace, without any protocol of its own, and listen on it."""
    prepare(namespace)
    if netlink.read(said.device) is not None:
        with netns.entered(str(namespace)):
            netlink.remove(said.device)  # one that OVS has given up
        with netns.opened(str(namespace)) as target:
            netlink.move(said.device, target, said.device)
    with netns.entered(str(namespace)):
        netlink.configure(
            said.device,
            mac=names.SERVER_MAC,
            mtu=said.mtu,
            sysctls=((f"net/ipv6/conf/{said.device}/disable_ipv6", "1", True),),
        )
        # Nobody's until `listen` says whose.
        return rawsocket.open(said.device, _of_guests(()))


def listen(voice: OpenDevice) -> None:
    """Have the kernel pass on what the network's local guests ask, but for the muted ones."""
    guests = voice.said.leases.keys() - voice.muted
    try:
        rawsocket.filter(voice.sock, _of_guests(guests))
    except OSError as error:  # more guests than the kernel has memory for: they are told apart here
        log.warning("network %s: guests are not filtered: %s", voice.said.network, error.strerror)
        rawsocket.filter(voice.sock, _of_guests(None))


def answer(said: advertisement.Advertisement, frame: bytes) -> bytes | None:
    """What a guest is answered to this, if anything."""
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
