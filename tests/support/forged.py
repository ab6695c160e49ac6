"""Frames that a guest has no business to send, and their honest counterparts, byte by byte."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

from tests.support import frames

ALL_NODES, ALL_NODES_MAC = "ff02::1", "33:33:00:00:00:01"
BROADCAST = "ff:ff:ff:ff:ff:ff"
_ICMPV6, _UDP, _ICMP = 58, 17, 1
_DESTINATION_OPTIONS, _HOP_BY_HOP, _FRAGMENT = 60, 0, 44
_PAD = b"\x01\x04\0\0\0\0"  # an option that says nothing, six bytes


def packed(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def link_local(mac: str) -> str:
    own = packed(mac)
    half = bytes((own[0] ^ 2,)) + own[1:3] + b"\xff\xfe" + own[3:]
    return str(IPv6Address(b"\xfe\x80" + bytes(6) + half))


def ethernet(source: str, to: str, kind: int, payload: bytes) -> bytes:
    return packed(to) + packed(source) + kind.to_bytes(2, "big") + payload


def tagged(frame: bytes, vlan: int = 7) -> bytes:
    return frame[:12] + b"\x81\x00" + vlan.to_bytes(2, "big") + frame[12:]


def ipv6(source: str, to: str, kind: int, payload: bytes, hops: int = 255) -> bytes:
    head = struct.pack("!IHBB", 6 << 28, len(payload), kind, hops)
    return head + IPv6Address(source).packed + IPv6Address(to).packed + payload


def ipv4(source: str, to: str, kind: int, payload: bytes, fragment: int = 0) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 7, fragment, 64, kind, 0)
    head += IPv4Address(source).packed + IPv4Address(to).packed
    return head[:10] + frames.checksum(head).to_bytes(2, "big") + head[12:] + payload


def _summed(pseudo: bytes, body: bytes, place: int) -> bytes:
    data = pseudo + body
    total = frames.checksum(data + b"\0" * (len(data) % 2)) or 0xFFFF
    return body[:place] + total.to_bytes(2, "big") + body[place + 2 :]


def icmpv6(source: str, to: str, body: bytes) -> bytes:
    pseudo = IPv6Address(source).packed + IPv6Address(to).packed
    return _summed(pseudo + struct.pack("!I3xB", len(body), _ICMPV6), body, 2)


def advertisement(source: str, prefix: str, mac: str, to: str = ALL_NODES) -> bytes:
    """ICMPv6 alone: a default router, a prefix to make addresses from, and who says so."""
    body = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
    body += struct.pack("!BBBBIII16s", 3, 4, 64, 0xC0, 3600, 3600, 0, IPv6Address(prefix).packed)
    return icmpv6(source, to, body + b"\x01\x01" + packed(mac))


def solicitation(source: str, target: str, options: bytes, to: str = ALL_NODES) -> bytes:
    return icmpv6(source, to, b"\x87" + bytes(7) + IPv6Address(target).packed + options)


def neighbour(source: str, target: str, options: bytes, to: str = ALL_NODES) -> bytes:
    """An advertisement that overrides."""
    return icmpv6(source, to, b"\x88\0\0\0\x20\0\0\0" + IPv6Address(target).packed + options)


def redirect(source: str, to: str, target: str, of: str) -> bytes:
    ends = IPv6Address(target).packed + IPv6Address(of).packed
    return icmpv6(source, to, b"\x89" + bytes(7) + ends)


def source_option(mac: str) -> bytes:
    return b"\x01\x01" + packed(mac)


def target_option(mac: str) -> bytes:
    return b"\x02\x01" + packed(mac)


def behind_options(payload: bytes, kind: int = _ICMPV6, count: int = 1) -> tuple[int, bytes]:
    """The payload behind extension headers, and the kind of the first of them."""
    for _ in range(count):
        payload, kind = bytes((kind, 0)) + _PAD + payload, _DESTINATION_OPTIONS
    return _HOP_BY_HOP, bytes((kind, 0)) + _PAD + payload


def fragments(payload: bytes, kind: int = _ICMPV6, size: int = 16) -> list[bytes]:
    """Bodies of IPv6 packets of kind 44."""
    parts = [payload[at : at + size] for at in range(0, len(payload), size)]
    return [
        struct.pack("!BBHI", kind, 0, at * size | (at + 1 < len(parts)), 99) + part
        for at, part in enumerate(parts)
    ]


def udp(source: str, to: str, ports: tuple[int, int], payload: bytes) -> bytes:
    """UDP alone, with a checksum that is right."""
    ends = [IPv6Address(each) if ":" in each else IPv4Address(each) for each in (source, to)]
    body = struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload
    pseudo = b"".join(end.packed for end in ends) + struct.pack("!I3xB", len(body), _UDP)
    return _summed(pseudo, body, 6)
