"""Decides whether policies allow a connection, as the NetworkPolicy documents define it.

The reference: it looks at every policy for every connection, and knows no rows, sets or addresses
learned. What is enforced is compared with it; nothing that enforces may use it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from weft import model
from weft.policy import netpolicy


@dataclass(frozen=True, slots=True)
class Judgement:
    """What policies say at one end: of what leaves the source, or of what comes to the target.

    `isolating` policies select that end in that direction. `allowing` are those of their rules
    that let the connection pass.
    """

    direction: netpolicy.Direction
    isolating: tuple[netpolicy.Policy, ...] = ()
    allowing: tuple[tuple[netpolicy.Policy, netpolicy.Rule], ...] = ()

    @property
    def passes(self) -> bool:
        """Who is not isolated is open; policies add up, so one rule of any of them is enough."""
        return not self.isolating or bool(self.allowing)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Both ends must let it pass."""

    egress: Judgement
    ingress: Judgement

    @property
    def allowed(self) -> bool:
        return self.egress.passes and self.ingress.passes


def allowed(
    policies: Iterable[netpolicy.Policy],
    networks: Mapping[str, str],
    source: netpolicy.Endpoint,
    target: netpolicy.Endpoint,
    connection: netpolicy.Connection,
) -> bool:
    """Whether `source` may open `connection` to `target`, two ends on one network.

    `networks` says of which network each definition ("<namespace>/<name>") is. Replies to what
    is allowed pass too, whatever policies say of the other direction.
    """
    return explain(policies, networks, source, target, connection).allowed


def explain(
    policies: Iterable[netpolicy.Policy],
    networks: Mapping[str, str],
    source: netpolicy.Endpoint,
    target: netpolicy.Endpoint,
    connection: netpolicy.Connection,
) -> Verdict:
    """The same, with what isolates each end and what lets the connection pass there.

    A pod always reaches itself, and policies in audit mode change nothing.
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


def selects(policy: netpolicy.Policy, networks: Mapping[str, str], end: netpolicy.Endpoint) -> bool:
    """Whether the policy guards this attachment: its network, its namespace, its labels."""
    return (
        end.namespace == policy.namespace
        and policy.pods.matches(end.labels)
        and end.network in policy.networks(networks)
    )


def _judge(
    direction: netpolicy.Direction,
    policies: Iterable[netpolicy.Policy],
    networks: Mapping[str, str],
    source: netpolicy.Endpoint,
    target: netpolicy.Endpoint,
    connection: netpolicy.Connection,
) -> Judgement:
    """`peer` is the far end as the rules of this direction mean it."""
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
    """Any of its peers on any of its ports; what is not listed at all is not restricted."""
    for who in (None,) if rule.peers is None else rule.peers:
        for what in (None,) if rule.ports is None else rule.ports:
            if who is not None and not _is_peer(who, peer, address):
                continue
            if what is not None and not _is_service(what, named, connection):
                continue
            if direction is netpolicy.Direction.EGRESS and _is_unnameable(who, what):
                continue
            return True
    return False


def _is_peer(who: netpolicy.Peer, peer: netpolicy.Endpoint, address: model.Address | None) -> bool:
    """Pods by what they are, blocks by the address that the packets carry."""
    if isinstance(who, netpolicy.PodSelector):
        if who.namespace:
            there = peer.namespace == who.namespace
        else:
            there = who.namespaces.matches(peer.namespace_labels)
        return there and who.pods.matches(peer.labels)
    if address is None or address not in who.subnet:
        return False
    return not any(address in each for each in who.excepts)


def _is_service(
    what: netpolicy.PolicyPort, named: netpolicy.NamedPorts, connection: netpolicy.Connection
) -> bool:
    """Names are those of the target's containers. A name that the target lacks is no port."""
    if connection.protocol is not what.protocol:
        return False
    if what.port is None:
        return True
    if isinstance(what.port, str):
        return named.get((what.protocol, what.port)) == connection.port
    return what.port <= connection.port <= (what.end or what.port)


def _is_unnameable(who: netpolicy.Peer | None, what: netpolicy.PolicyPort | None) -> bool:
    """Addresses of a block have no containers, so no port there has a name."""
    return isinstance(who, netpolicy.IPBlock) and what is not None and isinstance(what.port, str)
