"""Parses addresses, subnets and MACs, and refuses unusable ones.

Each function parses one text. It raises ValueError with the broken rule, worded to follow the
field's name and value. `weft.alloc` checks who holds an address.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address, ip_interface, ip_network

from weft import model
from weft.policy import netpolicy

_SUBNET = re.compile(r"[0-9a-fA-F:.]+/[0-9]{1,3}")
_INTERFACE = re.compile(r"[0-9a-fA-F:.]+(/[0-9]{1,3})?")
_MAC = re.compile(r"([0-9a-fA-F]{2})([:-])([0-9a-fA-F]{2})(\2[0-9a-fA-F]{2}){4}")
_DOTTED_MAC = re.compile(r"[0-9a-fA-F]{4}\.[0-9a-fA-F]{4}\.[0-9a-fA-F]{4}")

_INTERFACE_ID = (1 << 64) - 1  # the interface identifier of an IPv6 address

# Ranges from which no interface can have a usable address on an overlay.
_UNUSABLE: tuple[tuple[model.Subnet, str], ...] = tuple(
    (ip_network(text), what)
    for text, what in (
        ("0.0.0.0/8", "addresses that mean 'this network'"),
        ("127.0.0.0/8", "loopback addresses"),
        ("224.0.0.0/4", "multicast addresses"),
        ("::/127", "the unspecified and the loopback address"),
        ("::ffff:0:0/96", "IPv4 addresses in IPv6 form"),
        ("fe80::/10", "link-local addresses, which every interface has anyway"),
        ("ff00::/8", "multicast addresses"),
    )
)


def connection(text: str) -> netpolicy.Connection:
    """A connection as users write it: "tcp/80", "80" (TCP), or "" (ping)."""
    if not text:
        return netpolicy.Connection(None)
    protocol, _, number = text.rpartition("/")
    try:
        known = netpolicy.Protocol(protocol.upper() or netpolicy.Protocol.TCP)
    except ValueError:
        known = None
    if known is None or not number.isdecimal() or not 0 < int(number) < 65536:
        raise ValueError("must be tcp, udp or sctp with a port from 1 to 65535, as in tcp/80")
    return netpolicy.Connection(known, int(number))


def overlap(one: model.Subnet, other: model.Subnet) -> bool:
    """Whether two subnets have an address in common; False for different families."""
    return one.version == other.version and not (
        int(one.broadcast_address) < int(other.network_address)
        or int(other.broadcast_address) < int(one.network_address)
    )


def _check_usable(subnet: model.Subnet) -> None:
    for unusable, what in _UNUSABLE:
        if overlap(subnet, unusable):
            lies = "lies in" if model.within(subnet, unusable) else "contains"
            raise ValueError(f"{lies} {unusable}, {what}: no interface can use them")


def subnet(text: str) -> model.Subnet:
    """A CIDR; host bits are dropped, as ovn-kubernetes does."""
    try:
        if not _SUBNET.fullmatch(text):
            raise ValueError
        found = ip_network(text, strict=False)
    except ValueError:
        raise ValueError("must be a subnet such as 10.100.200.0/24 or fd00:10::/64") from None
    _check_usable(found)
    return found


def address(text: str) -> model.Address:
    """One address without a prefix length."""
    try:
        if not _INTERFACE.fullmatch(text):
            raise ValueError
        found = ip_address(text)
    except ValueError:
        raise ValueError("must be an address such as 10.100.200.5 or fd00:10::5") from None
    _check_usable(ip_network(found))
    return found


def gateway(text: str) -> model.Address:
    """A next hop: an address, or a router's link-local address."""
    if _INTERFACE.fullmatch(text) and "/" not in text:
        try:
            found = IPv6Address(text)
        except ValueError:
            return address(text)
        if found.is_link_local and int(found) & _INTERFACE_ID:
            return found
    return address(text)


def interface(text: str) -> model.Interface:
    """A host's address with its prefix length: neither the subnet's own nor its broadcast."""
    try:
        if "/" not in text or not _INTERFACE.fullmatch(text):
            raise ValueError
        found = ip_interface(text)
    except ValueError:
        rule = "must be an address with a prefix length such as 10.100.200.5/24 or fd00:10::5/64"
        raise ValueError(rule) from None
    _check_usable(ip_network(found.ip))
    network = found.network
    if network.num_addresses > 2:
        if found.ip == network.network_address:
            raise ValueError(f"is the address of the subnet {network} itself, not of a host in it")
        if found.version == 4 and found.ip == network.broadcast_address:
            raise ValueError(f"is the broadcast address of {network}")
    return found


def mac(text: str) -> str:
    """A unicast Ethernet address, in lower case with colons."""
    if not (_MAC.fullmatch(text) or _DOTTED_MAC.fullmatch(text)):
        raise ValueError("must be a MAC address of six bytes such as 02:00:00:00:00:01")
    digits = re.sub("[^0-9a-f]", "", text.lower())
    if int(digits, 16) == 0:
        raise ValueError("must not be all zeros")
    if int(digits[:2], 16) & 1:
        raise ValueError("must be a unicast address: the first byte must be even")
    return ":".join(digits[index : index + 2] for index in range(0, 12, 2))
