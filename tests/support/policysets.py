"""Sets of policies by chance, from a seed, and how each is written as a MultiNetworkPolicy.

They are made as what they mean and written down afterwards, in one of the ways that mean the same,
so that a reader of the written form is tried too. Everything in them is likely to matter in the
small world that they are made for: labels that are there, blocks around real addresses, ports that
are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_network
from random import Random
from typing import Any, TypeVar

from tests.support import policyworld
from weft import model, names
from weft.kube import resources
from weft.model import ObjectKey
from weft.policy import netpolicy
from weft.policy.netpolicy import (
    Direction,
    IPBlock,
    Operator,
    PodSelector,
    PolicyPort,
    Protocol,
    Rule,
    Selector,
)

Object = dict[str, Any]
_T = TypeVar("_T")
MOST = 5
LABELS = {"app": ("web", "db", "cache"), "tier": ("front", "back")}
SPACE_LABELS = {"team": ("a", "b"), "env": ("prod", "test")}
# What is asked for of every pair, and what policies name. ICMP is None.
ASKED: tuple[netpolicy.Connection, ...] = (
    netpolicy.Connection(None),
    *(netpolicy.Connection(Protocol.TCP, port) for port in (80, 81, 8080, 5005)),
    *(netpolicy.Connection(Protocol.UDP, port) for port in (53, 80, 5005)),
    *(netpolicy.Connection(Protocol.SCTP, port) for port in (3868, 80)),
)
PORTS = {
    Protocol.TCP: (80, 81, 8080, 5005, 4999),
    Protocol.UDP: (53, 80, 5005, 4999),
    Protocol.SCTP: (3868, 80, 4999),
}
# Most of them some pod has; "nothing" none.
PORT_NAMES = sorted({key for pod in policyworld.PODS for key in pod.ports}) * 3 + [
    (Protocol.TCP, "nothing"),
    (Protocol.TCP, "dns"),
    (Protocol.SCTP, "web"),
]
_SECTIONS = {Direction.INGRESS: ("ingress", "from"), Direction.EGRESS: ("egress", "to")}


@dataclass(frozen=True, slots=True)
class Step:
    """What is in force at one time: policies in a world."""

    world: policyworld.World
    policies: tuple[netpolicy.Policy, ...] = ()


def steps(seed: int, world: policyworld.World) -> Iterator[Step]:
    """One state after the other, without end, each made by chance of the one before.

    Some policies stay, some change under their name; now and then labels change as well.
    """
    rng = Random(seed)
    kept: dict[ObjectKey, netpolicy.Policy] = {}
    while True:
        if rng.random() < 0.35:
            world = relabel(rng, world)
        for key in [key for key in kept if rng.random() < 0.6]:
            del kept[key]
        for made in (policy(rng, world) for _ in range(rng.randint(1, MOST))):
            if len(kept) < MOST or made.key in kept:
                kept[made.key] = made
        yield Step(world, tuple(kept.values()))


def relabel(rng: Random, world: policyworld.World) -> policyworld.World:
    """Other labels for one pod or namespace."""
    if rng.random() < 0.3:
        name = rng.choice(list(world.namespaces))
        own = {"kubernetes.io/metadata.name": name}
        return world.relabelled(name, {**own, **_labels(rng, SPACE_LABELS)})
    return world.relabelled(rng.choice(world.pods).key, _labels(rng, LABELS))


def _labels(rng: Random, vocabulary: Mapping[str, Sequence[str]]) -> dict[str, str]:
    return {key: rng.choice(values) for key, values in vocabulary.items() if rng.random() < 0.8}


def policy(rng: Random, world: policyworld.World) -> netpolicy.Policy:
    namespace = rng.choice(list(world.namespaces))
    directions = rng.choice(
        [
            frozenset({Direction.INGRESS}),
            frozenset({Direction.INGRESS}),
            frozenset({Direction.EGRESS}),
            frozenset(Direction),
        ]
    )
    rules = {
        direction: tuple(_rules(rng, world, namespace)) if direction in directions else ()
        for direction in Direction
    }
    known = rng.sample(list(policyworld.NETWORKS), rng.choice((1, 1, 2, 3)))
    missing = [ObjectKey(namespace, "missing")] if rng.random() < 0.1 else []
    return netpolicy.Policy(
        namespace=namespace,
        name=f"p{rng.randrange(MOST)}",
        uid="",
        nads=tuple(known + missing),
        pods=selector(rng, LABELS),
        directions=directions,
        ingress=rules[Direction.INGRESS],
        egress=rules[Direction.EGRESS],
        mode=netpolicy.Mode.AUDIT if rng.random() < 0.08 else netpolicy.Mode.ENFORCE,
    )


def _rules(rng: Random, world: policyworld.World, namespace: str) -> Iterator[Rule]:
    """None of them twice out of ten; a rule for anybody on any port opens all, so it is rare."""
    for index in range(rng.choice((0, 0, 1, 1, 1, 2, 2, 3))):
        peers = _some(rng, 0.25, lambda: peer(rng, world, namespace))
        services = _some(rng, 0.4, lambda: service(rng))
        if peers is None and services is None and rng.random() < 0.7:
            services = (service(rng),)
        yield Rule(index, peers, services)


def _some(rng: Random, none: float, make: Any) -> Any:
    """None, or one to three different ones."""
    if rng.random() < none:
        return None
    return tuple(dict.fromkeys(make() for _ in range(rng.choice((1, 1, 2, 3)))))


def peer(rng: Random, world: policyworld.World, namespace: str) -> netpolicy.Peer:
    match rng.randrange(6):
        case 0 | 1:
            return block(rng, world)
        case 2 | 3:
            return PodSelector(namespace=namespace, pods=selector(rng, LABELS))
        case 4:
            return PodSelector(namespaces=selector(rng, SPACE_LABELS))
        case _:
            return PodSelector(namespaces=selector(rng, SPACE_LABELS), pods=selector(rng, LABELS))


def selector(rng: Random, vocabulary: Mapping[str, Sequence[str]]) -> Selector:
    count = rng.choice((0, 1, 1, 1, 2))
    return Selector(tuple(sorted({_requirement(rng, vocabulary) for _ in range(count)})))


def _requirement(rng: Random, vocabulary: Mapping[str, Sequence[str]]) -> netpolicy.Requirement:
    key = rng.choice(list(vocabulary))
    values = tuple(sorted(rng.sample(list(vocabulary[key]), rng.choice((1, 1, 2)))))
    match rng.randrange(8):
        case 0:
            return netpolicy.Requirement(key, Operator.NOT_IN, values)
        case 1:
            return netpolicy.Requirement(key, Operator.EXISTS)
        case 2:
            return netpolicy.Requirement(key, Operator.DOES_NOT_EXIST)
        case 3 | 4:
            return netpolicy.Requirement(key, Operator.IN, values)
        case _:
            return netpolicy.Requirement(key, Operator.IN, values[:1])


def block(rng: Random, world: policyworld.World) -> IPBlock:
    """Around some pod's address, without some that are near it."""
    address = rng.choice(rng.choice(list(world.nics.values())).addresses)
    if rng.random() < 0.06:
        return IPBlock(ip_network("0.0.0.0/0" if address.version == 4 else "::/0"))
    longest = address.max_prefixlen
    length = longest - rng.choice((0, 1, 2, 3, 4, 8, 16))
    subnet = ip_network(f"{address}/{length}", strict=False)
    excepts = {
        _within(rng, subnet, address)
        for _ in range(rng.choice((0, 0, 1, 2, 3)))
        if length < longest
    }
    return IPBlock(subnet, tuple(sorted(excepts, key=_order)))


