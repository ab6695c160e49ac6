"""Renders the flows that stop guests from acting as router or DHCP server.

OVN passes neighbour discovery before all ACLs, and its port security does not check who advertises,
redirects or leases (ADR 0064). These flows come first in table 0 of br-int. They match only packets
that enter through a port of this node that is no tunnel, and drop them unless the port has the
role. All other packets continue in OVN's table 0 unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from ipaddress import IPv6Address

from weft.ovn import dhcp
from weft.ovn.flows import CopyField, Field, Flow, Masked, Match, Resubmit, SetField, flow

# Priorities in table 0, above ovn-controller's, which are 100 to 180 there. A later one is higher.
_KINDS, _UNREADABLE, _ADDRESSES = 60_000, 60_001, 60_002
ENTRY = 0
_ROUTERS, _DHCP_SERVERS, _SOLICITATIONS, _ADVERTISERS = 250, 251, 252, 253  # unused by OVN
TABLES = (_ROUTERS, _DHCP_SERVERS, _SOLICITATIONS, _ADVERTISERS)

# A packet that passes enters table 0 once more, with this register as a mark. OVN uses the register
# for the logical input port: it is empty before OVN's flows, and they overwrite it.
UNCHECKED: Match = {Field.REG14: 0}
_PASS = (SetField(Field.REG14, 1), Resubmit(ENTRY))

_FROM_GUEST: Match = {**UNCHECKED, Field.TUN_IPV4_SRC: 0, Field.TUN_IPV6_SRC: 0}
_IPV4: Match = {Field.ETH_TYPE: 0x0800}
_IPV6: Match = {Field.ETH_TYPE: 0x86DD}
_ICMPV4: Match = {**_IPV4, Field.IP_PROTO: 1}
_ICMPV6: Match = {**_IPV6, Field.IP_PROTO: 58}
_UDPV4: Match = {**_IPV4, Field.IP_PROTO: 17}
_UDPV6: Match = {**_IPV6, Field.IP_PROTO: 17}
_SOLICITATION: Match = {**_ICMPV6, Field.ICMPV6_TYPE: 135, Field.ICMPV6_CODE: 0}
_NEIGHBOUR: Match = {**_ICMPV6, Field.ICMPV6_TYPE: 136, Field.ICMPV6_CODE: 0}

_FIRST_FRAGMENT = Masked(1, 3)
_MULTICAST = Masked(1 << 40, 1 << 40)
_LINK_LOCAL = Masked(0xFE80 << 112, 0xFFC0 << 112)
_MULTICAST_V6 = Masked(0xFF << 120, 0xFF << 120)
_NO_NEXT_HEADER = 59

# Hosts accept neighbour discovery with this hop limit only (RFC 4861), and not in fragments (RFC
# 6980), whose ICMPv6 type a switch cannot match.
_ON_LINK = 255


class PortRole(Enum):
    """A role of a port in its network; the value is the table with the ports that have it."""

    ROUTER = _ROUTERS
    DHCP_SERVER = _DHCP_SERVERS
    ADVERTISER = _ADVERTISERS  # weft's own advertiser port: it sends for the node's routers


_OF_ROUTERS: tuple[Match, ...] = (
    {**_ICMPV6, Field.ICMPV6_TYPE: 134},  # router advertisement
    {**_ICMPV6, Field.ICMPV6_TYPE: 137},  # redirect
    {**_ICMPV6, Field.IP_FRAG: _FIRST_FRAGMENT, Field.IP_TTL: _ON_LINK},
    {**_ICMPV4, Field.ICMPV4_TYPE: 5},  # redirect
    {**_ICMPV4, Field.ICMPV4_TYPE: 9},  # router advertisement (RFC 1256)
)
# What DHCP clients accept from any source port, and what servers send. A switch cannot match the
# ports of later fragments; no guest needs to send those to broadcast or to a link-local address.
_OF_DHCP_SERVERS: tuple[Match, ...] = (
    {**_UDPV4, Field.UDP_DST: 68},
    {**_UDPV4, Field.UDP_SRC: 67},
    {**_UDPV6, Field.UDP_DST: 546},
    {**_UDPV6, Field.UDP_SRC: 547},
    {Field.ETH_DST: _MULTICAST, **_UDPV4, Field.IP_FRAG: _FIRST_FRAGMENT},
    {Field.ETH_DST: _MULTICAST, **_UDPV6, Field.IP_FRAG: _FIRST_FRAGMENT},
    {**_UDPV4, Field.IP_FRAG: _FIRST_FRAGMENT, Field.IPV4_DST: 0xFFFFFFFF},
    {**_UDPV6, Field.IP_FRAG: _FIRST_FRAGMENT, Field.IPV6_DST: _LINK_LOCAL},
    {**_UDPV6, Field.IP_FRAG: _FIRST_FRAGMENT, Field.IPV6_DST: _MULTICAST_V6},
)
# Headers that the switch cannot parse to the end: it cannot check what follows them. The
# userspace datapath then reports protocol 0, the kernel 59 for IPv6 and 0 for IPv4. A neighbour
# advertisement with options that cannot be parsed has no target.
_OF_NOBODY: tuple[Match, ...] = (
    {**_IPV4, Field.IP_PROTO: 0},
    {**_IPV6, Field.IP_PROTO: 0},
    {**_IPV6, Field.IP_PROTO: _NO_NEXT_HEADER},
    {**_NEIGHBOUR, Field.ND_TARGET: 0},
)


def common_flows() -> tuple[Flow, ...]:
    """The flows that are the same on every node."""
    found = [_entering(_UNREADABLE, match) for match in _OF_NOBODY]
    found += [_entering(_KINDS, match, Resubmit(_ROUTERS)) for match in _OF_ROUTERS]
    found += [_entering(_KINDS, match, Resubmit(_DHCP_SERVERS)) for match in _OF_DHCP_SERVERS]
    found.append(_entering(_KINDS, _SOLICITATION, Resubmit(_SOLICITATIONS)))
    found += [flow(role.value, 0, {}) for role in PortRole]
    found += router_flows(IPv6Address(dhcp.SERVER_LINK_LOCAL))
    return (*found, *_judging_solicitations())


def _judging_solicitations() -> tuple[Flow, ...]:
    """Check the neighbour solicitations of all ports; `mac_flows` checks those of known MACs.

    OVN 25.03 passes a solicitation with another's link-layer address. An option that occurs twice
    or is incomplete matches as absent.
    """

    def judged(priority: int, match: Match, *actions: SetField | CopyField | Resubmit) -> Flow:
        return flow(_SOLICITATIONS, priority, {**_SOLICITATION, **match}, *actions)

    none: Match = {Field.ND_SLL: 0}
    return (
        judged(50, {Field.ND_TARGET: 0}),
        judged(40, {Field.IPV6_SRC: 0, **none}, *_PASS),  # duplicate address detection: no option
        judged(35, {Field.IPV6_DST: _MULTICAST_V6, **none}),  # option required (RFC 4861, 4.3)
        judged(30, none, *_PASS),
        # From a MAC that is not known yet. Port security checks the Ethernet source.
        judged(0, {}, CopyField(Field.ETH_SRC, Field.ND_SLL), *_PASS),
    )


def mac_flows(mac: str) -> tuple[Flow, ...]:
    """Let a local guest solicit only with its own MAC as link-layer address."""
    own = int(mac.replace(":", ""), 16)
    sent: Match = {Field.ETH_SRC: own, **_SOLICITATION}
    return (
        flow(_SOLICITATIONS, 20, {**sent, Field.ND_SLL: own}, *_PASS),
        flow(_SOLICITATIONS, 10, sent),
    )


def probe_flows(port: int, addresses: Iterable[IPv6Address]) -> tuple[Flow, ...]:
    """Let a guest with assigned addresses probe (duplicate address detection) only those and
    link-local ones: a probe alone keeps another host from using the address."""
    probe: Match = {Field.IN_PORT: port, **_SOLICITATION, Field.IPV6_SRC: 0}
    own: list[int | Masked] = [int(address) for address in addresses]
    if not own:
        return ()
    return (
        flow(_SOLICITATIONS, 45, probe),
        *(
            flow(_SOLICITATIONS, 46, {**probe, Field.ND_TARGET: each, Field.ND_SLL: 0}, *_PASS)
            for each in (*own, _LINK_LOCAL)
        ),
    )


def router_flows(address: IPv6Address) -> tuple[Flow, ...]:
    """Reserve a router's link-local address to it: guests choose their own freely."""
    own = int(address)
    to = Resubmit(_ADVERTISERS)
    return (
        _entering(_ADDRESSES, {**_IPV6, Field.IPV6_SRC: own}, to),
        _entering(_ADDRESSES, {**_NEIGHBOUR, Field.ND_TARGET: own}, to),
    )


def role_flows(port: int, roles: Iterable[PortRole]) -> tuple[Flow, ...]:
    """Let the port with this OpenFlow number act in these roles."""
    return tuple(flow(role.value, 10, {Field.IN_PORT: port}, *_PASS) for role in roles)


def patch_port_flows(port: int) -> tuple[Flow, ...]:
    """Exempt a patch port: it leads to a physical network with routers and servers of its own."""
    solicited: Match = {Field.IN_PORT: port, **_SOLICITATION}
    return (*role_flows(port, PortRole), flow(_SOLICITATIONS, 60, solicited, *_PASS))


def _entering(priority: int, match: Match, *to: Resubmit) -> Flow:
    return flow(ENTRY, priority, {**_FROM_GUEST, **match}, *to)
