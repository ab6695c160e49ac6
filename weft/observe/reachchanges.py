"""Finds the pairs of a network that gain or lose reach by an edit of policies. Pure.

The reference evaluator judges both versions. Only pairs with an end that a changed policy selects
are judged, by ping and by each protocol and port that the changed policies name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from weft import model
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
    asked = tuple(asked)
    differing = set(before.policies) ^ set(after.policies)
    versions = tuple(_Selecting.of(rules, members) for rules in (before, after))
    affected = {
        member.id
        for member in members
        if any(not differing.isdisjoint(each.policies[member.id]) for each in versions)
    }
    alike = _classes(members, (*before.policies, *after.policies))
    known: dict[tuple[object, object], tuple[_Difference, ...]] = {}
    found = []
    for source in members:
        for target in members:
            is_affected = source.id in affected or target.id in affected
            if source.pod == target.pod or not is_affected:
                continue
            key = alike[source.id], alike[target.id]
            if key not in known:
                known[key] = tuple(_differences(source, target, versions, asked))
            here, there = _called(source), _called(target)
            found += [
                PairChange(network, here, there, protocol, port, allowed, reason)
                for protocol, port, allowed, reason in known[key]
            ]
    return tuple(found)


_Difference = tuple[str, int, bool, str]  # protocol, port, whether it is allowed now, reason


def _classes(
    members: Iterable[Member], policies: Iterable[netpolicy.Policy]
) -> dict[str, tuple[object, ...]]:
    """Members that no policy can tell apart have one class: of a Deployment's pods, one verdict is
    that of all."""
    policies = tuple(policies)
    peers = [
        peer
        for policy in policies
        for rule in (*policy.ingress, *policy.egress)
        for peer in rule.peers or ()
    ]
    blocks = tuple(dict.fromkeys(one for one in peers if isinstance(one, netpolicy.IPBlock)))
    pods = [one for one in peers if isinstance(one, netpolicy.PodSelector)]
    selectors = [*(one.pods for one in pods), *(policy.pods for policy in policies)]
    labels = _keys(selectors)
    of_namespaces = _keys(one.namespaces for one in pods)

    def class_of(end: netpolicy.Endpoint) -> tuple[object, ...]:
        return (
            end.namespace,
            tuple(end.labels.get(key) for key in labels),
            tuple(end.namespace_labels.get(key) for key in of_namespaces),
            tuple(sorted(end.named_ports.items())),
            tuple(
                (each.version, each.is_link_local, *(_is_in(each, block) for block in blocks))
                for each in end.addresses
            ),
        )

    return {member.id: class_of(member.endpoint) for member in members}


def _keys(selectors: Iterable[netpolicy.Selector]) -> tuple[str, ...]:
    """The label keys that selectors look at."""
    return tuple(sorted({each.key for one in selectors for each in one.requirements}))


def _is_in(address: model.Address, block: netpolicy.IPBlock) -> bool:
    return address in block.subnet and not any(address in each for each in block.excepts)


@dataclass(frozen=True, slots=True)
class _Selecting:
    """The policies that select each member: most of a cluster's select neither end of a pair."""

    networks: Mapping[ObjectKey, str]
    policies: Mapping[str, tuple[netpolicy.Policy, ...]]

    @classmethod
    def of(cls, rules: Rules, members: Iterable[Member]) -> _Selecting:
        return cls(
            rules.networks,
            {
                member.id: tuple(
                    policy
                    for policy in rules.policies
                    if evaluator.selects(policy, rules.networks, member.endpoint)
                )
                for member in members
            },
        )

    def verdict(
        self, source: Member, target: Member, connection: netpolicy.Connection
    ) -> evaluator.Verdict:
        chosen = dict.fromkeys((*self.policies[source.id], *self.policies[target.id]))
        return evaluator.explain(
            chosen, self.networks, source.endpoint, target.endpoint, connection
        )


def _differences(
    source: Member,
    target: Member,
    versions: Sequence[_Selecting],
    asked: Iterable[netpolicy.Connection],
) -> Iterator[_Difference]:
    ends = reach.addresses(source, target) or (None, None)
    for question in asked:
        connection = replace(question, source=ends[0], target=ends[1])
        old, new = (each.verdict(source, target, connection) for each in versions)
        if old.allowed is not new.allowed:
            protocol = str(question.protocol or "ICMP")
            yield protocol, question.port, new.allowed, reach.reason_of(new)


def _called(member: Member) -> str:
    return f"{member.endpoint.namespace}/{member.name}"
