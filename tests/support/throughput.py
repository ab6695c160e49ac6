"""Sends and counts traffic inside a namespace, to measure what a NIC lets pass. A program:

python throughput.py receive udp|tcp ADDRESS SKIP SECONDS   prints the bits per second that arrive
python throughput.py send udp|tcp ADDRESS RATE SECONDS      sends at RATE bits per second

Bits are those of Ethernet frames for UDP, and of the stream for TCP, which sends as it can. The
receiver says "ready" first, and measures from SKIP seconds after the first packet.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
import time

PORT = 7777
_DATAGRAM = 1200
_TICK = 0.004


def _family(address: str) -> tuple[socket.AddressFamily, int]:
    """The socket's family, and the bytes of a datagram's frame beside its payload."""
    is_ipv4 = ipaddress.ip_address(address).version == 4
    return (socket.AF_INET, 42) if is_ipv4 else (socket.AF_INET6, 62)


def receive(kind: str, address: str, skip: float, seconds: float) -> None:
    family, header = _family(address)
    is_udp = kind == "udp"
    server = socket.socket(family, socket.SOCK_DGRAM if is_udp else socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    server.bind((address, PORT))
    server.settimeout(skip + seconds + 30)
    if is_udp:
        print("ready", flush=True)
        stream = server
    else:
        server.listen(1)
        print("ready", flush=True)
        stream = server.accept()[0]
        header = 0
    stream.settimeout(30)
    stream.recv(1 << 16)
    begin = time.monotonic() + skip
    counted, now = 0, begin - skip
    stream.settimeout(0.2)
    while now < begin + seconds:
        try:
            size = len(stream.recv(1 << 16))
        except TimeoutError:
            size = -header
        now = time.monotonic()
        if begin <= now < begin + seconds:
            counted += size + header
    print(counted * 8 / seconds, flush=True)


def send(kind: str, address: str, rate: float, seconds: float) -> None:
    family, header = _family(address)
    if kind == "tcp":
        with socket.socket(family, socket.SOCK_STREAM) as stream:
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _DATAGRAM)
            stream.settimeout(2 * seconds)
            stream.connect((address, PORT))
            end, data = time.monotonic() + seconds, bytes(1 << 16)
            while time.monotonic() < end:
                stream.send(data)
        return
    client = socket.socket(family, socket.SOCK_DGRAM)
    client.connect((address, PORT))
    begin, sent, data = time.monotonic(), 0, bytes(_DATAGRAM)
    frame = 8 * (_DATAGRAM + header)
    while (now := time.monotonic() - begin) < seconds:
        while sent * frame < now * rate:
            try:
                client.send(data)
            except OSError:
                pass  # a full queue: what is not sent cannot arrive
            sent += 1
        time.sleep(_TICK)


if __name__ == "__main__":
    mode, kind, address, amount, seconds = sys.argv[1:]
    {"receive": receive, "send": send}[mode](kind, address, float(amount), float(seconds))
