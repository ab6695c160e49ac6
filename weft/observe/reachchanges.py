"""Finds the pairs of a network that gain or lose reach by an edit of policies. Pure.

The reference evaluator judges both versions. Only pairs with an end that other policies select than
before are judged: in each family, by ping and by one port of each interval in which no policy of
the pair tells two ports apart.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise, product
from typing import NamedTuple

from weft import model
from weft.model import ObjectKey
from weft.observe import reach
from weft.observe.reach import Member
from weft.policy import evaluator, netpolicy

PING = netpolicy.Connection(None)
OTHER = 0  # stands for the ports that no policy names: none can name it
_LAST = 65535


@dataclass(frozen=True, slots=True)
class Rules:
    """Policies in force, and the networks of NADs."""

    policies: tuple[netpolicy.Policy, ...]
    networks: Mapping[ObjectKey, str]


@dataclass(frozen=True, slots=True)
class PairChange:
    """A pair whose verdict changes for a connection; `reason` is that of the new verdict.

    `port` to `last` are the ports, OTHER stands for those that no policy of the pair names.
    `family` is "IPv4" or "IPv6" if the other one differs, or is not there to compare.
    """

    network: str
    source: str
    target: str
    protocol: str
    port: int
    last: int
    allowed: bool
    reason: str
    family: str = ""

    @property
    def connection(self) -> str:
        if self.protocol == _PING:
            text = "ping"
        elif self.port == OTHER:
            text = f"{self.protocol} ports that no policy names"
        elif self.port == self.last:
            text = f"{self.protocol} port {self.port}"
        else:
            text = f"{self.protocol} ports {self.port} to {self.last}"
        return f"{text} over {self.family}" if self.family else text


_PING = "ICMP"


@dataclass(frozen=True, slots=True)
class ReachChanges:
    """`unjudged` are pairs ("<namespace>/<name> > <namespace>/<name>") whose addresses are not
    known, where a verdict may differ by an IP block."""

    pairs: tuple[PairChange, ...] = ()
    unjudged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """A connection, and the last port up to which all are alike."""

    connection: netpolicy.Connection
    last: int = 0

    @property
    def protocol(self) -> str:
        return str(self.connection.protocol or _PING)


def questions(
    policies: Iterable[netpolicy.Policy], named: netpolicy.NamedPorts
) -> tuple[Question, ...]:
    """Ping, and for each protocol one port of each interval that the ends of all ranges make.

    `named` are the target's ports by name. TCP is asked about even if no policy names it.
    """
    ranges: dict[netpolicy.Protocol, list[tuple[int, int]]] = {netpolicy.Protocol.TCP: []}
    for port in _ports(policies):
        listed = ranges.setdefault(port.protocol, [])
        if isinstance(port.port, int):
            listed.append((port.port, port.end or port.port))
        elif port.port is not None and (number := named.get((port.protocol, port.port))):
            listed.append((number, number))
    found = [Question(PING)]
    for protocol, listed in ranges.items():
        inside = _intervals(listed)
        if sum(last - first + 1 for first, last in inside) < _LAST:
            found.append(Question(netpolicy.Connection(protocol, OTHER), OTHER))
        found += [Question(netpolicy.Connection(protocol, one), last) for one, last in inside]
    return tuple(found)


def _intervals(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The pieces into which ranges cut each other, each in at least one of them."""
    starts = {first for first, _ in ranges} | {last + 1 for _, last in ranges}
    pieces = [(one, other - 1) for one, other in pairwise(sorted(starts))]
    return [piece for piece in pieces if any(first <= piece[0] <= last for first, last in ranges)]


def _ports(policies: Iterable[netpolicy.Policy]) -> Iterable[netpolicy.PolicyPort]:
    for policy in policies:
        for rule in (*policy.ingress, *policy.egress):
            yield from rule.ports or ()


def changes(
    network: str,
    members: Sequence[Member],
    before: Rules,
    after: Rules,
) -> ReachChanges:
    """The pairs of a network whose verdict differs, and those of which it cannot be said."""
    versions = tuple(_Selecting.of(rules, members) for rules in (before, after))
    affected = {
        member.id
        for member in members
        if len({frozenset(each.policies[member.id]) for each in versions}) > 1
    }
    alike = _classes(members, (*before.policies, *after.policies))
    known: dict[tuple[int, int], _Judged] = {}
    found = []
    unjudged = []
    for source in members:
        for target in members:
            if source.id not in affected and target.id not in affected:
                continue
            key = alike[source.id], alike[target.id]
            judged = known.get(key)
            if judged == _NOTHING or source.pod == target.pod:
                continue
            if judged is None:
                judged = known[key] = _by_family(source, target, versions)
            if judged == _NOTHING:
                continue
            ends = _called(source), _called(target)
            if not judged.is_sure:
                unjudged.append(" > ".join(ends))
            found += [
                PairChange(
                    network,
                    *ends,
                    each.protocol,
                    each.port,
                    each.last,
                    each.allowed,
                    each.reason,
                    family,
                )
                for each, family in judged.differences
            ]
    return ReachChanges(tuple(found), tuple(unjudged))


