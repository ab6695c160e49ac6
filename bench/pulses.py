"""Runs inside a lab: a packet each millisecond, each of another connection, and which of them came.

    python -m bench.pulses

Orders are JSON, one a line on standard input, each with one line of answer. `send` begins a pulse
between two devices; `first` and `last` wait until its packets pass, or pass no more, and say when
the first that came was sent, or the last, by the clock that all processes share.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import time
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from lab.tests.support.inside import obedience
from weft_lab import layout
from weft_lab.runtime import namespaces

TICK = 0.001
IDLE = 0.1  # after which what has not come will not
PATIENCE = 30.0
_ALL, _MAGIC = 0x0003, b"weft-pulse"


@dataclass
class Pulse:
    """From one device to another; `sent` has the time of each number."""

    source: socket.socket
    target: socket.socket
    head: bytes
    sent: list[float] = field(default_factory=list)
    came: list[int] = field(default_factory=list)

    def send(self) -> None:
        number = len(self.sent)
        ports = struct.pack("!HHHH", 1024 + number % 60000, 53, 22, 0)
        self.sent.append(time.monotonic())
        self.source.send(self.head + ports + _MAGIC + struct.pack("!I", number))

    def receive(self) -> None:
        try:
            while True:
                frame = self.target.recv(2048)
                if frame[42:52] == _MAGIC:
                    self.came.append(struct.unpack_from("!I", frame, 52)[0])
        except BlockingIOError:
            pass

    def first(self, since: float) -> float | None:
        """When the first that came was sent."""
        return next((self.sent[n] for n in self.came if self.sent[n] >= since), None)

    def last(self, since: float) -> float | None:
        """When the last that came was sent, once it is clear that it was the last."""
        latest = max([since, *(self.sent[n] for n in self.came[-50:])])
        return latest if time.monotonic() > latest + IDLE else None


@dataclass
class Wait:
    pulse: Pulse
    since: float
    what: str

    def answer(self) -> float | None:
        return getattr(self.pulse, self.what)(self.since)  # type: ignore[no-any-return]


class Pulses:
    def __init__(self) -> None:
        self.poll = select.epoll()
        self.poll.register(0, select.EPOLLIN)
        self.pulses: list[Pulse] = []
        self.wait: Wait | None = None
        self.inbox = obedience.Inbox()

    def do_send(self, source: dict[str, str], target: dict[str, str]) -> int:
        """Ends are told by node, device, MAC and IPv4 address."""
        links = [link(end["node"], end["device"]) for end in (source, target)]
        total = 20 + 8 + 14
        ip = struct.pack("!BBHHHBBH", 0x45, 0, total, 0, 0x4000, 64, 17, 0)
        ip += ip_address(source["address"]).packed + ip_address(target["address"]).packed
        ip = ip[:10] + checksum(ip) + ip[12:]
        macs = bytes.fromhex((target["mac"] + source["mac"]).replace(":", ""))
        self.pulses.append(Pulse(links[0], links[1], macs + b"\x08\x00" + ip))
        self.poll.register(links[1], select.EPOLLIN)
        return len(self.pulses) - 1

    def do_transact(self, node: str, operations: list[Any]) -> float:
        """A transaction by hand in a node's NB; when it was sent."""
        path = layout.seen(node, layout.OVN_RUN / "ovnnb_db.sock")
        request = {"method": "transact", "params": ["OVN_Northbound", *operations], "id": 1}
        with socket.socket(socket.AF_UNIX) as door:
            door.connect(os.fspath(path))
            start = time.monotonic()
            door.sendall(json.dumps(request).encode())
            answer = json.loads(door.recv(1 << 16))
        assert not any("error" in each for each in answer["result"] if each), answer
        return start

    def obey(self) -> None:
        for order in self.inbox.take():
            if order["op"] in ("first", "last"):
                self.wait = Wait(self.pulses[order["pulse"]], order["since"], order["op"])
            else:
                obedience.answer(obedience.carry_out(self, order))

    def run(self) -> None:
        due = time.monotonic()
        while True:
            if (left := due - time.monotonic()) <= 0:
                for pulse in self.pulses:
                    pulse.send()
                due = max(due + TICK, time.monotonic())
            for descriptor, _ in self.poll.poll(max(left, 0)):
                if descriptor == 0:
                    self.obey()
            for pulse in self.pulses:
                pulse.receive()
            if self.wait is not None and (found := self.wait.answer()) is not None:
                self.wait = None
                obedience.answer(found)
            elif self.wait is not None and time.monotonic() > self.wait.since + PATIENCE:
                raise TimeoutError(f"{self.wait.what}: nothing changed in {PATIENCE:g} s")


def link(node: str, device: str) -> socket.socket:
    with namespaces.inside(layout.namespace(node, "net")):
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        made.bind((device, _ALL))
    return made


def checksum(data: bytes) -> bytes:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (~total & 0xFFFF).to_bytes(2, "big")


if __name__ == "__main__":
    Pulses().run()
