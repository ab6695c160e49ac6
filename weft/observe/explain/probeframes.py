"""Makes the frame of a probe in a pod's name, and reads what comes back. Pure.

A probe is a TCP SYN, a datagram or an echo request, with the MACs and addresses of its two ends. A
packet is what `zone.order` makes of a question; `size` in it is the length of an echo request, from
its IP header on.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from enum import StrEnum
from ipaddress import ip_address
from typing import Any

from weft.ovn import ipv6

LONGEST_WAIT = 30.0  # seconds that a probe waits for its reply, at most
# Bytes of a packet, from its IP header on, that a switch can be handed. It is an argument of
# ovs-ofctl in hexadecimal digits, of which Linux takes 128 KiB, and a message of OpenFlow.
LARGEST = 65_000
_IPV4 = 0x0800
_ICMP, _TCP, _UDP, _ICMPV6 = 1, 6, ipv6.UDP, ipv6.ICMPV6
_HEADER = 14
_SYN, _RST, _ACK = 0x02, 0x04, 0x10
_ECHO = {4: (8, 0), 6: (128, 129)}  # request, reply
_NO_PORT = {4: (3, 3), 6: (1, 4)}  # type and code of a port that is unreachable
_IP_HEADER = {4: 20, 6: 40}
_ECHO_HEADER = 8
_WINDOW, _TTL, _DO_NOT_FRAGMENT = 64240, 64, 0x4000
_PAYLOAD = b"weft explain"
_MASK = 0xFFFFFFFF
_FIRST = 1  # the sequence number of an echo request


class Reply(StrEnum):
    """What came back."""

    ECHO = "an echo reply"
    OPEN = "SYN-ACK"
    CLOSED = "RST"
    DATAGRAM = "a datagram"
    NO_PORT = "ICMP's port unreachable"


def can_send(packet: Mapping[str, Any]) -> bool:
    """Whether there is a probe for the protocol."""
    return packet["protocol"] in ("ICMP", "TCP", "UDP")


def request(packet: Mapping[str, Any], number: int, sequence: int) -> bytes:
    """The frame that asks; `number`: the source port, or the identifier of the echo request.

    `sequence`: 32 random bits, the SYN's sequence number or a part of the echo request's data: only
    who has seen the request can answer it.
    """
    version = ip_address(packet["addresses"][0]).version
    if packet["protocol"] == "TCP":
        return _tcp(packet, number, _SYN, sequence)
    if packet["protocol"] == "UDP":
        return _frame(packet, _UDP, _datagram(packet, number, sequence))
    data = _echoed(packet, sequence)
    body = struct.pack("!BBHHH", _ECHO[version][0], 0, 0, number, _FIRST) + data
    if version == 4:
        return _frame(packet, _ICMP, _with_checksum(body, b"", 2))
    return _frame(packet, _ICMPV6, _with_checksum(body, _pseudo(packet, _ICMPV6, body), 2))


def reset(packet: Mapping[str, Any], number: int, sequence: int) -> bytes:
    """The frame that ends a connection which a probe began."""
    return _tcp(packet, number, _RST, sequence + 1)


def reply(frame: bytes, packet: Mapping[str, Any], number: int, sequence: int) -> Reply | None:
    """What a frame answers to the probe that `request` made; None if it is none of its answers."""
    source, target = map(ip_address, packet["addresses"])
    found = _parsed(frame, source.version)
    if found is None:
        return None
    addresses, protocol, body = found
    if addresses != target.packed + source.packed:
        return None
    if packet["protocol"] == "TCP":
        if protocol != _TCP:
            return None
        return _tcp_reply(body, (packet["port"], number), sequence + 1 & _MASK)
    if packet["protocol"] == "UDP":
        return _udp_reply(protocol, body, packet, number, sequence)
    if protocol != (_ICMP if source.version == 4 else _ICMPV6) or len(body) < 8:
        return None
    kinds = (body[0], *struct.unpack("!HH", body[4:8]))
    is_own = kinds == (_ECHO[source.version][1], number, _FIRST) and body[8:] == _echoed(
        packet, sequence
    )
    return Reply.ECHO if is_own else None


def _tcp_reply(body: bytes, ports: tuple[int, int], acknowledged: int) -> Reply | None:
    """A SYN is acknowledged by who accepts it, and by who refuses it (RFC 9293, 3.5.2)."""
    if len(body) < 20 or struct.unpack("!HH", body[:4]) != ports:
        return None
    flags = body[13]
    if not flags & _ACK or int.from_bytes(body[8:12], "big") != acknowledged:
        return None
    if flags & _RST:
        return Reply.CLOSED
    return Reply.OPEN if flags & _SYN else None


def _udp_reply(
    protocol: int, body: bytes, packet: Mapping[str, Any], number: int, sequence: int
) -> Reply | None:
    """A datagram of the program that listens, or the refusal of the system where none does. That
    quotes the header of what it refuses, of which the checksum is over what nobody else knows."""
    if protocol == _UDP:
        ports = packet["port"].to_bytes(2, "big") + number.to_bytes(2, "big")
        return Reply.DATAGRAM if len(body) >= 8 and body[:4] == ports else None
    version = ip_address(packet["addresses"][0]).version
    if protocol != (_ICMP if version == 4 else _ICMPV6) or tuple(body[:2]) != _NO_PORT[version]:
        return None
    quoted = body[8:]
    start = _IP_HEADER[version] if version == 6 or not quoted else (quoted[0] & 15) * 4
    asked = _datagram(packet, number, sequence)[:8]
    return Reply.NO_PORT if quoted[start : start + 8] == asked else None


def _data(sequence: int) -> bytes:
    return _PAYLOAD + sequence.to_bytes(4, "big")


def _echoed(packet: Mapping[str, Any], sequence: int) -> bytes:
    """The data of an echo request, as long as the packet is to be."""
    version = ip_address(packet["addresses"][0]).version
    length = packet.get("size", 0) - _IP_HEADER[version] - _ECHO_HEADER
    return _data(sequence).ljust(length, b".")


def _datagram(packet: Mapping[str, Any], number: int, sequence: int) -> bytes:
    data = _data(sequence)
    body = struct.pack("!HHHH", number, packet["port"], 8 + len(data), 0) + data
    return _with_checksum(body, _pseudo(packet, _UDP, body), 6)


def _parsed(frame: bytes, version: int) -> tuple[bytes, int, bytes] | None:
    """Addresses, protocol and what follows the IP header; extension headers are not followed."""
    kind, rest = int.from_bytes(frame[12:14], "big"), frame[_HEADER:]
    if version == 4:
        if kind != _IPV4 or len(rest) < 20 or rest[0] >> 4 != 4:
            return None
        return rest[12:20], rest[9], rest[(rest[0] & 15) * 4 : int.from_bytes(rest[2:4], "big")]
    if kind != ipv6.ETHERTYPE or len(rest) < 40 or rest[0] >> 4 != 6:
        return None
    return rest[8:40], rest[6], rest[40 : 40 + int.from_bytes(rest[4:6], "big")]


def _tcp(packet: Mapping[str, Any], number: int, flags: int, sequence: int) -> bytes:
    ports = struct.pack("!HHII", number, packet["port"], sequence & _MASK, 0)
    body = ports + struct.pack("!BBHHH", 5 << 4, flags, _WINDOW, 0, 0)
    return _frame(packet, _TCP, _with_checksum(body, _pseudo(packet, _TCP, body), 16))


def _pseudo(packet: Mapping[str, Any], protocol: int, body: bytes) -> bytes:
    source, target = map(ip_address, packet["addresses"])
    if source.version == 4:
        return source.packed + target.packed + struct.pack("!BBH", 0, protocol, len(body))
    return source.packed + target.packed + struct.pack("!I3xB", len(body), protocol)


def _with_checksum(body: bytes, pseudo: bytes, at: int) -> bytes:
    total = ipv6.checksum(pseudo + body) or 0xFFFF  # in UDP, 0 is none; elsewhere it is the same
    return body[:at] + total.to_bytes(2, "big") + body[at + 2 :]


def _frame(packet: Mapping[str, Any], protocol: int, body: bytes) -> bytes:
    source, target = map(ip_address, packet["addresses"])
    ethernet = b"".join(map(ipv6.octets, reversed(packet["macs"])))
    if source.version == 6:
        header = struct.pack("!IHBB", 6 << 28, len(body), protocol, _TTL)
        kind, header = ipv6.ETHERTYPE, header + source.packed + target.packed
    else:
        first = struct.pack(
            "!BBHHHBB", 0x45, 0, 20 + len(body), 0, _DO_NOT_FRAGMENT, _TTL, protocol
        )
        ends = source.packed + target.packed
        total = ipv6.checksum(first + bytes(2) + ends)
        kind, header = _IPV4, first + total.to_bytes(2, "big") + ends
    return ethernet + kind.to_bytes(2, "big") + header + body
