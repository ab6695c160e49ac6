"""Parses the rules of a MultiNetworkPolicy, and skips the parts that break its grammar.

These are the peers, blocks and ports of `ingress` and `egress`. An invalid part is skipped and
reported: it allows nothing, and the other parts are read as if it were absent. An absent field
allows more than a present one, so a misspelt field name makes its part invalid.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv6Network, ip_network

from weft import errors, model
from weft.api import selectors
from weft.api.fields import Fields
from weft.policy import blocks
from weft.policy.netpolicy import (
    Direction,
    IPBlock,
    Peer,
    PodSelector,
    PolicyPort,
    Protocol,
    Rule,
    Skipped,
)

_SECTIONS = {Direction.INGRESS: ("ingress", "from"), Direction.EGRESS: ("egress", "to")}
_SUBNET = re.compile(r"[0-9a-fA-F:.]+/[0-9]{1,3}")
_MAPPED = IPv6Network("::ffff:0:0/96")
_PORT_NAME = re.compile(r"(?=.*[a-z])(?!.*--)[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?")
_MAX_PORT = 65535
_PROTOCOLS = ", ".join(Protocol)
# OVN makes one or more flows of each CIDR that exceptions leave, and needs more time for each than
# for the one before: many of them keep a node busy for seconds. 1000 excepted addresses leave at
# most 24,000 CIDRs in a /8, and 112,000 in an IPv6 /16.
MAX_RANGES = 20_000
# Each port name is looked up for each peer beside it.
MAX_NAMED = 20_000


@dataclass(slots=True)
class Room:
    """The CIDRs and named ports that one direction of a policy, or a NetworkQoS, may still have."""

    ranges: int = MAX_RANGES
    named: int = MAX_NAMED


def section(direction: Direction) -> str:
    """The field of `spec` with a direction's rules."""
    return _SECTIONS[direction][0]


def read(
    spec: Fields, direction: Direction, namespace: str, skipped: list[Skipped]
) -> tuple[Rule, ...]:
    """The rules of one direction of a policy in `namespace`; adds skipped parts to `skipped`."""
    name, peers_name = _SECTIONS[direction]
    rules, room = [], Room()
    for index, part in _parts(spec, name, skipped):
        part.only(peers_name, "ports")
        if part.problems:
            skipped.extend(map(skip, part.problems))
            continue
        chosen = peers(part, peers_name, namespace, room, skipped)
        ports = _ports(part, skipped)
        if ports and not _has_room(room, chosen, ports):
            skipped.append(_too_many_named(part))
            ports = tuple(each for each in ports if not isinstance(each.port, str))
        rules.append(Rule(index, chosen, ports))
        if direction is Direction.EGRESS:
            skipped.extend(_names_without_pods(part, rules[-1]))
    return tuple(rules)


def skip(problem: errors.InvalidInput) -> Skipped:
    """A problem as a skipped part, for the policy's status."""
    value = "" if problem.value is None else errors.as_written(problem.value)
    return Skipped(problem.field, value, problem.rule, problem.hint)


def _parts(owner: Fields, name: str, skipped: list[Skipped]) -> Iterator[tuple[int, Fields]]:
    """The objects of a list with their indexes, each with its own list of problems."""
    found: list[errors.InvalidInput] = []
    parent = Fields(owner.subject, owner.path, owner.raw, found)
    for index, part in parent.objects(name):
        yield index, Fields(part.subject, part.path, part.raw, [])
    skipped.extend(map(skip, found))


def peers(
    rule: Fields, name: str, namespace: str, room: Room, skipped: list[Skipped]
) -> tuple[Peer, ...] | None:
    """The peers in the list `name` of a rule; None for everybody."""
    if rule.value(name) in (None, []):
        return None
    found = []
    for _, part in _parts(rule, name, skipped):
        peer = _peer(part, namespace)
        if isinstance(peer, IPBlock) and peer.excepts and not part.problems:
            _take(room, peer, part)
        skipped.extend(map(skip, part.problems))
        if peer is not None and not part.problems:
            found.append(peer)
    return tuple(dict.fromkeys(found))


def _peer(fields: Fields, namespace: str) -> Peer | None:
    fields.only("podSelector", "namespaceSelector", "ipBlock")
    selecting = [name for name in ("podSelector", "namespaceSelector") if fields.has(name)]
    if fields.has("ipBlock"):
        if selecting:
            rule = f"is set beside {' and '.join(selecting)}; a peer is a block or pods, not both"
            fields.refuse("ipBlock", None, rule, hint="write two peers")
        block = fields.nested("ipBlock")
        return _block(block) if block else None
    if not selecting and not fields.problems:
        what = "podSelector, namespaceSelector or ipBlock"
        fields.refuse("", {}, "selects no peer", hint=f"give the peer a {what}")
    chosen = {name: fields.nested(name) for name in selecting}
    read = {name: selectors.read(part) for name, part in chosen.items() if part is not None}
    pods = read.get("podSelector", selectors.EVERYTHING)
    if "namespaceSelector" in selecting:
        return PodSelector(
            namespaces=read.get("namespaceSelector", selectors.EVERYTHING), pods=pods
        )
    return PodSelector(namespace=namespace, pods=pods)


def _take(room: Room, block: IPBlock, fields: Fields) -> None:
    taken = blocks.count(block, room.ranges)
    if taken <= room.ranges:
        room.ranges -= taken
        return
    rule = f"leaves so many pieces that the policy has more than {MAX_RANGES} ranges"
    hint = "except fewer or wider ranges"
    fields.refuse("ipBlock.except", None, rule, hint=hint)


