"""Answers DHCPv6 messages (RFC 8415), bytes to bytes.

The node agent serves DHCPv6 instead of OVN (ADR 0074), with the same leases: the port's own
address, for ever, from the same server identifier. A guest's message is bounded and untrusted: only
its MAC, which port security enforces, decides the lease.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum
from ipaddress import IPv6Address

from weft import dhcpcodes, model, names
from weft.ovn import ipv6

SERVERS = IPv6Address("ff02::1:2")
CLIENT_PORT, SERVER_PORT = 546, 547
# DUID-LL (RFC 8415, section 11.4), as OVN makes it for this `server_id`.
SERVER_DUID = struct.pack("!HH", 3, 1) + ipv6.octets(names.SERVER_MAC)

_DUID_LENGTHS = range(3, 131)  # two bytes of type, then 1 to 128 of identifier
_MAX_ASSOCIATIONS = 8  # in one message; a host has one for each interface
_MAX_ADDRESSES = 8  # read in each association
_INFINITY = 0xFFFFFFFF


class Type(IntEnum):
    """Message types (RFC 8415, section 7.3) that a server without relays handles."""

    SOLICIT = 1
    ADVERTISE = 2
    REQUEST = 3
    CONFIRM = 4
    RENEW = 5
    REBIND = 6
    REPLY = 7
    RELEASE = 8
    DECLINE = 9
    INFORMATION_REQUEST = 11


class Option(IntEnum):
    """Option codes (RFC 8415, section 21; 23 and 24 are of RFC 3646)."""

    CLIENT_ID = 1
    SERVER_ID = 2
    IA_NA = 3
    IA_TA = 4
    IA_ADDRESS = 5
    STATUS = 13
    DNS_SERVERS = 23
    DOMAIN_SEARCH = 24
    IA_PD = 25


class Status(IntEnum):
    """Status codes (RFC 8415, section 21.13)."""

    SUCCESS = 0
    NO_ADDRESSES = 2
    NOT_ON_LINK = 4
    NO_PREFIXES = 6


# Which server a message must name (section 16): this one, none, or either.
_TO_THIS = frozenset({Type.REQUEST, Type.RENEW, Type.RELEASE, Type.DECLINE})
_TO_ANY = frozenset({Type.SOLICIT, Type.CONFIRM, Type.REBIND})
_HANDLED = _TO_THIS | _TO_ANY | {Type.INFORMATION_REQUEST}
_EXTENDED = frozenset({Type.RENEW, Type.REBIND})


@dataclass(frozen=True, slots=True)
class Association:
    """An IA_NA or IA_PD: its identifier, and the addresses that the guest says it has."""

    kind: Option
    id: bytes
    addresses: tuple[IPv6Address, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """A valid client message for this server."""

    mac: str
    address: IPv6Address
    type: Type
    transaction: bytes
    client: bytes
    associations: tuple[Association, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """The options that all guests of a network get beside their address."""

    dns: tuple[IPv6Address, ...] = ()
    domain: str = ""
    options: tuple[model.DhcpOption, ...] = ()

    def over(self, own: tuple[model.DhcpOption, ...]) -> Settings:
        """With a guest's own options, and these where they say nothing."""
        known = {each.code: each for each in (*self.options, *own)}
        return replace(self, options=tuple(known[code] for code in sorted(known)))


def parse(frame: bytes) -> Message | None:
    """A whole, well-formed client message to this or to all servers; None for anything else."""
    datagram = ipv6.payload(frame, ipv6.UDP)
    if datagram is None or len(datagram) < 12:
        return None
    source, target, length = struct.unpack("!HHH", datagram[:6])
    address, to = IPv6Address(frame[22:38]), IPv6Address(frame[38:54])
    if (source, target, to) != (CLIENT_PORT, SERVER_PORT, SERVERS) or not address.is_link_local:
        return None
    if not 12 <= length <= len(datagram) or datagram[8] not in _HANDLED:
        return None
    try:
        contents = _read(Type(datagram[8]), datagram[12:length])
    except _Malformed:
        return None
    if contents is None:
        return None
    client, associations = contents
    return Message(
        mac=frame[6:12].hex(":"),
        address=address,
        type=Type(datagram[8]),
        transaction=datagram[9:12],
        client=client,
        associations=associations,
    )


