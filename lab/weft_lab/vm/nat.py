"""Makes the rules that translate between a pod's address and the guest behind it. Pure.

Networks in, a ruleset of nftables out, as `nft --json` reads it (libnftables-json(5)). The contract
is that of KubeVirt's binding `masquerade`: the guest goes out under the pod's address, and what
comes in for that address goes to the guest; where ports are listed, what comes in for these.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

Json = dict[str, Any]
TABLE = "masquerade"
_LOOPBACK = {"prefix": {"addr": "127.0.0.0", "len": 8}}


@dataclass(frozen=True, slots=True)
class Inside:
    """A guest's network of one family: the pod has its first address, the guest its second."""

    network: IPv4Network | IPv6Network

    @property
    def gateway(self) -> IPv4Address | IPv6Address:
        return self.network[1]

    @property
    def guest(self) -> IPv4Address | IPv6Address:
        return self.network[2]

    @property
    def family(self) -> str:
        """As nftables calls it."""
        return "ip" if self.network.version == 4 else "ip6"


@dataclass(frozen=True, slots=True)
class Place:
    """Between which interfaces; `forwards` are (tcp or udp, port), none: all of the pod's."""

    outer: str
    bridge: str
    forwards: tuple[tuple[str, int], ...] = ()


def ruleset(place: Place, insides: Sequence[Inside]) -> Json:
    """One transaction that makes a table for each family."""
    return {"nftables": [command for inside in insides for command in _table(place, inside)]}


def _table(place: Place, inside: Inside) -> Iterator[Json]:
    family = inside.family
    yield {"add": {"table": {"family": family, "name": TABLE}}}
    for name, kind, hook, priority in (
        ("arriving", "nat", "prerouting", -100),
        ("own", "nat", "output", -100),
        ("leaving", "nat", "postrouting", 100),
        ("passing", "filter", "forward", 0),
        ("entering", "filter", "input", 0),
    ):
        chain = {"family": family, "table": TABLE, "name": name, "type": kind, "hook": hook}
        yield {"add": {"chain": {**chain, "prio": priority, "policy": "accept"}}}
    for name, expressions in _rules(place, inside):
        rule = {"family": family, "table": TABLE, "chain": name, "expr": expressions}
        yield {"add": {"rule": rule}}


def _rules(place: Place, inside: Inside) -> Iterator[tuple[str, list[Json]]]:
    """(Chain, expressions) of each rule, in order."""
    into, outof, accept, drop = _into, _out_of, {"accept": None}, {"drop": None}
    field = functools.partial(_field, inside.family)
    guest, gateway = str(inside.guest), str(inside.gateway)
    to_pod = _is({"fib": {"result": "type", "flags": ["daddr"]}}, "local")
    away = [] if inside.family == "ip" else [_match("!=", _payload("ip6", "daddr"), "::1")]
    for ports in _ports(place.forwards):
        yield "arriving", [into(place.outer), to_pod, *ports, {"dnat": {"addr": guest}}]
        # The pod's own processes reach the guest as others do; by loopback too, where the kernel
        # lets its addresses leave the machine, which is so for IPv4 alone.
        yield "own", [outof("lo"), to_pod, *away, *ports, {"dnat": {"addr": guest}}]
    yield "leaving", [outof(place.outer), field("saddr", guest), {"masquerade": None}]
    if inside.family == "ip":
        lies = field("saddr", _LOOPBACK)
        yield "leaving", [outof(place.bridge), lies, {"snat": {"addr": gateway}}]
        # Answers come by the bridge to the pod's loopback, and nothing that the guest begins.
        new = _is({"ct": {"key": "state"}}, "new")
        yield "entering", [into(place.bridge), field("daddr", _LOOPBACK), new, drop]
    # Only what was translated comes to the guest, and only the guest sends from behind the bridge.
    # The pod is nobody else's router. Bridged frames of its other networks are left alone.
    yield "passing", [outof(place.bridge), _in({"ct": {"key": "status"}}, "dnat"), accept]
    yield "passing", [_in({"ct": {"key": "state"}}, ["established", "related"]), accept]
    yield "passing", [into(place.outer), drop]
    yield "passing", [into(place.bridge), outof(place.outer), field("saddr", guest), accept]
    yield "passing", [into(place.bridge), drop]


def _ports(forwards: Sequence[tuple[str, int]]) -> Iterator[list[Json]]:
    """Conditions, of which one must hold."""
    if not forwards:
        yield []
    for protocol in sorted({protocol for protocol, _ in forwards}):
        ports = sorted({port for kind, port in forwards if kind == protocol})
        yield [_is(_payload(protocol, "dport"), {"set": ports})]


def _match(operator: str, left: Json, right: Any) -> Json:
    return {"match": {"op": operator, "left": left, "right": right}}


def _is(left: Json, right: Any) -> Json:
    return _match("==", left, right)


def _in(left: Json, right: Any) -> Json:
    return _match("in", left, right)


def _payload(protocol: str, field: str) -> Json:
    return {"payload": {"protocol": protocol, "field": field}}


def _into(interface: str) -> Json:
    return _is({"meta": {"key": "iifname"}}, interface)


def _out_of(interface: str) -> Json:
    return _is({"meta": {"key": "oifname"}}, interface)


def _field(family: str, name: str, value: Any) -> Json:
    return _is(_payload(family, name), value)