def _within(rng: Random, subnet: model.Subnet, near: model.Address) -> model.Subnet:
    """A smaller one around an address that is a few away from `near`."""
    longest = subnet.max_prefixlen
    offset = (int(near) + rng.randint(-4, 4) - int(subnet.network_address)) % subnet.num_addresses
    length = min(longest, max(subnet.prefixlen + 1, longest - rng.choice((0, 0, 1, 2))))
    return ip_network(f"{subnet[offset]}/{length}", strict=False)


def _order(subnet: model.Subnet) -> tuple[int, int]:
    return int(subnet.network_address), subnet.prefixlen


def service(rng: Random) -> PolicyPort:
    protocol = rng.choice(list(Protocol))
    match rng.randrange(8):
        case 0:
            return PolicyPort(protocol)
        case 1 | 2 | 3:
            return PolicyPort(*rng.choice(PORT_NAMES))
        case 4 | 5:
            first, last = sorted(rng.sample(PORTS[protocol], 2))
            return PolicyPort(protocol, first, last)
        case _:
            return PolicyPort(protocol, rng.choice(PORTS[protocol]))


def write(policy: netpolicy.Policy, rng: Random) -> Object:
    """The object that says so, in one of the ways that mean the same."""
    spec: Object = {"podSelector": _write_selector(policy.pods, rng)}
    plain = {Direction.INGRESS} | ({Direction.EGRESS} if policy.egress else set())
    if policy.directions != plain or rng.random() < 0.5:
        spec["policyTypes"] = [each.value for each in Direction if each in policy.directions]
    for direction, (name, _) in _SECTIONS.items():
        rules = [_write_rule(rule, direction, rng) for rule in policy.rules(direction)]
        if direction not in policy.directions and "policyTypes" in spec and rng.random() < 0.2:
            rules = [{}]  # without effect
        if rules or rng.random() < 0.5:
            spec[name] = rules
    annotations = {names.POLICY_FOR: _write_nads(policy, rng)}
    if policy.mode is not netpolicy.Mode.ENFORCE or rng.random() < 0.1:
        annotations[names.POLICY_MODE] = policy.mode.value
    return {
        "apiVersion": resources.MULTINETWORKPOLICIES.api_version,
        "kind": resources.MULTINETWORKPOLICIES.kind,
        "metadata": {
            "name": policy.name,
            "namespace": policy.namespace,
            "annotations": annotations,
        },
        "spec": spec,
    }


