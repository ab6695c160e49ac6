"""Frames on a device inside a namespace: heard, sent and read. Also a program, run inside.

python frames.py hear DEVICE      each frame as a line of hex, in and out
python frames.py send DEVICE      sends each line of hex from standard input
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.zones import Space

ALL = 0x0003
GENEVE = 6081
HOPE = 60.0  # seconds; as PATIENCE, which cannot be imported where this runs as a program
RECEIVE_BUFFER = 8 << 20
_SO_RCVBUFFORCE = 33
_SOL_PACKET, _PACKET_AUXDATA, _VLAN_VALID = 263, 8, 0x10  # linux/if_packet.h


class Capture:
    """Hears one device from the moment it is made."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._buffer = b""
        self.received: list[bytes] = []
        assert self._next(HOPE) == b""

    def until(self, wanted: Callable[[bytes], bool], timeout: float = HOPE) -> list[bytes]:
        """All frames so far, up to one that is wanted; at once if it was heard before."""
        end = time.monotonic() + timeout
        if any(wanted(frame) for frame in self.received):
            return self.received
        while True:
            frame = self._next(end - time.monotonic())
            self.received.append(frame)
            if wanted(frame):
                return self.received

    def _next(self, timeout: float) -> bytes:
        assert self._process.stdout is not None
        out = self._process.stdout.fileno()
        while b"\n" not in self._buffer:
            assert select.select([out], [], [], max(timeout, 0))[0], "not heard in time"
            self._buffer += self._read(out)
        line, self._buffer = self._buffer.split(b"\n", 1)
        return bytes.fromhex(line.decode())

    @staticmethod
    def _read(out: int) -> bytes:
        import os

        data = os.read(out, 1 << 16)
        assert data, "the ear ended"
        return data


@contextmanager
def capture(space: Space, device: str = "eth0") -> Iterator[Capture]:
    process = space.popen(sys.executable, "-I", __file__, "hear", device)
    try:
        yield Capture(process)
    finally:
        process.kill()
        process.wait(HOPE)


def send(space: Space, *frames: bytes, device: str = "eth0") -> None:
    space.run(sys.executable, "-I", __file__, "send", device, *(frame.hex() for frame in frames))


def inner(frame: bytes) -> bytes:
    """The frame inside a Geneve packet over IPv4, or nothing."""
    if len(frame) < 50 or frame[12:14] != b"\x08\x00" or frame[23] != socket.IPPROTO_UDP:
        return b""
    start = 14 + (frame[14] & 15) * 4
    if struct.unpack("!H", frame[start + 2 : start + 4])[0] != GENEVE:
        return b""
    options = (frame[start + 8] & 0x3F) * 4
    return frame[start + 16 + options :]


def is_arp(frame: bytes) -> bool:
    return frame[12:14] == b"\x08\x06"


def icmpv6_type(frame: bytes) -> int | None:
    if len(frame) < 55 or frame[12:14] != b"\x86\xdd" or frame[20] != socket.IPPROTO_ICMPV6:
        return None
    return frame[54]


def icmp(frame: bytes) -> bytes:
    """An ICMP or ICMPv6 message without the headers before it, or nothing."""
    if frame[12:14] == b"\x08\x00" and frame[23] == socket.IPPROTO_ICMP:
        return frame[14 + (frame[14] & 15) * 4 :]
    if frame[12:14] == b"\x86\xdd" and frame[20] == socket.IPPROTO_ICMPV6:
        return frame[54:]
    return b""


def udp(mac: str, to_mac: str, source: str, to: str, payload: bytes, *, port: int = 9999) -> bytes:
    """A UDP frame without a checksum (IPv4), or with a right one (IPv6)."""
    ends = (ip_address(source), ip_address(to))
    length = 8 + len(payload)
    ethernet = bytes.fromhex(to_mac.replace(":", "") + mac.replace(":", ""))
    head = struct.pack("!HHH", port, port, length)
    if isinstance(ends[0], IPv4Address) and isinstance(ends[1], IPv4Address):
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0, 64, 17, 0)
        ip += ends[0].packed + ends[1].packed
        ip = ip[:10] + checksum(ip).to_bytes(2, "big") + ip[12:]
        return ethernet + b"\x08\x00" + ip + head + b"\0\0" + payload
    assert isinstance(ends[0], IPv6Address)
    addresses = ends[0].packed + ends[1].packed
    body = head + b"\0\0" + payload
    total = checksum(addresses + struct.pack("!II", length, 17) + body + b"\0" * (length % 2))
    ip6 = struct.pack("!IHBB", 6 << 28, length, 17, 64) + addresses
    return ethernet + b"\x86\xdd" + ip6 + head + (total or 0xFFFF).to_bytes(2, "big") + payload


def tagged(frame: bytes, vlan: int) -> bytes:
    """The frame with the tag of a VLAN."""
    return frame[:12] + b"\x81\x00" + vlan.to_bytes(2, "big") + frame[12:]


def with_all(*words: bytes) -> Callable[[bytes], bool]:
    """Whether a frame has all of `words` in it."""
    return lambda frame: all(word in frame for word in words)


def checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _receive(device: str) -> None:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL))
    for option in (_SO_RCVBUFFORCE, socket.SO_RCVBUF):  # a burst may come before we have our turn
        with contextlib.suppress(PermissionError):
            sock.setsockopt(socket.SOL_SOCKET, option, RECEIVE_BUFFER)
            break
    sock.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
    sock.bind((device, ALL))
    print(flush=True)
    while True:
        print(_received(sock).hex(), flush=True)


def _received(sock: socket.socket) -> bytes:
    """A frame as it was on the wire: the kernel hands over a VLAN's tag beside it."""
    frame, told, _, _ = sock.recvmsg(1 << 16, 64)
    for level, kind, data in told:
        if (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA):
            status, *_, tag, protocol = struct.unpack("=IIIHHHH", data[:20])
            if status & _VLAN_VALID:
                return frame[:12] + struct.pack("!HH", protocol or 0x8100, tag) + frame[12:]
    return frame


def _send(device: str, frames: list[str]) -> None:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sock.bind((device, 0))
    for frame in frames:
        sock.send(bytes.fromhex(frame))


if __name__ == "__main__":
    if sys.argv[1] == "hear":
        _receive(sys.argv[2])
    else:
        _send(sys.argv[2], sys.argv[3:])
