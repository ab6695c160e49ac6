"""Finds the pairs of a network that gain or lose reach by an edit of policies. Pure.

The reference evaluator judges both versions. Only pairs with an end that a changed policy selects
are judged, by ping and by each protocol and port that the changed policies name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from weft.model import ObjectKey
from weft.observe import reach
from weft.observe.reach import Member
from weft.policy import evaluator, netpolicy

PING = netpolicy.Connection(None)
OTHER = 1  # the port that stands for those that no policy names


@dataclass(frozen=True, slots=True)
class Rules:
    """Policies in force, and the networks of NADs."""

    policies: tuple[netpolicy.Policy, ...]
    networks: Mapping[ObjectKey, str]


@dataclass(frozen=True, slots=True)
class PairChange:
    """A pair whose verdict changes for a connection; `reason` is that of the new verdict."""

    network: str
    source: str
    target: str
    protocol: str
    port: int
    allowed: bool
    reason: str

    @property
    def connection(self) -> str:
        if self.port == OTHER:
            return f"{self.protocol} ports that no policy names"
        return f"{self.protocol} port {self.port}" if self.port else "ping"


def questions(changed: Iterable[netpolicy.Policy]) -> tuple[netpolicy.Connection, ...]:
    """Ping, and a connection to each port that the policies name, to both ends of a range.

    A port by name has another number in each pod: `of_names` adds those.
    """
    found = [PING, netpolicy.Connection(netpolicy.Protocol.TCP, OTHER)]
    for port in _ports(changed):
        if isinstance(port.port, int):
            found += [netpolicy.Connection(port.protocol, each) for each in _ends(port)]
        elif port.port is None:
            found.append(netpolicy.Connection(port.protocol, OTHER))
    return tuple(dict.fromkeys(found))


def of_names(
    changed: Iterable[netpolicy.Policy], members: Iterable[Member]
) -> tuple[netpolicy.Connection, ...]:
    """A connection to each number that a named port of the policies has in a member."""
    named = {(each.protocol, each.port) for each in _ports(changed) if isinstance(each.port, str)}
    found = [
        netpolicy.Connection(protocol, number)
        for member in members
        for (protocol, name), number in member.endpoint.named_ports.items()
        if (protocol, name) in named
    ]
    return tuple(dict.fromkeys(found))


def _ports(policies: Iterable[netpolicy.Policy]) -> Iterable[netpolicy.PolicyPort]:
    for policy in policies:
        for rule in (*policy.ingress, *policy.egress):
            yield from rule.ports or ()


def _ends(port: netpolicy.PolicyPort) -> tuple[int, ...]:
    assert isinstance(port.port, int)
    return (port.port, port.end) if port.end else (port.port,)


def changes(
    network: str,
    members: Sequence[Member],
    before: Rules,
    after: Rules,
    asked: Iterable[netpolicy.Connection],
) -> tuple[PairChange, ...]:
    """The pairs of a network whose verdict differs."""
    old, new = set(before.policies), set(after.policies)
    differing = old ^ new
    affected = {
        member.id
        for member in members
        if any(
            evaluator.selects(policy, rules.networks, member.endpoint)
            for policy in differing
            for rules in (before, after)
        )
    }
    found = []
    for source in members:
        for target in members:
            is_affected = source.id in affected or target.id in affected
            if source.pod != target.pod and is_affected:
                found += _pair(network, source, target, before, after, asked)
    return tuple(found)


def _pair(
    network: str,
    source: Member,
    target: Member,
    before: Rules,
    after: Rules,
    asked: Iterable[netpolicy.Connection],
) -> list[PairChange]:
    ends = reach.addresses(source, target) or (None, None)
    found = []
    for question in asked:
        connection = replace(question, source=ends[0], target=ends[1])
        old, new = (
            evaluator.explain(
                rules.policies, rules.networks, source.endpoint, target.endpoint, connection
            )
            for rules in (before, after)
        )
        if old.allowed is not new.allowed:
            protocol = str(question.protocol or "ICMP")
            reason = reach.reason_of(new)
            ids = _called(source), _called(target)
            change = PairChange(network, *ids, protocol, question.port, new.allowed, reason)
            found.append(change)
    return found


def _called(member: Member) -> str:
    return f"{member.endpoint.namespace}/{member.name}"
