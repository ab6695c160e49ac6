"""Captures the packets of one port of this node's switch: pcapng on standard output.

    python -m weft.observe.capture.onnode

It runs on the node: in a lab's node, or in the agent's pod. The first line of standard input is the
order. Then the reader says that it is still there, or that it has enough; the capture ends with the
reader. What cannot be done is one line on standard error, and exit status 1. It changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import select
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from weft import errors, names
from weft.host import netns, packetring
from weft.observe.capture import expression, order, pcapng, program
from weft.observe.capture.order import Order
from weft.ovn import daemons
from weft.ovsdb.session import Session

PATIENCE = 20.0  # seconds for the database
_FULL = 4 << 20  # bytes that wait for the reader; then packets wait in the ring
_READING = 10.0  # seconds for the reader to take the rest
_LAST = 2.0  # seconds for what the kernel still holds when the capture ends
_COLUMNS = ["name", "type", "external_ids", "error"]
_KERNELS = ("", "system")  # types of interfaces whose device is in the node's namespace
_INTERNAL = "internal"
ENOUGH, GONE, LEFT = "the reader has enough", "the NIC is gone", "the reader is gone"

Json = Any


@dataclass(frozen=True, slots=True)
class Device:
    """The device of a port. `namespace`: "" for the node's own; else a path, and the device is the
    pod's end of the NIC."""

    name: str
    namespace: str = ""


async def find(asked: Order) -> Device:
    """The port's device. Raises Unavailable, and says why it cannot be seen."""
    session = await Session.connect(asked.ovs or daemons.OVS)
    try:
        async with asyncio.timeout(PATIENCE):
            includes = [["external_ids", "includes", ["map", [[names.IFACE_ID, asked.port]]]]]
            select = {"op": "select", "table": "Interface", "where": includes, "columns": _COLUMNS}
            found = await session.transact("Open_vSwitch", [select])
    except TimeoutError:
        what = f"the switch's database does not answer within {PATIENCE:g} s"
        raise errors.Unavailable(what) from None
    finally:
        await session.close()
    return device(asked, found[0].get("rows", []))


def device(asked: Order, found: list[Json]) -> Device:
    """The device in rows of table Interface; of several, the one that OVN has installed."""
    mine = []
    for row in found:
        ids = dict(row["external_ids"][1])
        if ids.get(names.OWNER) == names.pod_owner(*asked.pod.split("/", 1)):
            mine.append((ids.get(names.OVN_INSTALLED) == "true", str(row["name"]), row, ids))
    if not mine:
        what = f"the node's switch has no port {asked.port} of pod {asked.pod}"
        raise errors.Unavailable(what, hint="has the pod just started, or moved?")
    _, name, row, ids = max(mine, key=lambda each: each[:2])
    if row["type"] in _KERNELS:
        return Device(name)
    if row["type"] == _INTERNAL:
        return Device(str(ids.get(names.POD_INTERFACE, "")), str(ids.get(names.NETNS, "")))
    what = f"port {name} is of type {row['type']}: the node's kernel does not see its packets"
    raise errors.Unavailable(what, hint="capture at the other end of the connection")


def present(where: Device) -> str:
    """What the device is called in this thread's namespace, which is its own."""
    known = {each for _, each in socket.if_nameindex()}
    behind = names.machine_nic(where.name)
    return behind if where.namespace and behind in known else where.name


@contextlib.contextmanager
def opened(where: Device, accept: tuple[program.Instruction, ...]) -> Iterator[packetring.Ring]:
    """The ring of a device, in its namespace. Raises Unavailable."""
    inside = netns.entered(where.namespace) if where.namespace else contextlib.nullcontext()
    with inside:
        name = present(where)
        try:
            ring = packetring.Ring(name, accept)
        except OSError as error:
            what = f"device {name} cannot be captured: {error.strerror}"
            raise errors.Unavailable(what) from error
        try:
            yield ring
        finally:
            ring.close()


