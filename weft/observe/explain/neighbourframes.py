"""Makes the frames that ask a port for an address, and reads what it says of itself. Pure.

ARP (RFC 826) asks for IPv4 addresses as a probe of RFC 5227 does, from the address 0.0.0.0, which
no neighbour table takes in. Neighbour Discovery (RFC 4861) asks for IPv6 addresses, from the
link-local address of who asks: without a source it would be a claim of the address itself.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum, auto
from ipaddress import IPv4Address, IPv6Address, ip_address

from weft import model
from weft.ovn import ipv6

# What `capture.expression` admits of a guest that says where it is.
FILTER = "arp or icmp or icmp6 or udp dst port 67 or udp dst port 547"
_ARP, _IPV4 = 0x0806, 0x0800
_REQUEST, _REPLY = 1, 2
_ARP_HEAD = struct.Struct("!HHBBH")
_SOLICITATION, _ADVERTISEMENT = 135, 136
_TARGET = struct.Struct("!BBHI16s")
_SOURCE_LINK, _TARGET_LINK = 1, 2
_UDP, _DHCP_SERVERS = 17, {4: 67, 6: 547}
_NONE: dict[int, model.Address] = {4: IPv4Address(0), 6: IPv6Address(0)}
_HEADER = 14
_EVERYONE = b"\xff" * 6


class FrameKind(Enum):
    """HOLDS: it has the address. SEEKS: it asks whose the address is. DHCP: it asks for one, in
    place of the unspecified one."""

    HOLDS = auto()
    SEEKS = auto()
    DHCP = auto()


@dataclass(frozen=True, slots=True)
class FrameContent:
    """What a frame says. `mac` and `sender`: from whom; `sender` None for nobody's address."""

    kind: FrameKind
    mac: str
    sender: model.Address | None = None
    address: model.Address | None = None


def question(address: model.Address, mac: str) -> bytes:
    """The frame that asks who has an address, in the name of `mac`."""
    own = ipv6.octets(mac)
    if isinstance(address, IPv4Address):
        head = _ARP_HEAD.pack(1, _IPV4, 6, 4, _REQUEST)
        body = head + own + bytes(4) + bytes(6) + address.packed
        return _EVERYONE + own + _ARP.to_bytes(2, "big") + body
    group = IPv6Address(b"\xff\x02" + bytes(9) + b"\x01\xff" + address.packed[13:])
    body = _TARGET.pack(_SOLICITATION, 0, 0, 0, address.packed) + bytes((_SOURCE_LINK, 1)) + own
    to = b"\x33\x33" + group.packed[12:]
    return ipv6.frame(mac, to, group, ipv6.ICMPV6, body, checksum_at=2)


def read(frame: bytes) -> FrameContent | None:
    """What a frame says of addresses; None for nothing."""
    if len(frame) < _HEADER:
        return None
    mac, kind, rest = frame[6:12].hex(":"), int.from_bytes(frame[12:14], "big"), frame[_HEADER:]
    if kind == _ARP:
        return _arp(rest)
    if kind == _IPV4:
        return _dhcp(mac, rest)
    return _ipv6(mac, frame)


def _arp(rest: bytes) -> FrameContent | None:
    if len(rest) < 28 or _ARP_HEAD.unpack(rest[:8])[:4] != (1, _IPV4, 6, 4):
        return None
    mac, sender, target = rest[8:14].hex(":"), IPv4Address(rest[14:18]), IPv4Address(rest[24:28])
    own = None if sender.is_unspecified else sender
    if rest[6:8] == _REPLY.to_bytes(2, "big"):
        return FrameContent(FrameKind.HOLDS, mac, own, sender)
    return FrameContent(FrameKind.SEEKS, mac, own, target)


def _dhcp(mac: str, rest: bytes) -> FrameContent | None:
    start = (rest[0] & 15) * 4 if rest else 0
    if len(rest) < 20 or rest[9] != _UDP or len(rest) < start + 4:
        return None
    port = int.from_bytes(rest[start + 2 : start + 4], "big")
    return _asking(mac, _NONE[4]) if port == _DHCP_SERVERS[4] else None


def _asking(mac: str, without: model.Address) -> FrameContent:
    return FrameContent(FrameKind.DHCP, mac, None, without)


def _ipv6(mac: str, frame: bytes) -> FrameContent | None:
    udp = ipv6.payload(frame, ipv6.UDP)
    if udp is not None and len(udp) >= 4:
        port = int.from_bytes(udp[2:4], "big")
        return _asking(mac, _NONE[6]) if port == _DHCP_SERVERS[6] else None
    body = ipv6.payload(frame, ipv6.ICMPV6)
    if body is None or len(body) < _TARGET.size or body[0] not in (_SOLICITATION, _ADVERTISEMENT):
        return None
    address = IPv6Address(body[8:24])
    source = ip_address(frame[22:38])
    sender = None if source.is_unspecified else source
    if body[0] == _SOLICITATION:
        return FrameContent(FrameKind.SEEKS, mac, sender, address)
    option = body[24:32]
    if len(option) == 8 and option[:2] == bytes((_TARGET_LINK, 1)):
        mac = option[2:].hex(":")
    return FrameContent(FrameKind.HOLDS, mac, sender, address)
