"""Renders router advertisements (RFC 4861) as bytes, and the port through which they are sent.

OVN's own advertisements always name a default router, so weft sends its own (ADR 0004). They say:
addresses come from DHCPv6, this prefix is on the link, this is the MTU, and this is no default
router. On layer3 networks they come from the node's router, with routes to the network's subnets
(RFC 4191); only on the default network is it a default router. `dhcpv6` answers through the same
port (ADR 0074).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Address

from weft import model, names, ranges, rows, tunnelkeys
from weft.ovn import dhcp, dhcpv6, ipv6, router, switches

ALL_NODES = IPv6Address("ff02::1")
# RFC 4861's default lifetimes: guests keep the prefix for days without an agent, not for ever.
VALID_SECONDS = 30 * 24 * 3600
PREFERRED_SECONDS = 7 * 24 * 3600

_SOLICITATION, _ADVERTISEMENT = 133, 134
_MANAGED_AND_OTHER = 0xC0
_ON_LINK = 0x80
_ALWAYS = 0xFFFF  # the longest lifetime of a default router (RFC 8319), as OVN sets it


@dataclass(frozen=True, slots=True)
class Advertisement:
    """One network's advertisement, and the local guests that receive it.

    `leases` is the DHCPv6 address of each guest by MAC, None for no address. `speaker` is the
    source MAC; `routes` are the subnets that the router with this MAC leads to; `options` are
    guests' own DHCPv6 options, by MAC.
    """

    network: str
    port: str
    device: str
    mtu: int
    prefixes: tuple[model.Subnet, ...]
    leases: Mapping[str, IPv6Address | None]
    source_mac: str = names.SERVER_MAC
    routes: tuple[model.Subnet, ...] = ()
    is_default_router: bool = False
    settings: dhcpv6.Settings = field(default_factory=dhcpv6.Settings)
    options: Mapping[str, tuple[model.DhcpOption, ...]] = field(default_factory=dict)

    def settings_of(self, mac: str) -> dhcpv6.Settings:
        """What a guest gets by DHCPv6 beside its address."""
        own = self.options.get(mac, ())
        return self.settings.over(own) if own else self.settings

    def has_same_content_as(self, other: Advertisement) -> bool:
        """Whether both send the same advertisement, whichever guests receive it."""
        return replace(self, leases={}, options={}) == replace(other, leases={}, options={})


@dataclass(frozen=True, slots=True)
class Solicitation:
    """A router solicitation from a host (RFC 4861, section 4.1)."""

    mac: str
    address: IPv6Address


def has_advertiser(network: model.Network) -> bool:
    """Whether guests need advertisements: those with DHCPv6 learn the prefix from them only."""
    spec = network.spec
    return spec.dhcp.enabled and any(subnet.version == 6 for subnet in spec.subnets)


def port(network: model.Network, switch: str) -> tuple[rows.Row, ...]:
    """The logical port through which the node agent sends, if the network needs advertisements.

    OVN answers for its addresses, those of the network's DNS server among them.
    OVN never sends a frame from or to a `localport` through a tunnel, so each zone has its own port
    with the same key and addresses, and no zone receives another's frames.
    """
    if not has_advertiser(network) and not network.spec.dns_servers:
        return ()
    own = (names.SERVER_MAC, dhcp.SERVER_LINK_LOCAL, *map(str, network.spec.dns_servers))
    row = switches.port(
        names.advertiser_port(network.name),
        switch,
        switches.RowOwner(network.name),
        type="localport",
        addresses=" ".join(own),
        options={"requested-tnl-key": str(tunnelkeys.ADVERTISER_TUNNEL_KEY)},
    )
    return (row,)


def of_network(
    network: model.Network,
    guests: Iterable[model.Allocation],
    routed: tuple[model.Subnet, ...] = (),
) -> Advertisement:
    """The advertisement to `guests`; `routed` are the node subnets on a layer3 network."""
    known = tuple(guests)
    own = routed or network.spec.subnets
    beyond = network.spec.subnets if routed and not network.is_default else ()
    return Advertisement(
        network=network.name,
        port=names.advertiser_port(network.name),
        device=names.advertiser_device(network.id),
        mtu=network.spec.mtu,
        prefixes=tuple(subnet for subnet in own if subnet.version == 6),
        leases={guest.mac: dhcp.lease(network.spec, guest, routed) for guest in known},
        source_mac=router.mac(map(ranges.router, routed)) if routed else names.SERVER_MAC,
        routes=tuple(subnet for subnet in beyond if subnet.version == 6),
        is_default_router=network.is_default,
        settings=dhcpv6.Settings(
            tuple(each for each in network.spec.dhcp.dns if isinstance(each, IPv6Address)),
            network.spec.dhcp.domain,
            tuple(each for each in network.spec.dhcp.options if each.family == 6),
        ),
        options={g.mac: o for g in known if (o := dhcp.permitted(network.spec, g, 6))},
    )


def router_address(advert: Advertisement) -> IPv6Address:
    """The link-local source address, which no guest may have."""
    return ipv6.link_local(advert.source_mac)


def to_all(advert: Advertisement) -> bytes:
    """The frame to all guests of this zone; the `localport` keeps it on the node."""
    return _frame(advert, b"\x33\x33\x00\x00\x00\x01", ALL_NODES)


def answer(advert: Advertisement, solicitation: Solicitation) -> bytes:
    """The frame to the soliciting guest only; to all if it solicits without an address."""
    to = ALL_NODES if solicitation.address.is_unspecified else solicitation.address
    return _frame(advert, ipv6.octets(solicitation.mac), to)


def parse(frame: bytes) -> Solicitation | None:
    """A router solicitation that RFC 4861, section 6.1.1, calls valid; None for other frames."""
    message = ipv6.payload(frame, ipv6.ICMPV6)
    if message is None or len(message) < 8 or frame[21] != 255:
        return None
    if message[:2] != bytes((_SOLICITATION, 0)):
        return None
    return Solicitation(frame[6:12].hex(":"), IPv6Address(frame[22:38]))


def _frame(advert: Advertisement, mac: bytes, to: IPv6Address) -> bytes:
    lifetime = _ALWAYS if advert.is_default_router else 0
    body = struct.pack("!BBHBBHII", _ADVERTISEMENT, 0, 0, 0, _MANAGED_AND_OTHER, lifetime, 0, 0)
    body += struct.pack("!BB6s", 1, 1, ipv6.octets(advert.source_mac))
    body += struct.pack("!BBHI", 5, 1, 0, advert.mtu)
    for prefix in advert.prefixes:
        body += struct.pack(
            "!BBBBIII16s",
            *(3, 4, prefix.prefixlen, _ON_LINK, VALID_SECONDS, PREFERRED_SECONDS, 0),
            prefix.network_address.packed,
        )
    for route in advert.routes:
        address = route.network_address.packed
        body += struct.pack("!BBBBI16s", 24, 3, route.prefixlen, 0, VALID_SECONDS, address)
    return ipv6.frame(advert.source_mac, mac, to, ipv6.ICMPV6, body, checksum_at=2)
