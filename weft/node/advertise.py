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

    advert: advertisement.Advertisement
    sock: socket.socket
    budget: budget.Budget = field(default_factory=budget.Budget)
    muted: set[str] = field(default_factory=set)
    logged: set[str] = field(default_factory=set)  # muted once, and logged
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
        self._desired: dict[str, advertisement.Advertisement] = {}
        self._devices: dict[str, OpenDevice] = {}
        self._queue = queue.Queue[str]("router advertisement")
        self._sent = self._answered = self._muted = 0
        self._is_updated = False
        ovs.subscribe("Interface", self._interface_changed)

    def update(self, desired: Mapping[str, advertisement.Advertisement]) -> None:
        """Sets what to advertise from now on, by network."""
        if not self._is_updated:
            self._is_updated = True
            self._queue.add(_STRAYS)
        before, self._desired = self._desired, dict(desired)
        for name in {*before, *desired}:
            if before.get(name) != desired.get(name):
                self._queue.add(name)

    async def run(self) -> None:
        """Serves until cancelled; its ports stay, so that a new agent finds them."""
        try:
            await self._queue.run(self._reconcile)
        finally:
            for name in list(self._devices):
                self._close(name)

    @property
    def trouble(self) -> str:
        """Which network's advertisements cannot be sent, and why; else empty."""
        return self._queue.trouble

    def figures(self) -> Figures:
        return {
            Metric.ADVERTISED: len(self._devices),
            Metric.ADVERTISEMENTS: self._sent,
            Metric.SOLICITATIONS: self._answered,
            Metric.MUTED: self._muted,
        }

    async def _reconcile(self, name: str) -> None:
        if name == _STRAYS:
            await self._remove_strays()
            return
        advert, device = self._desired.get(name), self._devices.get(name)
        if advert is None:
            if device is not None:
                self._close(name)
                await self._ovs.apply((), [("Port", device.advert.device)])
            return
        if device is not None and device.advert.device == advert.device:
            await self._ovs.apply(desired(advert, self._bridge))  # as somebody may have altered it
            before, device.advert = device.advert, advert
            if before.leases.keys() != advert.leases.keys():
                device.budget.forget_but(advert.leases.keys())
                device.logged &= advert.leases.keys()
                listen(device)
            if advert.has_same_content_as(before):
                return
        else:
            if device is not None:
                self._close(name)
                await self._ovs.apply((), [("Port", device.advert.device)])
            await self._open(name, advert)
        self._advertise(name)

    async def _open(self, name: str, advert: advertisement.Advertisement) -> None:
        """Makes the port, its device and a socket on it; uses what exists of them already.

        Raises Unavailable if one of them cannot be had; a port without its device is removed first.
        """
        await self._ovs.apply(desired(advert, self._bridge))
        found = await self._ovs.wait_for("Interface", advert.device, _settled, _PATIENCE)
        if found is None or port.failure(found[1]):
            what = port.failure(found[1]) if found else "was removed while it was being made"
            raise errors.Unavailable(what, where=f"OVS port {advert.device}")
        try:
            sock = await asyncio.to_thread(open_device, advert, self._namespace)
        except OSError as error:
            raise errors.Unavailable(
                f"cannot be listened on: {error.strerror}", where=f"device {advert.device}"
            ) from error
        except netlink.Failed:
            # It went with the namespace of a container that ended; OVS makes another for a new row.
            await self._ovs.apply((), [("Port", advert.device)])
            raise
        self._devices[name] = OpenDevice(advert, sock)
        listen(self._devices[name])
        asyncio.get_running_loop().add_reader(sock.fileno(), self._read_frames, name)
        log.info("advertising %s on network %s", ", ".join(map(str, advert.prefixes)), name)

    def _close(self, name: str) -> None:
        device = self._devices.pop(name)
        if device.timer is not None:
            device.timer.cancel()
        asyncio.get_running_loop().remove_reader(device.sock.fileno())
        device.sock.close()

    def _read_frames(self, name: str) -> None:
        """Answers the frames of local guests that wait, and mutes a guest that sends too many."""
        device = self._devices[name]
        now = asyncio.get_running_loop().time()
        for _ in range(_AT_ONCE):
            try:
                frame = device.sock.recv(2048)
            except BlockingIOError:
                return
            except OSError as error:
                self._lost(name, error)
                return
            mac = frame[6:12].hex(":")
            if mac not in device.advert.leases or mac in device.muted:
                continue
            if not device.budget.spend(mac, now):
                self._mute(device, mac)
                continue
            reply = answer(device.advert, frame)
            if reply is not None:
                self._answered += 1
                if not self._send(name, reply):
                    return

    def _mute(self, device: OpenDevice, mac: str) -> None:
        """Ignores the guest's frames for some time; other guests are served as before."""
        device.muted.add(mac)
        self._muted += 1
        listen(device)
        if mac not in device.logged:  # once, or the guest could fill the node's disk
            device.logged.add(mac)
            log.info(
                "guest %s of network %s asks too often; it is ignored for a while",
                mac,
                device.advert.network,
            )

        def unmute() -> None:
            device.muted.discard(mac)
            if device.sock.fileno() >= 0:
                listen(device)

        asyncio.get_running_loop().call_later(budget.MUTE, unmute)

    def _advertise(self, name: str) -> None:
        """Sends an advertisement to all local guests now, and again after a random time."""
        device = self._devices.get(name)
        if device is None:
            return
        if device.timer is not None:
            device.timer.cancel()
        pause = random.uniform(*self._interval)
        device.timer = asyncio.get_running_loop().call_later(pause, self._advertise, name)
        self._send(name, advertisement.to_all(device.advert))

    def _send(self, name: str, frame: bytes) -> bool:
        """Sends a frame; returns whether the device still exists."""
        try:
            self._devices[name].sock.send(frame)
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
        self._close(name)
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
        if name in self._devices:
            if new is not None and not _is_anew(old, new):
                return
            self._close(name)
        self._queue.add(name)

    async def _remove_strays(self) -> None:
        """Removes the ports of networks that ended while no agent ran."""
        kept = {each.device for each in self._desired.values()}
        strays = [
            ("Port", str(columns["name"]))
            for columns in self._ovs.rows("Interface").values()
            if is_ours(columns) and columns["name"] not in kept
        ]
        await self._ovs.apply((), strays)