@dataclass
class Capture:
    """One capture: reads the ring, writes to `sink`, and hears the reader at `source`."""

    asked: Order
    ring: packetring.Ring
    is_pods_end: bool
    source: int = 0
    sink: int = 1
    _waiting: bytearray = field(default_factory=bytearray)
    _heard: bytearray = field(default_factory=bytearray)
    _packets: int = 0
    _bytes: int = 0
    _received: int = 0
    _dropped: int = 0
    _is_full: bool = False

    def run(self) -> None:
        """Until a limit is reached, the reader ends it, or the device is gone."""
        os.set_blocking(self.sink, False)
        started, start = time.monotonic(), time.time_ns()
        limits = self.asked.limits
        about = f"{self.asked.nic} of {self.asked.pod}, port {self.asked.port}"
        nic = pcapng.Interface(self.asked.nic, about, self.asked.filter, limits.length)
        self._write(pcapng.head(nic, expression.COMMAND))
        poll = select.poll()
        poll.register(self.source, select.POLLIN)
        reason, heard = "", started
        while not reason:
            now = time.monotonic()
            wait = min(started + limits.seconds, heard + order.IDLE) - now
            has_room = len(self._waiting) < _FULL
            poll.register(self.ring.fileno(), select.POLLIN if has_room else 0)
            poll.register(self.sink, select.POLLOUT if self._waiting else 0)
            events = dict(poll.poll(max(wait, 0) * 1000))
            if self.source in events:
                reason, heard = self._hear(), time.monotonic()
            if events.get(self.sink, 0) & ~select.POLLOUT:
                return  # nobody reads any more
            if self.sink in events:
                self._flush()
            if self.ring.fileno() in events:
                reason = reason or self._take(events[self.ring.fileno()])
            elif not reason and wait <= 0:
                ended = time.monotonic() >= started + limits.seconds
                reason = f"{limits.seconds:g} s are over" if ended else LEFT
        if reason != LEFT:
            self._end(reason, start)

    def _hear(self) -> str:
        """Why the reader ends the capture; "" if it only says that it is there."""
        data = os.read(self.source, 4096)
        self._heard += data
        if order.END in self._heard:
            return ENOUGH
        del self._heard[: -len(order.END)]
        return "" if data else LEFT

    def _take(self, events: int) -> str:
        """Write the packets of a block; why the capture ends, if it does."""
        limits = self.asked.limits
        for frame in self.ring.frames():
            data = frame.data[: limits.length]
            inbound = frame.outgoing is not self.is_pods_end
            made = pcapng.packet(pcapng.Packet(frame.time, data, frame.length, inbound))
            if self._bytes + len(made) > limits.bytes:
                self._is_full = True
                return f"the file would be larger than {limits.bytes} bytes"
            self._write(made)
            self._packets += 1
            if self._packets >= limits.packets:
                self._is_full = True
                return f"{limits.packets} packets are captured"
        if events & select.POLLERR and self.ring.failure() == errno.ENETDOWN:
            return "" if self.ring.has_device() else GONE
        return ""

    def _end(self, reason: str, start: int) -> None:
        """Write what the kernel holds yet, and the end of the file."""
        self.ring.stop()
        end = time.time_ns()
        until = time.monotonic() + _LAST
        while not self._has_all() and time.monotonic() < until:
            if select.select([self.ring.fileno()], [], [], 0.1)[0]:
                self._take(0)
        numbers = self._received, self._dropped
        self._write(pcapng.statistics(pcapng.Statistics(start, end, *numbers, reason)))
        until = time.monotonic() + _READING
        while self._waiting and time.monotonic() < until:
            if select.select([], [self.sink], [], 1.0)[1]:
                self._flush()

    def _has_all(self) -> bool:
        received, dropped = self.ring.statistics()
        self._received += received
        self._dropped += dropped
        return self._is_full or self._packets >= self._received - self._dropped

    def _write(self, data: bytes) -> None:
        self._bytes += len(data)
        self._waiting += data

    def _flush(self) -> None:
        """Write as much as the reader takes."""
        while self._waiting:
            try:
                written = os.write(self.sink, self._waiting[: 1 << 16])
            except BlockingIOError:
                return
            del self._waiting[:written]


def main() -> int:
    line = b""
    while not line.endswith(b"\n"):
        data = os.read(0, 1)  # what follows is for the capture
        if not data:
            return 0
        line += data
    try:
        asked = order.parse(line)
        accept = program.compile(expression.parse(asked.filter), asked.limits.length)
        where = asyncio.run(find(asked))
        with opened(where, accept) as ring:
            Capture(asked, ring, is_pods_end=bool(where.namespace)).run()
    except errors.WeftError as error:
        print(error.in_full(), file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
