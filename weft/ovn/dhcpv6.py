"""Answers DHCPv6 messages (RFC 8415), bytes to bytes.

The node agent serves in OVN's place (ADR 0074), with the leases that OVN gives: the port's own
address for ever, from the same server identifier. What a guest sends is read within its bounds and
believed in nothing: its MAC, which port security holds, decides what it is given.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv6Address

from weft import names
from weft.ovn import ipv6

SERVERS = IPv6Address("ff02::1:2")
CLIENT_PORT, SERVER_PORT = 546, 547
# DUID-LL (RFC 8415, section 11.4): what OVN calls itself with this `server_id`.
SERVER_DUID = struct.pack("!HH", 3, 1) + ipv6.octets(names.SERVER_MAC)

_DUID_LENGTHS = range(3, 131)  # two bytes of type, then 1 to 128 of identifier
_MOST_ASSOCIATIONS = 8  # in one message; a host has one for each interface
_MOST_ADDRESSES = 8  # that are read of one association
_FOR_EVER = 0xFFFFFFFF


class Type(IntEnum):
    """Message types (RFC 8415, section 7.3), as far as a server without relays meets them."""

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
    SUCCESS = 0
    NO_ADDRESSES = 2
    NOT_ON_LINK = 4
    NO_PREFIXES = 6


# Who a message must name (section 16): this server, no server, or either.
_TO_THIS = frozenset({Type.REQUEST, Type.RENEW, Type.RELEASE, Type.DECLINE})
_TO_ANY = frozenset({Type.SOLICIT, Type.CONFIRM, Type.REBIND})
_ASKED = _TO_THIS | _TO_ANY | {Type.INFORMATION_REQUEST}
_EXTENDED = frozenset({Type.RENEW, Type.REBIND})


@dataclass(frozen=True, slots=True)
class Association:
    """An IA_NA or IA_PD: its identifier, and the addresses that the guest believes it has."""

    kind: Option
    id: bytes
    addresses: tuple[IPv6Address, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """A client's message that this server may answer."""

    mac: str
    address: IPv6Address
    type: Type
    transaction: bytes
    client: bytes
    associations: tuple[Association, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """What all guests of a network are told beside their address."""

    dns: tuple[IPv6Address, ...] = ()
    domain: str = ""


def parse(frame: bytes) -> Message | None:
    """None for what is not a whole, well-formed message of a client to this or to all servers."""
    datagram = ipv6.payload(frame, ipv6.UDP)
    if datagram is None or len(datagram) < 12:
        return None
    source, target, length = struct.unpack("!HHH", datagram[:6])
    address, to = IPv6Address(frame[22:38]), IPv6Address(frame[38:54])
    if (source, target, to) != (CLIENT_PORT, SERVER_PORT, SERVERS) or not address.is_link_local:
        return None
    if not 12 <= length <= len(datagram) or datagram[8] not in _ASKED:
        return None
    try:
        said = _read(Type(datagram[8]), datagram[12:length])
    except _Malformed:
        return None
    if said is None:
        return None
    client, associations = said
    return Message(
        mac=frame[6:12].hex(":"),
        address=address,
        type=Type(datagram[8]),
        transaction=datagram[9:12],
        client=client,
        associations=associations,
    )


def answer(asked: Message, lease: IPv6Address | None, settings: Settings) -> bytes | None:
    """The frame that the asking guest gets; None where RFC 8415 has the server keep silent.

    `lease` is the address of the guest's port, None where it has none here.
    """
    match asked.type:
        case Type.INFORMATION_REQUEST:
            said = _settings(settings)
        case Type.RELEASE | Type.DECLINE:
            # The address stays the port's: there is nobody else to give it to.
            said = _status(Status.SUCCESS)
        case Type.CONFIRM:
            believed = {each for ia in asked.associations for each in ia.addresses}
            if not believed:
                return None
            right = believed == {lease}
            said = _status(Status.SUCCESS if right else Status.NOT_ON_LINK)
        case _:
            if not any(ia.kind is Option.IA_NA for ia in asked.associations):
                return None
            said = b"".join(_associations(asked, lease)) + _settings(settings)
    kind = Type.ADVERTISE if asked.type is Type.SOLICIT else Type.REPLY
    client = _option(Option.CLIENT_ID, asked.client) if asked.client else b""
    body = bytes((kind,)) + asked.transaction + client + _option(Option.SERVER_ID, SERVER_DUID)
    body += said
    head = struct.pack("!HHHH", SERVER_PORT, CLIENT_PORT, 8 + len(body), 0)
    to_mac = ipv6.octets(asked.mac)
    return ipv6.frame(names.SERVER_MAC, to_mac, asked.address, ipv6.UDP, head + body, checksum_at=6)


# Reading


class _Malformed(Exception):
    """A message whose parts contradict each other or the rules."""


def _read(kind: Type, options: bytes) -> tuple[bytes, tuple[Association, ...]] | None:
    """The client's DUID and its associations; None where another server is meant."""
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
    if len(servers) > 1 or len(associations) > _MOST_ASSOCIATIONS:
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
    """Code and value of each; one that does not end within `data` spoils the whole."""
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
            if len(inner) < 24 or len(addresses) == _MOST_ADDRESSES:
                raise _Malformed
            addresses.append(IPv6Address(inner[:16]))
    return Association(kind, value[:4], tuple(addresses))


# Writing


def _associations(asked: Message, lease: IPv6Address | None) -> Iterator[bytes]:
    """The lease in the first IA_NA; for every other association there is nothing to have."""
    left = lease
    for ia in asked.associations:
        if ia.kind is Option.IA_PD:
            said = _status(Status.NO_PREFIXES)
        elif left is None:
            said = _status(Status.NO_ADDRESSES)
        else:
            said = _address(left, _FOR_EVER)
            if asked.type in _EXTENDED:
                # What the guest had before it must use no longer (section 18.3.4).
                said += b"".join(_address(each, 0) for each in ia.addresses if each != left)
            left = None
        times = _FOR_EVER if ia.kind is Option.IA_NA else 0
        yield _option(ia.kind, ia.id + struct.pack("!II", times, times) + said)


def _address(address: IPv6Address, seconds: int) -> bytes:
    return _option(Option.IA_ADDRESS, address.packed + struct.pack("!II", seconds, seconds))


def _status(status: Status) -> bytes:
    return _option(Option.STATUS, struct.pack("!H", status))


def _settings(settings: Settings) -> bytes:
    said = b""
    if settings.dns:
        said += _option(Option.DNS_SERVERS, b"".join(each.packed for each in settings.dns))
    if settings.domain:
        said += _option(Option.DOMAIN_SEARCH, _domain(settings.domain))
    return said


def _domain(domain: str) -> bytes:
    """RFC 1035's notation, uncompressed (RFC 8415, section 10)."""
    labels = [label.encode("ascii") for label in domain.strip(".").split(".")]
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def _option(code: Option, value: bytes) -> bytes:
    return struct.pack("!HH", code, len(value)) + value