def answer(request: Message, lease: IPv6Address | None, settings: Settings) -> bytes | None:
    """The reply frame to the client; None where RFC 8415 has the server discard the message.

    `lease` is the address of the client's port, None if it has none here.
    """
    match request.type:
        case Type.INFORMATION_REQUEST:
            options = _settings(settings)
        case Type.RELEASE | Type.DECLINE:
            # A released address stays the port's: no other port can have it.
            options = _status(Status.SUCCESS)
        case Type.CONFIRM:
            believed = {each for ia in request.associations for each in ia.addresses}
            if not believed:
                return None
            right = believed == {lease}
            options = _status(Status.SUCCESS if right else Status.NOT_ON_LINK)
        case _:
            if not any(ia.kind is Option.IA_NA for ia in request.associations):
                return None
            options = b"".join(_associations(request, lease)) + _settings(settings)
    kind = Type.ADVERTISE if request.type is Type.SOLICIT else Type.REPLY
    client = _option(Option.CLIENT_ID, request.client) if request.client else b""
    body = bytes((kind,)) + request.transaction + client + _option(Option.SERVER_ID, SERVER_DUID)
    body += options
    head = struct.pack("!HHHH", SERVER_PORT, CLIENT_PORT, 8 + len(body), 0)
    to_mac = ipv6.octets(request.mac)
    return ipv6.frame(
        names.SERVER_MAC, to_mac, request.address, ipv6.UDP, head + body, checksum_at=6
    )


# Parsing


class _Malformed(Exception):
    """A message whose parts contradict each other or RFC 8415."""


def _read(kind: Type, options: bytes) -> tuple[bytes, tuple[Association, ...]] | None:
    """The client's DUID and its associations; None if the message names another server."""
    client, servers, associations = b"", [], []
    for code, value in _options(options):
        if code == Option.CLIENT_ID:
            if client or len(value) not in _DUID_LENGTHS:
                raise _Malformed
            client = value
        elif code == Option.SERVER_ID:
            servers.append(value)
        elif code in (Option.IA_NA, Option.IA_PD):
            associations.append(_association(Option(code), value))
        elif code == Option.IA_TA and kind is Type.INFORMATION_REQUEST:
            raise _Malformed
    if len(servers) > 1 or len(associations) > _MAX_ASSOCIATIONS:
        raise _Malformed
    if kind is Type.INFORMATION_REQUEST:
        if associations:
            raise _Malformed
    elif not client or bool(servers) != (kind in _TO_THIS):
        raise _Malformed
    if servers and servers[0] != SERVER_DUID:
        return None
    return client, tuple(associations)


def _options(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Code and value of each option; one that exceeds `data` makes the message malformed."""
    at = 0
    while at < len(data):
        if len(data) - at < 4:
            raise _Malformed
        code, length = struct.unpack_from("!HH", data, at)
        at += 4 + length
        if at > len(data):
            raise _Malformed
        yield code, data[at - length : at]


def _association(kind: Option, value: bytes) -> Association:
    if len(value) < 12:
        raise _Malformed
    addresses: list[IPv6Address] = []
    for code, inner in _options(value[12:]):
        if code == Option.IA_ADDRESS:
            if len(inner) < 24 or len(addresses) == _MAX_ADDRESSES:
                raise _Malformed
            addresses.append(IPv6Address(inner[:16]))
    return Association(kind, value[:4], tuple(addresses))


# Rendering


def _associations(request: Message, lease: IPv6Address | None) -> Iterator[bytes]:
    """The lease in the first IA_NA; a status that refuses each other association."""
    left = lease
    for ia in request.associations:
        if ia.kind is Option.IA_PD:
            options = _status(Status.NO_PREFIXES)
        elif left is None:
            options = _status(Status.NO_ADDRESSES)
        else:
            options = _address(left, _INFINITY)
            if request.type in _EXTENDED:
                # Addresses that the guest had before get lifetime 0 (section 18.3.4).
                options += b"".join(_address(each, 0) for each in ia.addresses if each != left)
            left = None
        times = _INFINITY if ia.kind is Option.IA_NA else 0
        yield _option(ia.kind, ia.id + struct.pack("!II", times, times) + options)


def _address(address: IPv6Address, seconds: int) -> bytes:
    return _option(Option.IA_ADDRESS, address.packed + struct.pack("!II", seconds, seconds))


def _status(status: Status) -> bytes:
    return _option(Option.STATUS, struct.pack("!H", status))


def _settings(settings: Settings) -> bytes:
    options = b""
    if settings.dns:
        options += _option(Option.DNS_SERVERS, b"".join(each.packed for each in settings.dns))
    if settings.domain:
        options += _option(Option.DOMAIN_SEARCH, _domain(settings.domain))
    for each in settings.options:
        is_text = dhcpcodes.V6[each.code].kind is dhcpcodes.ValueKind.TEXT
        values = (v.encode("ascii") if is_text else IPv6Address(v).packed for v in each.values)
        options += _option(each.code, b"".join(values))
    return options


def _domain(domain: str) -> bytes:
    """A domain name in RFC 1035's encoding, uncompressed (RFC 8415, section 10)."""
    labels = [label.encode("ascii") for label in domain.strip(".").split(".")]
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("!HH", code, len(value)) + value
