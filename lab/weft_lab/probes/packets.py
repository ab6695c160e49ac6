"""Encodes probes (echo requests, SCTP's first chunk), and reads the sender of a frame. Pure.

The kernel sends TCP and UDP; this module only reads their headers in frames.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import ip_address

ICMP, TCP, UDP, ICMP6, SCTP = 1, 6, 17, 58, 132
ECHO = {4: (8, 0), 6: (128, 129)}  # IP version: types of request and reply

_ECHO = struct.Struct("!BBHHH")
_SCTP = struct.Struct("!HHII")
_INIT = struct.Struct("!BBHIIHHI")
_ETHERNET = 14
_SYN, _ACK = 0x02, 0x10
_VLAN = 0x8100
_IP = {0x0800: 4, 0x86DD: 6}


def echo(version: int, identity: int, sequence: int, *, size: int = 0) -> bytes:
    """An echo request; the kernel fills in the checksum of version 6.

    `size`: bytes of the whole packet with its IP header, 0 for as few as can be.
    """
    kind = ECHO[version][0]
    padding = bytes(max(size - (20 if version == 4 else 40) - _ECHO.size, 0))
    bare = _ECHO.pack(kind, 0, 0, identity, sequence) + padding
    return _ECHO.pack(kind, 0, 0 if version == 6 else _ones(bare), identity, sequence) + padding


def is_echoed(version: int, message: bytes, identity: int) -> bool:
    """Whether an ICMP message answers an echo request of that identity."""
    if len(message) < _ECHO.size:
        return False
    kind, _code, _sum, found, _sequence = _ECHO.unpack_from(message)
    return bool(kind == ECHO[version][1] and found == identity)


def init(source: int, target: int) -> bytes:
    """An SCTP packet that asks for an association, between two ports."""
    chunk = _INIT.pack(1, 0, _INIT.size, 0x5EED, 65536, 1, 1, 1)
    bare = _SCTP.pack(source, target, 0, 0) + chunk
    return _SCTP.pack(source, target, 0, _crc32c(bare)) + chunk


def payload(version: int, packet: bytes) -> bytes:
    """What follows the IP header; raw sockets of version 6 give it without that header."""
    return packet[(packet[0] & 15) * 4 :] if version == 4 and packet else packet


@dataclass(frozen=True, slots=True)
class Flow:
    """The first packet of a flow, parsed from a frame."""

    source: str
    target: str
    protocol: int
    port: int


def parse(frame: bytes) -> Flow | None:
    """None for what begins no flow (of ICMP an echo request, of TCP a SYN), or a later fragment.

    ICMPv6 counts as ICMP.
    """
    kind, start = int.from_bytes(frame[12:14], "big"), _ETHERNET
    if kind == _VLAN:
        kind, start = int.from_bytes(frame[16:18], "big"), _ETHERNET + 4
    version = _IP.get(kind)
    ip = frame[start:]
    if version == 4 and len(ip) >= 20:
        if int.from_bytes(ip[6:8], "big") & 0x1FFF:
            return None
        protocol, ends, after = ip[9], (ip[12:16], ip[16:20]), (ip[0] & 15) * 4
    elif version == 6 and len(ip) >= 40:
        protocol, ends, after = ip[6], (ip[8:24], ip[24:40]), 40
    else:
        return None
    head = ip[after : after + 14]
    protocol, port = _begun(version, protocol, head)
    if port < 0:
        return None
    source, target = (str(ip_address(end)) for end in ends)
    return Flow(source, target, protocol, port)


def _begun(version: int, protocol: int, head: bytes) -> tuple[int, int]:
    """(protocol, port) of a header that begins a flow; the port is -1 for any other."""
    if protocol in (ICMP, ICMP6):
        is_request = len(head) >= 8 and head[0] == ECHO[version][0]
        return ICMP, 0 if is_request else -1
    is_first = protocol in (UDP, SCTP) and len(head) >= 4
    if protocol == TCP:
        is_first = len(head) >= 14 and head[13] & (_SYN | _ACK) == _SYN
    return protocol, int.from_bytes(head[2:4], "big") if is_first else -1


def _ones(data: bytes) -> int:
    """The Internet's checksum."""
    data += bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _crc32c(data: bytes) -> int:
    """SCTP's checksum, in the order of its header's bytes."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return int.from_bytes((crc ^ 0xFFFFFFFF).to_bytes(4, "little"), "big")
