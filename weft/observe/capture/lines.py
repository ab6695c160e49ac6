"""Describes a packet in one line, much as tcpdump(8) does. Pure.

It prints numbers and names of protocols only: no text of a packet reaches a terminal. What is cut
or forged is described as far as it can be read.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address

from weft.observe.capture.pcapng import Packet

_VLANS, _ARP, _IPV4, _IPV6 = (0x8100, 0x88A8), 0x0806, 0x0800, 0x86DD
_ICMP, _TCP, _UDP, _ICMP6, _SCTP = 1, 6, 17, 58, 132
_FLAGS = ((1, "F"), (2, "S"), (4, "R"), (8, "P"), (16, "."), (32, "U"))
_ICMP_TYPES = {
    0: "echo reply",
    3: "unreachable",
    5: "redirect",
    8: "echo request",
    11: "time exceeded",
}
_UNREACHABLE = {
    0: "network unreachable",
    1: "host unreachable",
    2: "protocol unreachable",
    3: "port unreachable",
    4: "fragmentation needed",
    13: "prohibited",
}
_ICMP6_TYPES = {
    1: "destination unreachable",
    2: "packet too big",
    3: "time exceeded",
    128: "echo request",
    129: "echo reply",
    130: "multicast listener query",
    131: "multicast listener report",
    133: "router solicitation",
    134: "router advertisement",
    135: "neighbor solicitation",
    136: "neighbor advertisement",
    143: "multicast listener report v2",
}
_NEIGHBOURS = (135, 136)
_DHCP_PORTS, _DHCP6_PORTS, _DNS = (67, 68), (546, 547), 53
_COOKIE, _MESSAGE_TYPE, _PAD, _LAST = b"\x63\x82\x53\x63", 53, 0, 255
_DHCP = ("", "Discover", "Offer", "Request", "Decline", "ACK", "NAK", "Release", "Inform")
_DHCP6 = (
    *("", "Solicit", "Advertise", "Request", "Confirm", "Renew", "Rebind", "Reply"),
    *("Release", "Decline", "Reconfigure", "Information-request", "Relay-forward", "Relay-reply"),
)


def line(packet: Packet) -> str:
    """Time (UTC), direction as the pod sees it, and what the packet is."""
    second, nanoseconds = divmod(packet.time, 1_000_000_000)
    when = datetime.fromtimestamp(second, UTC)
    time = f"{when:%H:%M:%S}.{nanoseconds // 1000:06}"
    return f"{time} {'In ' if packet.inbound else 'Out'} {described(packet.data, packet.length)}"


def described(data: bytes, length: int) -> str:
    """A frame of `length` bytes, of which `data` is the beginning."""
    try:
        return _ethernet(data, length)
    except (struct.error, IndexError, ValueError):
        return f"{_macs(data)}[cut short], length {length}" if len(data) >= 12 else "[cut short]"


def _macs(data: bytes) -> str:
    return f"{data[6:12].hex(':')} > {data[:6].hex(':')} "


def _ethernet(data: bytes, length: int) -> str:
    kind, at, tags = _half(data, 12), 14, ""
    while kind in _VLANS and at < 26:
        tags += f"vlan {_half(data, at) & 0xFFF}, "
        kind, at = _half(data, at + 2), at + 4
    body = data[at:]
    if kind == _ARP:
        return tags + _arp(body)
    if kind == _IPV4:
        return tags + _ipv4(body)
    if kind == _IPV6:
        return tags + _ipv6(body)
    return f"{tags}{_macs(data)}ethertype {kind:#06x}, length {length}"


def _arp(body: bytes) -> str:
    operation = _half(body, 6)
    sender, target = IPv4Address(body[14:18]), IPv4Address(body[24:28])
    if operation == 1:
        return f"ARP, Request who-has {target} tell {sender}"
    if operation == 2:
        return f"ARP, Reply {sender} is-at {body[8:14].hex(':')}"
    return f"ARP, operation {operation}, {sender} > {target}"


def _ipv4(body: bytes) -> str:
    head = (body[0] & 15) * 4
    length = max(_half(body, 2) - head, 0)
    ends = IPv4Address(body[12:16]), IPv4Address(body[16:20])
    fragment = _half(body, 6) & 0x1FFF
    if fragment:
        return f"IP {ends[0]} > {ends[1]}: fragment at {8 * fragment}, length {length}"
    return f"IP {_inside(body[9], ends, body[head:], length)}"


def _ipv6(body: bytes) -> str:
    length = _half(body, 4)
    ends = IPv6Address(body[8:24]), IPv6Address(body[24:40])
    return f"IP6 {_inside(body[6], ends, body[40:], length)}"


_Ends = tuple[IPv4Address | IPv6Address, IPv4Address | IPv6Address]


def _inside(protocol: int, ends: _Ends, body: bytes, length: int) -> str:
    plain = f"{ends[0]} > {ends[1]}"
    if protocol in (_TCP, _UDP, _SCTP) and len(body) >= 4:
        source, target = _half(body, 0), _half(body, 2)
        plain = f"{ends[0]}.{source} > {ends[1]}.{target}"
        return f"{plain}: {_transport(protocol, (source, target), body, length)}"
    if protocol == _ICMP:
        return f"{plain}: ICMP {_icmp(body)}, length {length}"
    if protocol == _ICMP6:
        return f"{plain}: ICMP6, {_icmp6(body)}, length {length}"
    return f"{plain}: protocol {protocol}, length {length}"


def _transport(protocol: int, ports: tuple[int, int], body: bytes, length: int) -> str:
    if protocol == _SCTP:
        return f"SCTP, length {max(length - 12, 0)}"
    if protocol == _TCP:
        flags = "".join(letter for bit, letter in _FLAGS if body[13] & bit) or "none"
        return f"Flags [{flags}], length {max(length - (body[12] >> 4) * 4, 0)}"
    payload = body[8:]
    if ports[0] in _DHCP_PORTS and ports[1] in _DHCP_PORTS:
        return f"DHCP {_dhcp(payload)}"
    if ports[0] in _DHCP6_PORTS and ports[1] in _DHCP6_PORTS:
        kind = payload[0] if payload else 0
        return f"DHCPv6 {_DHCP6[kind] if 0 < kind < len(_DHCP6) else f'type {kind}'}"
    what = "UDP"
    if _DNS in ports and len(payload) >= 4:
        what = "DNS answer" if payload[2] & 0x80 else "DNS query"
    return f"{what}, length {max(length - 8, 0)}"


def _dhcp(payload: bytes) -> str:
    """The kind of a DHCP message, and whose it is."""
    client = payload[28:34].hex(":")
    found, at = 0, 240
    while payload[236:240] == _COOKIE and at + 1 < len(payload) and payload[at] != _LAST:
        if payload[at] == _PAD:
            at += 1
            continue
        if payload[at] == _MESSAGE_TYPE and at + 2 < len(payload):
            found = payload[at + 2]
            break
        at += 2 + payload[at + 1]
    name = _DHCP[found] if 0 < found < len(_DHCP) else "message"
    address = ip_address(payload[16:20]) if len(payload) >= 20 else None
    given = f", address {address}" if name in ("Offer", "ACK") and address else ""
    return f"{name} of {client}{given}"


def _icmp(body: bytes) -> str:
    kind, code = body[0], body[1]
    if kind in (0, 8):
        return f"{_ICMP_TYPES[kind]}, id {_half(body, 4)}, seq {_half(body, 6)}"
    if kind == 3:
        return _UNREACHABLE.get(code, f"unreachable, code {code}")
    return _ICMP_TYPES.get(kind, f"type {kind}, code {code}")


def _icmp6(body: bytes) -> str:
    kind = body[0]
    name = _ICMP6_TYPES.get(kind, f"type {kind}, code {body[1]}")
    if kind in (128, 129):
        return f"{name}, id {_half(body, 4)}, seq {_half(body, 6)}"
    if kind in _NEIGHBOURS and len(body) >= 24:
        asks = "who has" if kind == 135 else "tgt is"
        return f"{name}, {asks} {IPv6Address(body[8:24])}"
    return name


def _half(data: bytes, at: int) -> int:
    found: int = struct.unpack_from("!H", data, at)[0]
    return found
