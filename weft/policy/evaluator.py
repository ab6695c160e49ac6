"""Decides whether policies allow a connection, as the NetworkPolicy documents define it.

Tests and `weft` commands compare enforcement with it, so enforcement must never use it. It checks
every policy for every connection, without rows or address sets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from weft import model
from weft.model import ObjectKey
from weft.policy import netpolicy


@dataclass(frozen=True, slots=True)
class Judgement:
    """The policies at one end: egress at the source, or ingress at the target.

    `isolating` policies select that end in that direction. `allowing` are those of them with a rule
    that allows the connection.
    """

    direction: netpolicy.Direction
    isolating: tuple[netpolicy.Policy, ...] = ()
    allowing: tuple[tuple[netpolicy.Policy, netpolicy.Rule], ...] = ()

    @property
    def passes(self) -> bool:
        """Whether this end allows the connection: no policy isolates it, or one allows it."""
        return not self.isolating or bool(self.allowing)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict of the policies at both ends on a connection."""

    egress: Judgement
    ingress: Judgement

    @property
    def allowed(self) -> bool:
        """Whether both ends allow it."""
        return self.egress.passes and self.ingress.passes


@dataclass(frozen=True, slots=True)
class Match:
    """How near a rule comes to a connection: whether one of its peers matches, and one of its
    ports."""

    rule: netpolicy.Rule
    peer: bool
    port: bool


def allowed(
    policies: Iterable[netpolicy.Policy],
    networks: Mapping[ObjectKey, str],
    source: netpolicy.Endpoint,
    target: netpolicy.Endpoint,
    connection: netpolicy.Connection,
) -> bool:
    """Whether `source` may open `connection` to `target`; both are on one network.

    `networks` maps each NAD ("<namespace>/<name>") to its network. Replies to an allowed connection
    always pass.
    """
    return explain(policies, networks, source, target, connection).allowed


def explain(
    policies: Iterable[netpolicy.Policy],
    networks: Mapping[ObjectKey, str],
    source: netpolicy.Endpoint,
    target: netpolicy.Endpoint,
    connection: netpolicy.Connection,
) -> Verdict:
    """Like `allowed`, but names the policies that isolate each end and those that allow it there.

    A pod always reaches itself. Policies in audit mode change nothing. Raises ValueError if the two
    ends are on different networks.
    """
    if source.network != target.network:
        raise ValueError(f"{source.network!r} and {target.network!r} are two networks")
    itself = (source.namespace, source.pod) == (target.namespace, target.pod)
    enforced = (
        ()
        if itself
        else tuple(policy for policy in policies if policy.mode is netpolicy.Mode.ENFORCE)
    )
    return Verdict(
        _judge(netpolicy.Direction.EGRESS, enforced, networks, source, target, connection),
        _judge(netpolicy.Direction.INGRESS, enforced, networks, source, target, connection),
    )


def matches(
    policy: netpolicy.Policy,
    direction: netpolicy.Direction,
    source: netpolicy.Endpoint,
    target: netpolicy.Endpoint,
    connection: netpolicy.Connection,
) -> tuple[Match, ...]:
    """How near each rule of a policy in one direction comes to allowing a connection."""
    ingress = direction is netpolicy.Direction.INGRESS
    peer, address = (source, connection.source) if ingress else (target, connection.target)
    return tuple(
        Match(
            rule,
            rule.peers is None or any(is_peer(each, peer, address) for each in rule.peers),
            rule.ports is None
            or any(_is_service(each, target.named_ports, connection) for each in rule.ports),
        )
        for rule in policy.rules(direction)
    )


def is_peer(who: netpolicy.Peer, peer: netpolicy.Endpoint, address: model.Address | None) -> bool:
    """Whether a selector matches the pod, or a block the packet's address."""
    if isinstance(who, netpolicy.PodSelector):
        if not peer.pod:
            return False
        if who.namespace:
            there = peer.namespace == who.namespace
        else:
            there = who.namespaces.matches(peer.namespace_labels)
        return there and who.pods.matches(peer.labels)
    if address is None or address not in who.subnet:
        return False
    return not any(address in each for each in who.excepts)


def selects(
    policy: netpolicy.Policy, networks: Mapping[ObjectKey, str], end: netpolicy.Endpoint
) -> bool:
    """Whether the policy selects this attachment by network, namespace and labels."""
    return (
        end.namespace == policy.namespace
        and policy.pods.matches(end.labels)
        and end.network in policy.networks(networks)
    )


def _judge(
    direction: netpolicy.Direction,
    policies: Iterable[netpolicy.Policy],
    networks: Mapping[ObjectKey, str],
    source: netpolicy.Endpoint,
    target: netpolicy.Endpoint,
    connection: netpolicy.Connection,
) -> Judgement:
    """The policies of one direction at the end that they select."""
    if direction is netpolicy.Direction.INGRESS:
        subject, peer, address = target, source, connection.source
    else:
        subject, peer, address = source, target, connection.target
    isolating = tuple(
        policy
        for policy in policies
        if direction in policy.directions and selects(policy, networks, subject)
    )
    allowing = tuple(
        (policy, rule)
        for policy in isolating
        for rule in policy.rules(direction)
        if _allows(rule, direction, peer, address, target.named_ports, connection)
    )
    return Judgement(direction, isolating, allowing)


def _allows(
    rule: netpolicy.Rule,
    direction: netpolicy.Direction,
    peer: netpolicy.Endpoint,
    address: model.Address | None,
    named: netpolicy.NamedPorts,
    connection: netpolicy.Connection,
) -> bool:
    """Whether one of the rule's peers and one of its ports match; an absent list matches all."""
    for who in (None,) if rule.peers is None else rule.peers:
        for what in (None,) if rule.ports is None else rule.ports:
            if who is not None and not is_peer(who, peer, address):
                continue
            if what is not None and not _is_service(what, named, connection):
                continue
            if direction is netpolicy.Direction.EGRESS and _is_unnameable(who, what):
                continue
            return True
    return False


def _is_service(
    what: netpolicy.PolicyPort, named: netpolicy.NamedPorts, connection: netpolicy.Connection
) -> bool:
    """A port name is looked up in the target's containers; an unknown name matches nothing."""
    if connection.protocol is not what.protocol:
        return False
    if what.port is None:
        return True
    if isinstance(what.port, str):
        return named.get((what.protocol, what.port)) == connection.port
    return what.port <= connection.port <= (what.end or what.port)


def _is_unnameable(who: netpolicy.Peer | None, what: netpolicy.PolicyPort | None) -> bool:
    """Whether a port name meets an IP block: addresses have no containers, so no names."""
    return isinstance(who, netpolicy.IPBlock) and what is not None and isinstance(what.port, str)
