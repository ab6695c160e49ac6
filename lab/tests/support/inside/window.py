"""Runs inside a lab: floods pods from before they exist, floods from them as soon as they have a
NIC, and counts what comes through.

Some pods are there all the time and are open ("outers"). Guarded pods come and go: each is entered
when its namespaces are made, before it has a network, so every frame that it ever gets is heard,
and it sends from the moment at which a NIC is there and up, long before its containers run. Two
kinds of datagram are sent side by side, to OPEN which a policy lets pass and to SHUT which it does
not: what comes of the first shows that the flood was real.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import socket
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.tests.support.inside import obedience, packets, prober
from weft.host import inotify
from weft_lab import layout
from weft_lab.runtime import namespaces

OPEN, SHUT = 7777, 6666
TICK = 0.004
_RTMGRP_LINK = 1
_SIOCGIFHWADDR = 0x8927


@dataclass
class Count:
    """Of one NIC: what came in of each kind, and what came out of it."""

    came: dict[int, int] = field(default_factory=lambda: {OPEN: 0, SHUT: 0})
    left: dict[int, int] = field(default_factory=lambda: {OPEN: 0, SHUT: 0})
    sent: int = 0


@dataclass
class Outer:
    """An open pod's NIC; frames to all that guarded pods may be."""

    node: str
    network: str
    link: socket.socket
    mac: str
    router_mac: str
    addresses: tuple[str, ...]
    frames: list[packets.Template] = field(default_factory=list)


@dataclass
class Guarded:
    """One guarded pod; `early` if it was entered before it had any NIC of a network."""

    name: str
    node: str
    process: int
    link: socket.socket
    read: socket.socket
    early: bool
    counts: dict[str, Count] = field(default_factory=dict)
    frames: dict[str, list[packets.Template]] = field(default_factory=dict)
    macs: dict[str, str] = field(default_factory=dict)


