"""Probes from inside pods, with sockets made in their network namespaces; a process of its own.

    python -m weft_lab.probes.prober PID

PID is the lab's process 1. Orders are JSON, one a line, and each is answered by one line:

    {"open": {pod: [pid, interface]}, "listen": bool}
                        -> {pod: [addresses of the interface]}
    {"probe": [[source, target address, own address]], "protocol", "port", "patience"}
                        -> ["answered" | "silent" | "unknown"], in the order of the probes
                           "size": bytes of each ICMP packet, which may not be fragmented
    {"interfaces": [pod]}  -> {pod: {"up": bool, "addresses": ["address/prefix length"]}}
    {"received": null}     -> [[pod, source address, target address]]: what arrived at the sockets

It is a process of its own, because it cannot leave a lab's namespaces again. A connection that is
refused did arrive, and counts as answered; callers decide on the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import json
import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from weft.host import netlink, netns
from weft_lab.probes import packets
from weft_lab.runtime import namespaces

PROTOCOLS = {"ICMP": packets.ICMP, "TCP": packets.TCP, "UDP": packets.UDP, "SCTP": packets.SCTP}
AT_ONCE = 400  # probes under way; each has a socket
ATTEMPTS = 4  # of what no kernel repeats by itself
FIRST_PORT = 40000
ANSWERED, SILENT, UNKNOWN = "answered", "silent", "unknown"
ARRIVED = (0, errno.ECONNREFUSED, errno.ECONNRESET, errno.EPROTO, errno.ENOPROTOOPT)
_ALL_PROTOCOLS = 3
_OUTGOING = 4
_IPV6_RECVERR, _IP_RECVERR = 25, 11
# IP_MTU_DISCOVER and IPV6_MTU_DISCOVER, and the value that forbids fragments.
_MTU_DISCOVER = {socket.AF_INET: 10, socket.AF_INET6: 23}
_PROBE = 3
_IFF_UP = 1


@dataclass
class Place:
    """A pod's namespace, the interface to probe by, and what came to it."""

    netns: str
    interface: str
    tap: socket.socket | None = None
    flows: set[packets.Flow] = field(default_factory=set)


