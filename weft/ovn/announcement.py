"""Renders the frames by which a NIC makes itself known to switches and neighbours on the wire.

ovn-controller announces no NIC of a pod. Until the hosts and switches of a physical network hear
from a NIC at its new place, they send to its old one (ADR 0103).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from ipaddress import IPv6Address

from weft import model
from weft.ovn import ipv6

_BROADCAST = b"\xff" * 6
_ARP, _RARP, _IPV4 = 0x0806, 0x8035, 0x0800
_REQUEST, _REVERSE_REQUEST = 1, 3
_NEIGHBOUR_ADVERTISEMENT = 136
_OVERRIDE = 0x20000000  # neighbours replace the MAC that they know
_TARGET_LINK_LAYER = b"\x02\x01"  # the option's type, and its length in units of 8 bytes
_ALL_NODES, _ALL_NODES_MAC = IPv6Address("ff02::1"), b"\x33\x33\x00\x00\x00\x01"


def frames(mac: str, addresses: Iterable[model.Interface]) -> tuple[bytes, ...]:
    """ARP announcements (RFC 5227) and unsolicited neighbour advertisements (RFC 4861, 7.2.6).

    Without addresses: a reverse ARP request, which tells switches the MAC and nothing else.
    """
    made = tuple(_of_addresses(mac, addresses))
    return made or (_arp(mac, _RARP, _REVERSE_REQUEST, bytes(4), ipv6.octets(mac)),)


def _of_addresses(mac: str, addresses: Iterable[model.Interface]) -> Iterator[bytes]:
    for address in addresses:
        if address.version == 4:
            yield _arp(mac, _ARP, _REQUEST, address.ip.packed, bytes(6))
        else:
            yield _advertisement(mac, address.ip)


def _arp(mac: str, kind: int, operation: int, address: bytes, target: bytes) -> bytes:
    """A broadcast in which sender and target have one address."""
    own = ipv6.octets(mac)
    head = struct.pack("!HHBBH", 1, _IPV4, len(own), len(address), operation)
    return _BROADCAST + own + kind.to_bytes(2, "big") + head + own + address + target + address


def _advertisement(mac: str, address: IPv6Address) -> bytes:
    body = struct.pack("!BBHI", _NEIGHBOUR_ADVERTISEMENT, 0, 0, _OVERRIDE) + address.packed
    body += _TARGET_LINK_LAYER + ipv6.octets(mac)
    return ipv6.frame(mac, _ALL_NODES_MAC, _ALL_NODES, ipv6.ICMPV6, body, checksum_at=2)