class Window:
    def __init__(self) -> None:
        self.poll = select.epoll()
        self.handlers: dict[int, Any] = {}
        self.outers: list[Outer] = []
        self.interfaces: dict[str, str] = {}
        self.guarded: dict[str, Guarded] = {}
        self.by_mac: dict[bytes, Count] = {}
        self.known: set[int] = set()
        self.prefix = ""
        self.round = 0
        self.waiting: tuple[list[str], float] | None = None
        self.inbox = obedience.Inbox()
        self.watches = inotify.Watches()
        self.on(self.watches.fileno(), self.look)
        self.folders: dict[int, Path] = {}

    def on(self, descriptor: int, handler: Any) -> None:
        self.handlers[descriptor] = handler
        self.poll.register(descriptor, select.EPOLLIN)

    def off(self, descriptor: int) -> None:
        self.poll.unregister(descriptor)
        del self.handlers[descriptor]

    # Orders

    def do_start(
        self,
        prefix: str,
        interfaces: dict[str, str],
        outers: list[dict[str, Any]],
        targets: dict[str, list[list[str]]],
    ) -> None:
        """`interfaces` by network; pods whose name begins with `prefix` are guarded.

        `targets`: of each network [node, MAC, address]s that guarded pods may have.
        """
        self.prefix, self.interfaces = prefix, interfaces
        inits = dict(prober.find_pods())
        for about in outers:
            with namespaces.inside(f"/proc/{inits[about['pod']]}/ns/net"):
                prober.strip(interfaces[about["network"]])
                link = prober.listen(interfaces[about["network"]])
            outer = Outer(
                about["node"],
                about["network"],
                link,
                about["mac"],
                about["router_mac"],
                tuple(about["addresses"]),
            )
            self.outers.append(outer)
            self.on(link.fileno(), lambda link=link: self.receive_outer(link))
            for node, mac, *addresses in targets[outer.network]:
                near = not outer.router_mac or node == outer.node
                for own, address in zip(outer.addresses, addresses, strict=True):
                    ends = packets.Ends(outer.mac, mac if near else outer.router_mac, own, address)
                    outer.frames += [
                        packets.template(port, ends, packets.UDP, port) for port in (OPEN, SHUT)
                    ]
        for folder in Path(layout.HOME).glob("*/run/weft/pods"):
            self.follow(folder)

    def do_report(self) -> dict[str, Any]:
        return {
            name: {
                "early": pod.early,
                "networks": {
                    network: {"came": count.came, "left": count.left, "sent": count.sent}
                    for network, count in pod.counts.items()
                },
            }
            for name, pod in self.guarded.items()
        }

    def do_forget_open(self) -> None:
        """Count anew what is open, so that `until` waits for what comes from now on."""
        for pod in self.guarded.values():
            for count in pod.counts.values():
                count.came[OPEN] = count.left[OPEN] = 0

    def obey(self) -> None:
        for order in self.inbox.take():
            if order["op"] == "until":
                self.waiting = (order["pods"], time.monotonic() + order["patience"])
                self.check_waiting()
            else:
                obedience.answer(obedience.carry_out(self, order))

    def check_waiting(self) -> None:
        """Answer `until`: all those pods got and sent what is open, on every network."""
        if self.waiting is None:
            return
        pods, end = self.waiting
        open_ = all(
            name in self.guarded
            and len(self.guarded[name].counts) == len(self.interfaces)
            and all(
                count.came[OPEN] and count.left[OPEN]
                for count in self.guarded[name].counts.values()
            )
            for name in pods
        )
        if open_ or time.monotonic() > end:
            self.waiting = None
            obedience.answer({"open": open_, **self.do_report()})

    # Guarded pods

    def follow(self, folder: Path) -> None:
        with contextlib.suppress(FileNotFoundError):  # it is gone again
            self.folders[self.watches.add(folder, inotify.APPEARED)] = folder

    def look(self) -> None:
        """A pod's folder, and then the socket of its first process, which is made last."""
        for number, name in self.watches.read():
            path = self.folders.get(number, Path("/nothing")) / name
            if path.parent.name == "pods":
                self.follow(path)
                if (path / "init.sock").exists():
                    self.enter(path)
            elif name == "init.sock":
                self.enter(path.parent)

    def enter(self, folder: Path) -> None:
        about = json.loads((folder / "pod.json").read_bytes())
        name = f"{about['namespace']}/{about['pod']}"
        if not about["pod"].startswith(self.prefix):
            return
        process = _first_process(folder)
        if process in self.known:
            return
        self.known.add(process)
        with namespaces.inside(f"/proc/{process}/ns/net"):
            kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK
            link = socket.socket(socket.AF_PACKET, kind, socket.htons(prober.ALL))
            link.setsockopt(263, 23, 1)  # SOL_PACKET, PACKET_IGNORE_OUTGOING
            news = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
            news.bind((0, _RTMGRP_LINK))
        node = folder.parts[len(layout.HOME.parts)]
        pod = Guarded(name, node, os.pidfd_open(process), link, news, False)
        pod.early = not any(_mac(link, each) for each in self.interfaces.values())
        self.guarded[name] = pod
        self.on(link.fileno(), lambda: self.receive_guarded(pod))
        self.on(news.fileno(), lambda: self.learn(pod))
        self.on(pod.process, lambda: self.leave(pod))
        self.learn(pod)

    def leave(self, pod: Guarded) -> None:
        """Its first process has ended; its namespaces must not live on by these sockets."""
        for descriptor in (pod.link.fileno(), pod.read.fileno(), pod.process):
            self.off(descriptor)
        pod.link.close()
        pod.read.close()
        os.close(pod.process)
        pod.frames.clear()

    def learn(self, pod: Guarded) -> None:
        """A NIC came or changed: what it can send, from now on."""
        try:
            while pod.read.recv(1 << 16):
                pass
        except BlockingIOError:
            pass
        except OSError:
            pass  # news were lost; what matters is what is there now
        for network, interface in self.interfaces.items():
            mac = _mac(pod.link, interface)
            if not mac or pod.macs.get(network) == mac:
                continue
            pod.macs[network] = mac
            count = pod.counts.setdefault(network, Count())
            self.by_mac[bytes.fromhex(mac.replace(":", ""))] = count
            pod.frames[network] = list(self.outgoing(pod.node, network, mac))
            self.flood_from(pod, network)

    def outgoing(self, node: str, network: str, mac: str) -> Any:
        """To every open pod; weft makes MACs of IPv4 addresses, so the MAC tells it."""
        own = ".".join(str(byte) for byte in bytes.fromhex(mac.replace(":", ""))[2:])
        near = next(each for each in self.outers if (each.node, each.network) == (node, network))
        for outer in self.outers:
            if outer.network == network:
                to_mac = outer.mac if outer.node == node or not near.router_mac else near.router_mac
                ends = packets.Ends(mac, to_mac, own, outer.addresses[0])
                for port in (SHUT, OPEN):
                    yield packets.template(port, ends, packets.UDP, port)

    # Packets

    def flood(self) -> None:
        self.round = self.round % 20000 + 1
        number = 30000 + self.round
        for outer in self.outers:
            for place, frame in enumerate(outer.frames):
                # One family a tick: frames come in twos, OPEN and SHUT, family by family.
                if place // 2 % 2 == self.round % 2:
                    send(outer.link, frame.of(number, 0))
        for pod in self.guarded.values():
            for network in pod.frames:
                self.flood_from(pod, network)

    def flood_from(self, pod: Guarded, network: str) -> None:
        address = (self.interfaces[network], prober.ALL)
        for frame in pod.frames[network]:
            pod.counts[network].sent += send(pod.link, frame.of(30000 + self.round, 0), address)

    def receive_outer(self, link: socket.socket) -> None:
        try:
            while True:
                frame = link.recv(2048)
                port = _port(frame)
                count = self.by_mac.get(frame[6:12])
                if count is None and port is not None:
                    count = self.by_source(frame)
                if count is not None and port is not None:
                    count.left[port] += 1
        except (BlockingIOError, OSError):
            pass

    def by_source(self, frame: bytes) -> Count | None:
        """By its IPv4 source, when it came through a router."""
        if frame[12:14] != b"\x08\x00":
            return None
        return self.by_mac.get(b"\x0a\x58" + frame[26:30])

    def receive_guarded(self, pod: Guarded) -> None:
        networks = {interface: network for network, interface in self.interfaces.items()}
        try:
            while True:
                frame, (interface, *_) = pod.link.recvfrom(2048)
                port = _port(frame)
                if port is not None and interface in networks:
                    count = pod.counts.setdefault(networks[interface], Count())
                    count.came[port] += 1
        except (BlockingIOError, OSError):
            pass

    def run(self) -> None:
        self.on(0, self.obey)
        due = time.monotonic()
        while True:
            left = due - time.monotonic()
            if left <= 0:
                self.flood()
                self.check_waiting()
                due = time.monotonic() + TICK
                left = 0
            for descriptor, _ in self.poll.poll(left):
                if descriptor in self.handlers:
                    self.handlers[descriptor]()


def send(link: socket.socket, frame: bytearray, address: Any = None) -> bool:
    """False where the NIC is not up, or too much is on its way."""
    try:
        if address is None:
            link.send(frame)
        else:
            link.sendto(frame, address)
    except OSError:
        return False
    return True


def _first_process(folder: Path) -> int:
    """It listens a moment after it has bound its socket, and nothing tells when."""
    end = time.monotonic() + 5
    while True:
        try:
            return prober.init_of(folder)
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise


def _port(frame: bytes) -> int | None:
    """Which kind of probe it is; an echo request, as the container sends, is none that may pass."""
    if frame[12:14] == b"\x08\x00" and frame[23] == 1 and frame[34] == 8:
        return SHUT
    seen = packets.read(frame)
    return seen.probe if seen is not None and seen.probe in (OPEN, SHUT) else None


def _mac(link: socket.socket, interface: str) -> str:
    """Of an interface in the socket's namespace, "" while it is not there."""
    try:
        found = fcntl.ioctl(link, _SIOCGIFHWADDR, struct.pack("16s16x", interface.encode()))
    except OSError:
        return ""
    return found[18:24].hex(":")


if __name__ == "__main__":
    Window().run()