def _write_nads(policy: netpolicy.Policy, rng: Random) -> str:
    listed = []
    for nad in policy.nads:
        short = nad.namespace == policy.namespace and rng.random() < 0.5
        listed.append(nad.name if short else str(nad))
    return rng.choice((",", ", ")).join(listed)


def _write_selector(selector: Selector, rng: Random) -> Object:
    labels: dict[str, str] = {}
    expressions = []
    for each in selector.requirements:
        single = each.operator is Operator.IN and len(each.values) == 1
        if single and each.key not in labels and rng.random() < 0.7:
            labels[each.key] = each.values[0]
            continue
        written: Object = {"key": each.key, "operator": each.operator.value}
        if each.values:
            written["values"] = rng.sample(each.values, len(each.values))
        expressions.append(written)
    found: Object = {}
    if labels:
        found["matchLabels"] = labels
    if expressions:
        found["matchExpressions"] = rng.sample(expressions, len(expressions))
    return found


def _write_rule(rule: Rule, direction: Direction, rng: Random) -> Object:
    found: Object = {}
    _put(found, _SECTIONS[direction][1], rule.peers, lambda each: _write_peer(each, rng), rng)
    _put(found, "ports", rule.ports, lambda each: _write_service(each, rng), rng)
    return found


def _put(found: Object, name: str, parts: Any, write: Any, rng: Random) -> None:
    """A list; what may be anything is left out or empty."""
    if parts is not None:
        found[name] = [write(part) for part in parts]
    elif rng.random() < 0.4:
        found[name] = []


def _write_peer(peer: netpolicy.Peer, rng: Random) -> Object:
    if isinstance(peer, IPBlock):
        block: Object = {"cidr": str(peer.subnet)}
        if peer.excepts:
            block["except"] = [str(each) for each in peer.excepts]
        return {"ipBlock": block}
    found = {}
    if not peer.namespace:
        found["namespaceSelector"] = _write_selector(peer.namespaces, rng)
    if peer.namespace or peer.pods.requirements or rng.random() < 0.3:
        found["podSelector"] = _write_selector(peer.pods, rng)
    return found


def _write_service(service: PolicyPort, rng: Random) -> Object:
    found: Object = {}
    if service.protocol is not Protocol.TCP or rng.random() < 0.5:
        found["protocol"] = service.protocol.value
    if service.port is not None:
        found["port"] = service.port
    if service.end:
        found["endPort"] = service.end
    return found


def reductions(policies: tuple[netpolicy.Policy, ...]) -> Iterator[tuple[netpolicy.Policy, ...]]:
    """Smaller sets: without one policy, then without one rule, peer or service."""
    yield from _without_each(policies)
    for place, policy in enumerate(policies):
        for direction, (name, _) in _SECTIONS.items():
            for rules in _smaller_rules(policy.rules(direction)):
                edited: dict[str, Any] = {name: rules}
                smaller = replace(policy, **edited)
                yield (*policies[:place], smaller, *policies[place + 1 :])


def _smaller_rules(rules: tuple[Rule, ...]) -> Iterator[tuple[Rule, ...]]:
    yield from _without_each(rules)
    for place, rule in enumerate(rules):
        for field in ("peers", "ports"):
            parts = getattr(rule, field) or ()
            for fewer in _without_each(parts) if len(parts) > 1 else ():
                edited: dict[str, Any] = {field: fewer}
                smaller = replace(rule, **edited)
                yield (*rules[:place], smaller, *rules[place + 1 :])


def _without_each(parts: tuple[_T, ...]) -> Iterator[tuple[_T, ...]]:
    for place in range(len(parts)):
        yield parts[:place] + parts[place + 1 :]
