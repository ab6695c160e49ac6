"""Runs inside a lab: sends first packets between its pods, and says which came and were answered.

One process with a packet socket on every interface of every pod. It is what the pods do: it sends
the probes of all of them at once, and answers those that come. Orders are JSON, one a line on
standard input; every order has one line of answer.

When all is sent, a marker follows on the same way, an ARP frame to all, which passes whatever
policies say. When it has been heard by all, nothing that was sent before it is still on its way:
first between the pods of a node, then, for what a router sent on, between nodes.
"""

from __future__ import annotations

import json
import select
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute

from lab.tests.support.inside import obedience, packets
from weft_lab import layout, state
from weft_lab.runtime import namespaces

PATIENCE = 20.0  # until a marker is heard, which may be sent again
AGAIN = 0.3
CHUNK = 48  # frames that are sent before hearing what came: less than any queue on the way holds
ALL = 0x0003
RECEIVE_BUFFER = 8 << 20
_SO_RCVBUFFORCE = 33


@dataclass(slots=True)
class Plug:
    """One interface of one pod: `segment` names those whom its broadcasts reach.

    `address` is any of its IPv4 addresses, for its markers.
    """

    link: socket.socket
    mac: str
    address: str
    segment: str
    received: set[tuple[bytes, int]] = field(default_factory=set)


@dataclass(slots=True)
class Probe:
    source: Plug
    target: Plug
    template: packets.Template


class Prober:
    def __init__(self) -> None:
        self.plugs: list[Plug] = []
        self.probes: list[Probe] = []
        self.poll = select.epoll()
        self.by_fd: dict[int, Plug] = {}
        self.tag = 0
        self.arrived: set[tuple[int, int]] = set()
        self.answered: set[tuple[int, int]] = set()
        self.stray: list[tuple[int, int]] = []

    def do_open(self, plugs: list[dict[str, str]]) -> list[int]:
        """Sockets on interfaces; the pods' kernels lose their addresses, to stay out of it."""
        inits = dict(find_pods())
        for about in plugs:
            with namespaces.inside(f"/proc/{inits[about['pod']]}/ns/net"):
                strip(about["interface"])
                link = listen(about["interface"])
            plug = Plug(link, about["mac"], about["address"], about["segment"])
            self.plugs.append(plug)
            self.by_fd[link.fileno()] = plug
            self.poll.register(link, select.EPOLLIN)
        return [len(self.plugs)]

    def do_plan(self, probes: list[list[Any]]) -> list[int]:
        """What may be asked for from now on, by its place in this list."""
        self.probes = []
        for number, (source, target, to_mac, address, to_address, protocol, port) in enumerate(
            probes
        ):
            ends = packets.Ends(self.plugs[source].mac, to_mac, address, to_address)
            made = packets.template(number, ends, protocol, port)
            self.probes.append(Probe(self.plugs[source], self.plugs[target], made))
        return [len(self.probes)]

    def do_round(self, number: int, probes: list[int] | None) -> dict[str, Any]:
        """Send those probes, or all; which of them arrived, and which had their answer arrive.

        `late`: what arrived of earlier rounds; `stray`: what arrived at somebody else.
        """
        start = time.perf_counter()
        self.arrived, self.answered, self.stray = set(), set(), []
        crc = packets.round_crc(number)
        for place, index in enumerate(range(len(self.probes)) if probes is None else probes):
            probe = self.probes[index]
            self.send(probe.source.link, probe.template.of(number, crc))
            if place % CHUNK == CHUNK - 1:
                self.receive(0)
        for _ in range(2):  # for the probes, and for the answers
            self.settle()
            self.settle()
        return {
            "arrived": sorted(index for when, index in self.arrived if when == number),
            "answered": sorted(index for when, index in self.answered if when == number),
            "late": sorted(each for each in self.arrived | self.answered if each[0] != number),
            "stray": sorted(self.stray),
            "seconds": time.perf_counter() - start,
        }

    def settle(self) -> None:
        """Send a marker on every interface; returns when all who share a segment heard it."""
        self.tag += 1
        wanted = {
            (place, bytes.fromhex(other.mac.replace(":", "")))
            for place, plug in enumerate(self.plugs)
            for other in self.plugs
            if other is not plug and other.segment == plug.segment
        }
        end = time.monotonic() + PATIENCE
        while wanted:
            for plug in self.plugs:
                self.send(plug.link, packets.marker(plug.mac, plug.address, self.tag))
            again = time.monotonic() + AGAIN
            while wanted and (left := again - time.monotonic()) > 0:
                self.receive(left)
                wanted = {
                    (place, mac)
                    for place, mac in wanted
                    if (mac, self.tag) not in self.plugs[place].received
                }
            if time.monotonic() > end:
                raise TimeoutError(f"ARP does not pass: {len(wanted)} markers were not heard")
        for plug in self.plugs:
            plug.received.clear()

    def receive(self, timeout: float) -> None:
        """Take in all that is there, waiting for the first of it."""
        while events := self.poll.poll(timeout):
            timeout = 0
            for descriptor, _ in events:
                plug = self.by_fd[descriptor]
                try:
                    for _ in range(CHUNK):
                        self.take(plug, plug.link.recv(2048))
                except BlockingIOError:
                    pass

    def take(self, plug: Plug, frame: bytes) -> None:
        found = packets.read(frame)
        if found is None:
            if marked := packets.read_marker(frame):
                plug.received.add(marked)
            return
        probe = self.probes[found.probe]
        if plug is not (probe.source if found.answer else probe.target):
            self.stray.append((found.round, found.probe))
        elif found.answer:
            self.answered.add((found.round, found.probe))
        else:
            self.arrived.add((found.round, found.probe))
            self.send(plug.link, packets.answer(frame))

    def send(self, link: socket.socket, frame: bytes | bytearray) -> None:
        while True:
            try:
                link.send(frame)
                return
            except OSError as error:
                if not isinstance(error, BlockingIOError) and error.errno != 105:  # ENOBUFS
                    raise
                self.receive(0.001)


def find_pods() -> list[tuple[str, int]]:
    """Every pod of the lab with its first process."""
    found = []
    for record in Path(layout.HOME).glob("*/run/weft/*/*/pod.json"):
        about = json.loads(record.read_bytes())
        try:
            process = init_of(record.parent)
        except ConnectionRefusedError:
            continue  # what is left of a pod that was there before
        found.append((f"{about['namespace']}/{about['pod']}", process))
    return found


def init_of(folder: Path) -> int:
    """The first process of the pod whose folder this is, by the socket that it listens at."""
    with state.Peer(state.dial(folder / "init.sock")) as peer:
        return peer.pid


def strip(interface: str) -> None:
    with IPRoute() as ip:
        (index,) = ip.link_lookup(ifname=interface)
        ip.flush_addr(index=index)


def listen(interface: str) -> socket.socket:
    """Hears and sends whole frames; not those that its own side sends."""
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
    link.setsockopt(263, 23, 1)  # SOL_PACKET, PACKET_IGNORE_OUTGOING
    for option in (_SO_RCVBUFFORCE, socket.SO_RCVBUF):
        try:
            link.setsockopt(socket.SOL_SOCKET, option, RECEIVE_BUFFER)
            break
        except PermissionError:
            pass
    link.bind((interface, ALL))
    return link


if __name__ == "__main__":
    obedience.obey(Prober())
