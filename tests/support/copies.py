"""Stands for nodes on the underlay: counts the copies of each ping that a zone sends to them, and
answers for a machine there. A program, run inside.

python copies.py DEVICE [ADDRESS...]    until its standard input says how many pings were sent; then
one JSON object: by node address, how often each echo request (by sequence number) went there. Those
of ADDRESS are answered.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import struct
import sys
import time
from ipaddress import IPv4Address

GENEVE, BUFFER, SO_RCVBUFFORCE = 6081, 16 << 20, 33
REST = 0.3  # seconds for what is under way once the last ping came
BUSY = 5.0  # seconds until then: a busy switch is late


def main(device: str, *answering: str) -> None:
    hearing = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
    for option in (SO_RCVBUFFORCE, socket.SO_RCVBUF):  # we may be without a turn for long
        with contextlib.suppress(PermissionError):
            hearing.setsockopt(socket.SOL_SOCKET, option, BUFFER)
            break
    hearing.bind((device, 0))
    speaking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    print("started", flush=True)
    found: dict[str, dict[int, int]] = {}
    last, end = -1, 0.0
    while not end or time.monotonic() < end:
        ready, _, _ = select.select([hearing] if end else [hearing, sys.stdin], [], [], 0.05)
        if sys.stdin in ready:
            last, end = int(sys.stdin.readline() or 0) - 1, time.monotonic() + BUSY
        if end and any(last in counts for counts in found.values()):
            end = min(end, time.monotonic() + REST)
        if hearing not in ready:
            continue
        frame, where = hearing.recvfrom(65535)
        if where[2] != socket.PACKET_OUTGOING and (seen := ping(frame)) is not None:
            source, to, number, answer = seen
            counts = found.setdefault(to, {})
            counts[number] = counts.get(number, 0) + 1
            if to in answering:
                speaking.sendto(answer, (source, GENEVE))
    json.dump(found, sys.stdout)


def ping(frame: bytes) -> tuple[str, str, int, bytes] | None:
    """An encapsulated echo request: from where and to where, its number, and its answer."""
    outer = frame[14:]
    length = (outer[0] & 15) * 4
    if outer[9] != 17 or outer[length + 2 : length + 4] != struct.pack("!H", GENEVE):
        return None
    tunnelled = outer[length + 8 :]
    start = 8 + (tunnelled[0] & 0x3F) * 4
    head, inner = tunnelled[:start], tunnelled[start:]
    if inner[12:14] != b"\x08\x00" or inner[23] != 1:
        return None
    message = inner[14 + (inner[14] & 15) * 4 :]
    if message[0] != 8:
        return None
    ends = [str(IPv4Address(outer[at : at + 4])) for at in (12, 16)]
    number = struct.unpack("!H", message[6:8])[0]
    return ends[0], ends[1], number, answered(head, inner, message)


def answered(head: bytes, inner: bytes, message: bytes) -> bytes:
    """The answer in its tunnel's header: logical ports, MACs and addresses change places.

    The option is OVN's (ovn-architecture(7), Tunnel Encapsulations): a bit, 15 bits of the port
    that it comes from, 16 of the one that it goes to.
    """
    at = len(head) - 4
    came, went = struct.unpack("!HH", head[at:])
    head = head[:at] + struct.pack("!HH", went & 0x7FFF, came)
    ip = bytearray(inner[14 : len(inner) - len(message)])
    ip[12:16], ip[16:20] = ip[16:20], ip[12:16]
    reply = b"\0\0\0\0" + message[4:]
    padded = reply + b"\0" * (len(reply) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    total = (total & 0xFFFF) + (total >> 16)
    total += total >> 16
    reply = reply[:2] + struct.pack("!H", ~total & 0xFFFF) + reply[4:]
    return head + inner[6:12] + inner[:6] + inner[12:14] + bytes(ip) + reply


if __name__ == "__main__":
    main(*sys.argv[1:])
