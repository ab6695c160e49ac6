"""Sends pings at even intervals and counts their answers. A program, run inside a namespace.

python pinger.py ADDRESS INTERVAL [BUSY]     until its standard input ends; then one JSON object:
for each ping when it was sent, when it was answered first, and how often (seconds of a monotonic
clock)

python pinger.py each INTERVAL ADDRESS...     likewise, with such an object for each address
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time

LATE = 0.5  # seconds for the last answers, and for second ones
BUFFER = 8 << 20  # bytes: a switch that had no turn passes many answers at once
BUSY = 5.0  # seconds, while some are missing: on a busy machine an answer is late, not lost
_SO_RCVBUFFORCE = 33


def main(address: str, interval: float, busy: float = BUSY) -> None:
    is_v6 = ":" in address
    family, protocol = (
        (socket.AF_INET6, socket.getprotobyname("ipv6-icmp"))
        if is_v6
        else (socket.AF_INET, socket.IPPROTO_ICMP)
    )
    sock = socket.socket(family, socket.SOCK_RAW, protocol)
    sock.setblocking(False)
    for option in (_SO_RCVBUFFORCE, socket.SO_RCVBUF):
        with contextlib.suppress(PermissionError):
            sock.setsockopt(socket.SOL_SOCKET, option, BUFFER)
            break
    own = os.getpid() & 0xFFFF
    request, answer = (128, 129) if is_v6 else (8, 0)
    sent: list[float] = []
    answered: dict[int, list[float]] = {}
    due = begin = time.monotonic()
    end = 0.0
    print("started", flush=True)
    while not end or time.monotonic() < end + (busy if len(answered) < len(sent) else 0):
        now = time.monotonic()
        if not end and now >= due:
            sock.sendto(_echo(request, own, len(sent), is_v6=is_v6), (address, 0))
            sent.append(now - begin)
            due += interval
        watched = [sock] if end else [sock, sys.stdin]
        ready, _, _ = select.select(watched, [], [], 0.05 if end else max(0.0, due - now))
        if sys.stdin in ready and not sys.stdin.readline():
            end = time.monotonic() + LATE
        if sock not in ready:
            continue
        message = sock.recv(2048)
        body = message if is_v6 else message[(message[0] & 15) * 4 :]
        if len(body) < 12:  # not one of ours
            continue
        kind, _, _, ident, _, number = struct.unpack("!BBHHHI", body[:12])
        if kind == answer and ident == own and number < len(sent):
            answered.setdefault(number, []).append(time.monotonic() - begin)
    found = [[at, answered.get(n, [0.0])[0], len(answered.get(n, ()))] for n, at in enumerate(sent)]
    json.dump({"begin": begin, "pings": found}, sys.stdout)


def _echo(kind: int, ident: int, number: int, *, is_v6: bool) -> bytes:
    # The sequence number counts to 65,535 only: in eleven minutes at an interval of 10 ms.
    body = struct.pack("!BBHHHI", kind, 0, 0, ident, number & 0xFFFF, number) + b"weft" * 3
    if is_v6:  # the kernel writes the checksum
        return body
    total = sum(struct.unpack(f"!{len(body) // 2}H", body))
    total = (total & 0xFFFF) + (total >> 16)
    total += total >> 16
    return body[:2] + struct.pack("!H", ~total & 0xFFFF) + body[4:]


def several(interval: str, *addresses: str) -> None:
    """A process for each: none waits for the answers of another."""
    running = {
        each: subprocess.Popen(
            [sys.executable, "-I", __file__, each, interval],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for each in addresses
    }
    for process in running.values():
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
    print("started", flush=True)
    sys.stdin.read()
    for process in running.values():
        assert process.stdin is not None
        process.stdin.close()
    found = {}
    for each, process in running.items():
        assert process.stdout is not None
        found[each] = json.load(process.stdout)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    if sys.argv[1] == "each":
        several(*sys.argv[2:])
    else:
        main(sys.argv[1], *map(float, sys.argv[2:]))