def desired(advert: advertisement.Advertisement, bridge: str) -> tuple[rows.Row, ...]:
    """Returns the rows of the OVS port that is bound to the network's advertiser port."""
    owner = names.network_owner(advert.network)
    return (
        rows.Row(
            "Interface",
            advert.device,
            {
                "name": advert.device,
                "type": "internal",
                "external_ids": rows.MapEntries(
                    {
                        names.IFACE_ID: advert.port,
                        names.OWNER: owner,
                        names.NETWORK: advert.network,
                    }
                ),
            },
        ),
        rows.Row(
            "Port",
            advert.device,
            {
                "name": advert.device,
                "interfaces": frozenset({rows.Ref("Interface", advert.device)}),
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


def open_device(advert: advertisement.Advertisement, namespace: Path) -> socket.socket:
    """Moves the device into the namespace, without IP on it, and returns a socket on it."""
    prepare(namespace)
    if netlink.read(advert.device) is not None:
        with netns.entered(str(namespace)):
            netlink.remove(advert.device)  # a dead one, which OVS does not use any more
        with netns.opened(str(namespace)) as target:
            netlink.move(advert.device, target, advert.device)
    with netns.entered(str(namespace)):
        netlink.configure(
            advert.device,
            mac=names.SERVER_MAC,
            mtu=advert.mtu,
            sysctls=((f"net/ipv6/conf/{advert.device}/disable_ipv6", "1", True),),
        )
        # The filter passes nothing until `listen` sets the guests.
        return rawsocket.open(advert.device, _of_guests(()))


def listen(device: OpenDevice) -> None:
    """Sets the socket's filter to the network's local guests that are not muted."""
    guests = device.advert.leases.keys() - device.muted
    try:
        rawsocket.filter(device.sock, _of_guests(guests))
    except OSError as error:  # too many guests for the kernel: `_read_frames` skips the others
        log.warning(
            "network %s: guests are not filtered: %s", device.advert.network, error.strerror
        )
        rawsocket.filter(device.sock, _of_guests(None))


def answer(advert: advertisement.Advertisement, frame: bytes) -> bytes | None:
    """Returns the answer to a guest's frame, None if it asks nothing."""
    solicited = advertisement.parse(frame)
    if solicited is not None:
        return advertisement.answer(advert, solicited)
    message = dhcpv6.parse(frame)
    if message is not None:
        return dhcpv6.answer(message, advert.leases[message.mac], advert.settings_of(message.mac))
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