@dataclass
class Prober:
    places: dict[str, Place] = field(default_factory=dict)
    _ports: Iterator[int] = field(default_factory=lambda: itertools.count(FIRST_PORT))
    _protocol: int = packets.ICMP
    _size: int = 0

    async def obey(self, order: dict[str, Any]) -> Any:
        if "open" in order:
            return {
                pod: await self._open(pod, Place(f"/proc/{pid}/ns/net", interface), order["listen"])
                for pod, (pid, interface) in order["open"].items()
            }
        if "probe" in order:
            self._protocol = PROTOCOLS[order["protocol"]]
            self._size = order.get("size", 0)
            room = asyncio.Semaphore(AT_ONCE)
            return await asyncio.gather(
                *(self._probe(room, pod, to, own, order) for pod, to, own in order["probe"])
            )
        if "interfaces" in order:
            return {pod: await self._interface(pod) for pod in order["interfaces"]}
        return [
            [pod, frame.source, frame.target]
            for pod, place in self.places.items()
            for frame in place.flows
            if (frame.protocol, frame.port) == (self._protocol, order["port"])
        ]

    async def _open(self, pod: str, place: Place, listen: bool) -> list[str]:
        self.places[pod] = place
        try:
            if listen:
                with netns.entered(place.netns):
                    self._listen(place)
            return await netns.run_inside(place.netns, _addresses, place.interface)
        except (netns.Gone, netlink.Failed):
            return []

    async def _interface(self, pod: str) -> dict[str, Any] | None:
        place = self.places.get(pod)
        if place is None:
            return None
        try:
            return await netns.run_inside(place.netns, _interface, place.interface)
        except (netns.Gone, netlink.Failed):
            return None

    def _listen(self, place: Place) -> None:
        """All interfaces: in a virtual machine's pod the one of the network has no addresses."""
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_PROTOCOLS))
        tap.setblocking(False)
        place.tap = tap

        def read_frames() -> None:
            with contextlib.suppress(BlockingIOError):
                while True:
                    frame, sender = tap.recvfrom(256)
                    found = packets.parse(frame) if sender[2] != _OUTGOING else None
                    if found:
                        place.flows.add(found)

        asyncio.get_running_loop().add_reader(tap, read_frames)

    async def _probe(
        self, room: asyncio.Semaphore, pod: str, target: str, own: str, order: dict[str, Any]
    ) -> str:
        place = self.places.get(pod)
        if place is None:
            return UNKNOWN
        async with room:
            try:
                with netns.entered(place.netns):
                    link = self._socket(place, target, own)
            except (netns.Gone, OSError):
                return UNKNOWN
            with link:
                return await self._ask(link, place, target, order)

    def _socket(self, place: Place, target: str, own: str) -> socket.socket:
        """Made where this thread is now; it stays there."""
        family = socket.AF_INET6 if ":" in target else socket.AF_INET
        kind = {packets.TCP: socket.SOCK_STREAM, packets.UDP: socket.SOCK_DGRAM}
        protocol = self._protocol
        if protocol == packets.ICMP and family == socket.AF_INET6:
            protocol = packets.ICMP6
        link = socket.socket(family, kind.get(protocol, socket.SOCK_RAW), protocol)
        try:
            link.setblocking(False)
            name = place.interface.encode() + b"\0"
            link.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name)
            if protocol == packets.SCTP:  # so that ICMP errors are received
                level, what = socket.IPPROTO_IP, _IP_RECVERR
                if family == socket.AF_INET6:
                    level, what = socket.IPPROTO_IPV6, _IPV6_RECVERR
                link.setsockopt(level, what, 1)
            if self._size:
                level = socket.IPPROTO_IP if family == socket.AF_INET else socket.IPPROTO_IPV6
                link.setsockopt(level, _MTU_DISCOVER[family], _PROBE)
            if own:
                link.bind(self._name(family, own, 0, place))
        except OSError:
            link.close()
            raise
        return link

    def _name(self, family: int, address: str, port: int, place: Place) -> tuple[Any, ...]:
        if family == socket.AF_INET:
            return address, port
        scope = 0
        if address.lower().startswith("fe80:"):
            with netns.entered(place.netns):
                scope = socket.if_nametoindex(place.interface)
        return address, port, 0, scope

    async def _ask(
        self, link: socket.socket, place: Place, target: str, order: dict[str, Any]
    ) -> str:
        loop = asyncio.get_running_loop()
        port = order["port"] if self._protocol in (packets.TCP, packets.UDP) else 0
        name = self._name(link.family, target, port, place)
        try:
            async with asyncio.timeout(order["patience"]):
                if self._protocol == packets.TCP:
                    await loop.sock_connect(link, name)
                    return ANSWERED
                # Connected, a socket hears its peer alone, and errors about it.
                link.connect(name)
                await self._exchange(link, order)
                return ANSWERED
        except TimeoutError:
            return SILENT
        except OSError as error:
            if error.errno == errno.EMSGSIZE and self._size:
                return UNKNOWN  # larger than the interface's own MTU: never sent
            return ANSWERED if error.errno in ARRIVED else SILENT

    async def _exchange(self, link: socket.socket, order: dict[str, Any]) -> None:
        """Send now and again until there is an answer; ended from outside."""
        loop = asyncio.get_running_loop()
        identity = next(self._ports) & 0xFFFF
        version = 6 if link.family == socket.AF_INET6 else 4
        for attempt in itertools.count():
            if attempt < ATTEMPTS:
                await loop.sock_sendall(link, self._request(version, identity, attempt, order))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(order["patience"] / ATTEMPTS):
                    while not self._is_answer(version, await loop.sock_recv(link, 2048), identity):
                        pass
                    return

    def _request(self, version: int, identity: int, attempt: int, order: dict[str, Any]) -> bytes:
        if self._protocol == packets.ICMP:
            return packets.echo(version, identity, attempt, size=self._size)
        if self._protocol == packets.SCTP:
            return packets.init(identity, order["port"])
        return b"\n"

    def _is_answer(self, version: int, packet: bytes, identity: int) -> bool:
        if self._protocol == packets.ICMP:
            return packets.is_echoed(version, packets.payload(version, packet), identity)
        if self._protocol == packets.SCTP:
            ports = packets.payload(version, packet)
            return int.from_bytes(ports[2:4], "big") == identity
        return True


def _addresses(interface: str) -> list[str]:
    with netlink.opened(f"device {interface}") as route:
        index = netlink.find(route, interface)
        found = route.get_addr(index=index) if index else ()
        return [one.get_attr("IFA_LOCAL") or one.get_attr("IFA_ADDRESS") for one in found]


def _interface(interface: str) -> dict[str, Any] | None:
    with netlink.opened(f"device {interface}") as route:
        index = netlink.find(route, interface)
        if not index:
            return None
        (link,) = route.get_links(index)
        found = route.get_addr(index=index)
        addresses = [
            f"{one.get_attr('IFA_LOCAL') or one.get_attr('IFA_ADDRESS')}/{one['prefixlen']}"
            for one in found
        ]
        return {"up": bool(link["flags"] & _IFF_UP), "addresses": addresses}


async def serve(pid: int) -> None:
    namespaces.enter([f"/proc/{pid}/ns/user"] if _is_other_user(pid) else [])
    # Home while no pod is entered: of the host's own namespace a lab's user may not even return.
    namespaces.enter([f"/proc/{pid}/ns/net"])
    prober = Prober()
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=64 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async for line in reader:
        answer = await prober.obey(json.loads(line))
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _is_other_user(pid: int) -> bool:
    """Joining one's own user namespace is refused by the kernel."""
    return os.stat("/proc/self/ns/user").st_ino != os.stat(f"/proc/{pid}/ns/user").st_ino


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