def _block(fields: Fields) -> IPBlock | None:
    fields.only("cidr", "except")
    text = fields.text("cidr")
    if fields.missing("cidr"):
        hint = "write a range of addresses, such as 10.200.0.0/30"
        fields.refuse("cidr", None, "is missing or empty", hint=hint)
    subnet = _subnet(fields, "cidr", text) if text else None
    excepts = []
    for place, part in fields.strings("except"):
        hole = _subnet(fields, place, part)
        if hole is None or subnet is None:
            continue
        if not model.within(hole, subnet):
            hint = "give except only ranges within cidr"
            fields.refuse(place, part, f"lies outside of cidr {subnet}", hint=hint)
        elif hole == subnet:
            hint = "remove the peer, or make the exception smaller"
            fields.refuse(
                place, part, "covers all of cidr, so the peer matches no address", hint=hint
            )
        else:
            excepts.append(hole)
    return IPBlock(subnet, tuple(sorted(set(excepts), key=_order))) if subnet else None


def _order(subnet: model.Subnet) -> tuple[int, int]:
    return int(subnet.network_address), subnet.prefixlen


def _subnet(fields: Fields, name: str, text: str) -> model.Subnet | None:
    """A CIDR; host bits are dropped, as Kubernetes does."""
    try:
        if not _SUBNET.fullmatch(text):
            raise ValueError
        found = ip_network(text, strict=False)
    except ValueError:
        rule = "must be a range of addresses such as 10.200.0.0/30 or fd00:10::/64"
        hint = "add the prefix length" if "/" not in text else ""
        fields.refuse(name, text, rule, hint=hint)
        return None
    if isinstance(found, IPv6Network) and model.within(found, _MAPPED):
        hint = "write it as an IPv4 range"
        fields.refuse(name, text, "holds IPv4 addresses in IPv6 form", hint=hint)
        return None
    return found


def _ports(rule: Fields, skipped: list[Skipped]) -> tuple[PolicyPort, ...] | None:
    if rule.value("ports") in (None, []):
        return None
    found = []
    for _, part in _parts(rule, "ports", skipped):
        port = _port(part)
        skipped.extend(map(skip, part.problems))
        if port is not None and not part.problems:
            found.append(port)
    return tuple(dict.fromkeys(found))


def _port(fields: Fields) -> PolicyPort | None:
    fields.only("protocol", "port", "endPort")
    chosen = protocol(fields)
    port = fields.value("port")
    if isinstance(port, str):
        _check_port_name(fields, port)
    elif port is not None:
        port = fields.number("port")
        if port is not None and not 1 <= port <= _MAX_PORT:
            fields.refuse("port", port, f"must lie between 1 and {_MAX_PORT}")
    end = _end(fields, port)
    if chosen is None or fields.problems:
        return None
    assert port is None or isinstance(port, int | str)
    return PolicyPort(chosen, port, 0 if end == port else end)


def protocol(fields: Fields) -> Protocol | None:
    """The field `protocol`; None if it is invalid."""
    text = fields.text("protocol")
    if not fields.has("protocol"):
        return Protocol.TCP
    if text in tuple(Protocol):
        return Protocol(text)
    if isinstance(fields.value("protocol"), str):
        hint = f"write {text.upper()}" if text.upper() in tuple(Protocol) else ""
        if text.upper().startswith("ICMP"):
            hint = "a rule without ports allows ICMP too"
        fields.refuse("protocol", text, f"must be one of {_PROTOCOLS}", hint=hint)
    return None


def _check_port_name(fields: Fields, text: str) -> None:
    if _PORT_NAME.fullmatch(text):
        return
    rule = (
        "must be a number or the name of a container's port: at most 15 small letters, digits "
        "and '-', at least one letter"
    )
    hint = "write the number without quotes" if text.strip().isdecimal() else ""
    fields.refuse("port", text, rule, hint=hint)


def _end(fields: Fields, port: object) -> int:
    """The last port of a range, 0 if `endPort` is absent."""
    end = fields.number("endPort")
    if end is None:
        return 0
    if isinstance(port, str):
        hint = "write the first port as a number"
        fields.refuse("endPort", end, f"cannot end a range that the name {port} begins", hint=hint)
    elif not fields.has("port"):
        hint = "add port, the first of the range"
        fields.refuse("endPort", end, "ends a range that nothing begins", hint=hint)
    elif not 1 <= end <= _MAX_PORT:
        fields.refuse("endPort", end, f"must lie between 1 and {_MAX_PORT}")
    elif isinstance(port, int) and end < port:
        fields.refuse("endPort", end, f"is less than port {port}", hint="swap the two")
    return end


def _has_room(room: Room, peers: tuple[Peer, ...] | None, ports: tuple[PolicyPort, ...]) -> bool:
    """Whether the port names can be looked up for all peers; takes that from `room`."""
    names = sum(isinstance(each.port, str) for each in ports)
    if not names:
        return True
    most = room.named // names
    each = [blocks.count(p, most) if isinstance(p, IPBlock) else 1 for p in peers or (None,)]
    if sum(each) > most:
        return False
    room.named -= sum(each) * names
    return True


def _too_many_named(fields: Fields) -> Skipped:
    what = f"name so many ports for so many peers that there are more than {MAX_NAMED} pairs"
    return Skipped(f"{fields.path}.ports", "", what, "write numbers, or name fewer ports")


def _names_without_pods(fields: Fields, rule: Rule) -> Iterator[Skipped]:
    """Port names whose other end is an IP block: only pods name ports."""
    if not any(isinstance(peer, IPBlock) for peer in rule.peers or ()):
        return
    names = [port.port for port in rule.ports or () if isinstance(port.port, str)]
    for name in names:
        what = "names a port of a pod, and the addresses of an ipBlock have no such names"
        hint = "write the number, or select the pods"
        yield Skipped(f"{fields.path}.ports", errors.as_written(name), what, hint)
