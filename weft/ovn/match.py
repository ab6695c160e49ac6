"""Renders the OVN match of a policy's rule: its peers and its ports.

Its form costs OVN few flows: alternatives for one field form one set, and
nothing is negated. None means that nothing can match.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from ipaddress import IPv4Network

from weft import model, names
from weft.ovn import dhcp
from weft.policy import netpolicy

# Always allowed: ARP, ND and RARP, to find neighbours and to announce a moved one.
_NEIGHBOURS = ("arp", "nd", "eth.type == 0x8035")
# DHCP clients' packets and the replies to them, by family. A client renews an IPv4 lease by unicast
# to the server, but always sends DHCPv6 to the address of all servers.
REQUESTS = {
    4: "ip4 && udp.src == 68 && udp.dst == 67",
    6: "ip6.dst == ff02::1:2 && udp.src == 546 && udp.dst == 547",
}
_REPLIES = {
    4: "ip4 && udp.src == 67 && udp.dst == 68",
    6: "ip6 && udp.src == 547 && udp.dst == 546",
}
# The same where weft is the server. For IPv4 that is OVN: it intercepts requests on the ingress
# port, and its replies bypass ACLs. For IPv6 it is the node's advertiser port, whose MAC port
# security denies to guests.
_SERVED_REQUESTS = {
    **REQUESTS,
    4: f"ip4.dst == {{255.255.255.255, {dhcp.SERVER_IP}}} && udp.src == 68 && udp.dst == 67",
}
_SERVED_REPLIES = {
    6: f"eth.src == {names.SERVER_MAC} && ip6.src == {dhcp.SERVER_LINK_LOCAL}"
    " && udp.src == 547 && udp.dst == 546",
}
# The first packet of a connection, and the packets after it until a reply.
NEW_CONNECTION = "ct.new"

_PORT = {netpolicy.Direction.INGRESS: "outport", netpolicy.Direction.EGRESS: "inport"}
_END = {netpolicy.Direction.INGRESS: "src", netpolicy.Direction.EGRESS: "dst"}


def isolated_ports(direction: netpolicy.Direction, group: str) -> str:
    """The isolated ports: as destination for ingress, as source for egress."""
    return f"{_PORT[direction]} == @{group}"


def always_allowed(direction: netpolicy.Direction, served: Collection[int] = ()) -> str:
    """The packets that no policy drops. For the IP families in `served` only weft may be a DHCP
    server, so packets between other clients and servers do not match."""
    dhcp_packets = []
    for family in REQUESTS:
        if direction is netpolicy.Direction.EGRESS:
            dhcp_packets.append((_SERVED_REQUESTS if family in served else REQUESTS)[family])
        elif family not in served:
            dhcp_packets.append(_REPLIES[family])
        elif family in _SERVED_REPLIES:
            dhcp_packets.append(_SERVED_REPLIES[family])
    return any_of([*_NEIGHBOURS, *(f"({each})" for each in dhcp_packets)])


def peers(
    direction: netpolicy.Direction,
    sets: Mapping[str, Iterable[str]],
    subnets: Iterable[model.Subnet],
) -> str | None:
    """The other end: in one of `sets`, by field ("eth", "ip4", "ip6"), or in `subnets`."""
    members = {field: [f"${name}" for name in sorted(names)] for field, names in sets.items()}
    alternatives = []
    for subnet in subnets:
        field = "ip4" if isinstance(subnet, IPv4Network) else "ip6"
        if subnet.prefixlen:
            members.setdefault(field, []).append(str(subnet))
        else:
            alternatives.append(field)
    for field, values in sorted(members.items()):
        if field not in alternatives and values:
            alternatives.append(f"{field}.{_END[direction]} == {_one_of(values)}")
    return any_of(alternatives) if alternatives else None


def policy_ports(entries: Iterable[netpolicy.PolicyPort]) -> str | None:
    """The destination ports: numbers, ranges, or all of a protocol; port names are left out."""
    wholes: set[netpolicy.Protocol] = set()
    single: dict[netpolicy.Protocol, set[int]] = {}
    ranges: dict[netpolicy.Protocol, set[tuple[int, int]]] = {}
    for entry in entries:
        if entry.port is None:
            wholes.add(entry.protocol)
        elif isinstance(entry.port, int) and entry.end > entry.port:
            ranges.setdefault(entry.protocol, set()).add((entry.port, entry.end))
        elif isinstance(entry.port, int):
            single.setdefault(entry.protocol, set()).add(entry.port)
    alternatives = []
    for protocol in netpolicy.Protocol:
        field = protocol.lower()
        if protocol in wholes:
            alternatives.append(field)
            continue
        numbers = [str(number) for number in sorted(single.get(protocol, ()))]
        if numbers:
            alternatives.append(f"{field}.dst == {_one_of(numbers)}")
        for first, last in sorted(ranges.get(protocol, ())):
            alternatives.append(f"{first} <= {field}.dst <= {last}")
    return any_of(alternatives) if alternatives else None


def policy_port(protocol: netpolicy.Protocol, number: int) -> str:
    """The match of one destination port."""
    return f"{protocol.lower()}.dst == {number}"


def any_of(alternatives: list[str]) -> str:
    """The disjunction of one or more alternatives."""
    return alternatives[0] if len(alternatives) == 1 else f"({' || '.join(alternatives)})"


def all_of(*parts: str) -> str:
    """The conjunction of the parts; empty parts are left out."""
    return " && ".join(part for part in parts if part)


def _one_of(values: list[str]) -> str:
    return values[0] if len(values) == 1 else "{" + ", ".join(values) + "}"
