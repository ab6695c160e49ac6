"""Sends and counts traffic inside a namespace, to measure what a NIC lets pass. A program:

python throughput.py receive udp|tcp ADDRESS RATE SECONDS   prints the bits per second that pass
python throughput.py send udp|tcp ADDRESS RATE SECONDS      offers RATE bits per second

Bits are those of Ethernet frames for UDP, and of the stream for TCP, which sends as it can. The
receiver says "ready" first, and measures until SECONDS after the first packet. A sender of UDP ends
when its standard input does, one of TCP when the receiver closes.
"""

from __future__ import annotations

import contextlib
import ipaddress
import select
import socket
import struct
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

PORT = 7777
# Seconds after the first packet in which a bucket of a second's traffic is emptied: what it lets
# pass meanwhile is no rate. TCP takes longer, it begins slowly.
SKIP = {"udp": 1.0, "tcp": 2.5}
LOST = 0.1  # of what was offered: that a busy machine may lose without any limit
BACKLOG = 0.1  # seconds: what a sender that had no turn makes up for, and no more
_DATAGRAM = 1200
_TICK = 0.004
_BUFFER = 1 << 23
_SO_RCVBUFFORCE, _SO_TIMESTAMPNS = 33, 35
_RECEIVED = 128  # where tcpi_bytes_received is in struct tcp_info (linux/tcp.h)


class Arrival(NamedTuple):
    """When something came (seconds); which datagram of those that were sent, or how many bytes."""

    at: float
    number: int


def rate(arrivals: Sequence[Arrival], offered: float, bits: int) -> float:
    """The bits per second that a NIC lets pass of datagrams of so many bits each.

    No clock of a busy machine is trusted. Where little is lost, it is the offered rate times the
    share that came. Else there is a limit, whose bucket is empty whenever a datagram is lost: what
    came between the first loss and the last one had just the time between them.
    """
    numbers = [each.number for each in arrivals]
    span = max(numbers) - min(numbers) + 1
    if len(arrivals) > span * (1 - LOST):
        return offered * len(arrivals) / span
    losses, highest = [], numbers[0]
    for place, number in enumerate(numbers):
        if number > highest + 1:
            losses.append(place)
        highest = max(highest, number)
    first, last = losses[0], losses[-1]
    return (last - first) * bits / (arrivals[last].at - arrivals[first].at)


def _family(address: str) -> tuple[socket.AddressFamily, int]:
    """The socket's family, and the bytes of a datagram's frame beside its payload."""
    is_ipv4 = ipaddress.ip_address(address).version == 4
    return (socket.AF_INET, 42) if is_ipv4 else (socket.AF_INET6, 62)


def receive_udp(address: str, offered: float, seconds: float) -> float:
    family, header = _family(address)
    with socket.socket(family, socket.SOCK_DGRAM) as server:
        for option in (_SO_RCVBUFFORCE, socket.SO_RCVBUF):  # we may be without a turn for long
            with contextlib.suppress(PermissionError):
                server.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
                break
        server.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        server.bind((address, PORT))
        print("ready", flush=True)
        server.settimeout(60)
        arrivals = [_arrival(server)]
        begin = arrivals[0].at + SKIP["udp"]
        while arrivals[-1].at < begin - SKIP["udp"] + seconds:
            arrivals.append(_arrival(server))
    seen = [each for each in arrivals if each.at >= begin]
    return rate(seen, offered, 8 * (_DATAGRAM + header))


def _arrival(server: socket.socket) -> Arrival:
    """The next datagram, and when the kernel had it."""
    data, ((_, _, told),), _, _ = server.recvmsg(1 << 11, 64)
    seconds, nanoseconds = struct.unpack("=qq", told)
    return Arrival(seconds + nanoseconds / 1e9, *struct.unpack_from("!Q", data))


def receive_tcp(address: str, seconds: float) -> float:
    with socket.create_server((address, PORT), family=_family(address)[0]) as server:
        print("ready", flush=True)
        server.settimeout(60)
        stream = server.accept()[0]
    with stream:
        stream.settimeout(60)
        first = begin = end = _received(stream)
        while end.at < first.at + seconds:
            stream.recv(1 << 16)
            end = _received(stream)
            if begin.at < first.at + SKIP["tcp"]:
                begin = end
    return (end.number - begin.number) * 8 / (end.at - begin.at)


def _received(stream: socket.socket) -> Arrival:
    """How many bytes of a stream the kernel has had until now."""
    info = stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RECEIVED + 8)
    return Arrival(time.monotonic(), *struct.unpack_from("=Q", info, _RECEIVED))


def send_tcp(address: str, seconds: float) -> None:
    with socket.socket(_family(address)[0], socket.SOCK_STREAM) as stream:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _DATAGRAM)
        stream.settimeout(2 * seconds)
        stream.connect((address, PORT))
        end, data = time.monotonic() + seconds, bytes(1 << 16)
        with contextlib.suppress(ConnectionError):  # the receiver has heard enough
            while time.monotonic() < end:
                stream.send(data)


def send_udp(address: str, offered: float, seconds: float) -> None:
    family, header = _family(address)
    frame = 8 * (_DATAGRAM + header)
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.connect((address, PORT))
        begin = due = time.monotonic()
        number = 0
        while (now := time.monotonic()) < begin + seconds and not _ends(_TICK):
            due = max(due, now - BACKLOG)
            while due < now:
                with contextlib.suppress(OSError):  # a full queue, or nobody listens any more
                    client.send(struct.pack("!Q", number).ljust(_DATAGRAM, b"\0"))
                    number += 1
                due += frame / offered


def _ends(within: float) -> bool:
    """Whether standard input ends in that time."""
    return bool(select.select([sys.stdin], [], [], within)[0])


def main(mode: str, kind: str, address: str, offered: float, seconds: float) -> None:
    if mode == "send":
        send_udp(address, offered, seconds) if kind == "udp" else send_tcp(address, seconds)
    elif kind == "udp":
        print(receive_udp(address, offered, seconds), flush=True)
    else:
        print(receive_tcp(address, seconds), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]), float(sys.argv[5]))
