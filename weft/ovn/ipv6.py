"""Builds and parses the IPv6 frames between a node and its guests."""

from __future__ import annotations

import struct
from ipaddress import IPv6Address

ETHERTYPE = 0x86DD
ICMPV6, UDP = 58, 17
_HEADERS = 14 + 40


def octets(mac: str) -> bytes:
    """The six bytes of a MAC."""
    return bytes.fromhex(mac.replace(":", ""))


def link_local(mac: str) -> IPv6Address:
    """The EUI-64 link-local address that OVN derives from a port's MAC."""
    own = octets(mac)
    half = bytes((own[0] ^ 2,)) + own[1:3] + b"\xff\xfe" + own[3:]
    return IPv6Address(b"\xfe\x80" + bytes(6) + half)


def frame(
    mac: str, to_mac: bytes, to: IPv6Address, protocol: int, body: bytes, *, checksum_at: int
) -> bytes:
    """A frame from `mac` and its link-local address, with hop limit 255.

    `body` has zeros at `checksum_at`, where the checksum over it and the pseudo-header is written
    (RFC 8200, section 8.1).
    """
    addresses = link_local(mac).packed + to.packed
    pseudo = addresses + struct.pack("!I3xB", len(body), protocol)
    total = checksum(pseudo + body) or 0xFFFF
    body = body[:checksum_at] + total.to_bytes(2, "big") + body[checksum_at + 2 :]
    header = struct.pack("!IHBB", 6 << 28, len(body), protocol, 255) + addresses
    return to_mac + octets(mac) + ETHERTYPE.to_bytes(2, "big") + header + body


def payload(received: bytes, protocol: int) -> bytes | None:
    """The bytes after an IPv6 header, by its length field; None if the frame is shorter."""
    if len(received) < _HEADERS or received[12:14] != ETHERTYPE.to_bytes(2, "big"):
        return None
    end = _HEADERS + int.from_bytes(received[18:20], "big")
    if received[14] >> 4 != 6 or received[20] != protocol or len(received) < end:
        return None
    return received[_HEADERS:end]


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    padded = data + bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