class _Difference(NamedTuple):
    """A connection whose verdict differs; `allowed` and `reason` are those of the new one."""

    protocol: str
    port: int
    last: int
    allowed: bool
    reason: str


class _Judged(NamedTuple):
    """The differences of a pair, each with its family if the other family has another; `is_sure`
    if there are no more."""

    differences: tuple[tuple[_Difference, str], ...]
    is_sure: bool


_NOTHING = _Judged((), True)


def _classes(members: Iterable[Member], policies: Iterable[netpolicy.Policy]) -> dict[str, int]:
    """Members that no policy can tell apart have one class: of a Deployment's pods, one verdict is
    that of all. Classes are numbers, since there are many pairs."""
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

    numbers: dict[tuple[object, ...], int] = {}
    return {
        member.id: numbers.setdefault(class_of(member.endpoint), len(numbers)) for member in members
    }


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

    def of_pair(self, source: Member, target: Member) -> tuple[netpolicy.Policy, ...]:
        """The policies that select either end."""
        chosen = (*self.policies[source.id], *self.policies[target.id])
        return tuple(dict.fromkeys(chosen))


def _by_family(source: Member, target: Member, versions: Sequence[_Selecting]) -> _Judged:
    chosen = [each.of_pair(source, target) for each in versions]
    asked = questions(dict.fromkeys(chain(*chosen)), target.endpoint.named_ports)
    networks = [each.networks for each in versions]
    by_family: dict[str, list[_Difference]] = {}
    is_sure = True
    for ends in reach.families(source, target) or ((None, None),):
        ways = [tuple(chosen)] if ends[0] else [*_assumed(chosen)]
        found = []
        for question in asked:
            connection = replace(question.connection, source=ends[0], target=ends[1])
            changes = {
                (old.allowed, new.allowed)
                for way in ways
                for old, new in [_verdicts(source, target, connection, way, networks)]
            }
            losing = {old - new for old, new in changes}
            if len(losing) > 1:
                is_sure = False
            elif losing != {0}:
                _, new = _verdicts(source, target, connection, chosen, networks)
                what = question.protocol, connection.port, question.last
                found.append(_Difference(*what, new.allowed, reach.reason_of(new)))
        by_family[f"IPv{ends[0].version}" if ends[0] else ""] = _joined(found)
    families: dict[_Difference, list[str]] = {}
    for family, listed in by_family.items():
        for each in listed:
            families.setdefault(each, []).append(family)
    differences = (
        (each, "" if len(where) == len(by_family) else where[0]) for each, where in families.items()
    )
    return _Judged(tuple(differences), is_sure)


_Policies = tuple[netpolicy.Policy, ...]


def _verdicts(
    source: Member,
    target: Member,
    connection: netpolicy.Connection,
    policies: Sequence[_Policies],
    networks: Sequence[Mapping[ObjectKey, str]],
) -> tuple[evaluator.Verdict, evaluator.Verdict]:
    """The verdicts of both versions."""
    old, new = (
        evaluator.explain(*each, source.endpoint, target.endpoint, connection)
        for each in zip(policies, networks, strict=True)
    )
    return old, new


def _assumed(chosen: Sequence[_Policies]) -> Iterator[tuple[_Policies, ...]]:
    """Both versions, for ways in which unknown addresses may be in IP blocks.

    In none, in each alone and in all is enough: more blocks only allow more.
    """
    ways = []
    for direction in (netpolicy.Direction.INGRESS, netpolicy.Direction.EGRESS):
        rules = [rule for policy in chain(*chosen) for rule in policy.rules(direction)]
        places: dict[netpolicy.IPBlock, set[int]] = {}
        for index, rule in enumerate(rules):
            for peer in rule.peers or ():
                if isinstance(peer, netpolicy.IPBlock):
                    places.setdefault(peer, set()).add(index)
        # Blocks of the same rules are as good as one.
        single = {frozenset(each): frozenset([block]) for block, each in places.items()}
        several = single.values() if len(single) > 1 else ()
        ways.append([frozenset(), *several, frozenset(places)])
    for ingress, egress in product(*map(dict.fromkeys, ways)):
        yield tuple(
            tuple(
                replace(
                    policy,
                    ingress=_matching(policy.ingress, ingress),
                    egress=_matching(policy.egress, egress),
                )
                for policy in policies
            )
            for policies in chosen
        )


def _matching(
    rules: tuple[netpolicy.Rule, ...], blocks: Collection[netpolicy.IPBlock]
) -> tuple[netpolicy.Rule, ...]:
    """The rules as if the address were in the blocks."""
    return tuple(
        replace(each, peers=None) if any(peer in blocks for peer in each.peers or ()) else each
        for each in rules
    )


def _joined(differences: Iterable[_Difference]) -> list[_Difference]:
    """Intervals that follow each other and are alike become one."""
    found: list[_Difference] = []
    for each in differences:
        before = found[-1] if found else None
        if (
            before is not None
            and before.port != OTHER
            and each == before._replace(port=before.last + 1, last=each.last)
        ):
            found[-1] = before._replace(last=each.last)
        else:
            found.append(each)
    return found


def _called(member: Member) -> str:
    return f"{member.endpoint.namespace}/{member.name}"
