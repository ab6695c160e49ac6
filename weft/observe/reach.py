"""Computes who reaches whom on a network by its policies, beside what was measured.

Pure: members and policies in, a matrix out. `members` finds the members; measurements come in as
what was seen of each pair.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from weft import model
from weft.model import ObjectKey
from weft.observe import workloads
from weft.observe.workloads import Workload
from weft.policy import evaluator, netpolicy

Pair = tuple[str, str]  # ids of source and target
_UNSELECTED = "no policy isolates either end"
_Kind = tuple[int, bool]  # an address's version, and whether it is link-local


class ProbeResult(StrEnum):
    """The result of a probe. `ARRIVED`: the packet arrived, and the target does not answer of
    itself (UDP)."""

    ANSWERED = "answered"
    ARRIVED = "arrived"
    SILENT = "silent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Member:
    """One attachment to the network. `id` is "<namespace>/<pod>", with "@<interface>" after it
    where a pod is on the network more than once; `machine` is the virtual machine in the pod, and
    `workload` what controls it, if anything does."""

    id: str
    node: str
    interface: str
    mac: str
    endpoint: netpolicy.Endpoint
    machine: str = ""
    running: bool = True
    workload: Workload | None = None

    @property
    def name(self) -> str:
        _, at, interface = self.id.partition("@")
        return (self.machine or self.endpoint.pod) + at + interface

    @property
    def pod(self) -> str:
        return f"{self.endpoint.namespace}/{self.endpoint.pod}"

    @property
    def group(self) -> Workload:
        """What it is grouped by: what controls it, else the workload that its name tells."""
        of = self.endpoint
        return self.workload or workloads.of(of.namespace, of.pod, self.machine)


@dataclass(frozen=True, slots=True)
class PairResult:
    """A pair of members: `source` opens a connection to `target`.

    `addresses` are theirs, None if unknown. `seen` is None if the pair was not measured. `pairs`:
    how many it stands for, if pairs of the same workloads were merged.
    """

    source: str
    target: str
    addresses: tuple[model.Address, model.Address] | None
    expected: bool
    reason: str
    seen: ProbeResult | None = None
    pairs: int = 1

    @property
    def reaches(self) -> bool | None:
        if self.seen is None or self.seen is ProbeResult.UNKNOWN:
            return None
        return self.seen is not ProbeResult.SILENT

    @property
    def differs(self) -> bool:
        if self.seen is None:  # as nearly all that pages show
            return False
        return self.reaches is not None and self.reaches is not self.expected


@dataclass(frozen=True, slots=True)
class Matrix:
    """All pairs of different pods, sources in the order of `members`, and of each its targets;
    or merged ones."""

    network: str
    question: netpolicy.Connection
    members: tuple[Member, ...]
    results: tuple[PairResult, ...]

    @property
    def differing(self) -> tuple[PairResult, ...]:
        return tuple(result for result in self.results if result.differs)

    @property
    def is_measured(self) -> bool:
        return any(result.seen is not None for result in self.results)

    def by_pair(self) -> dict[Pair, PairResult]:
        return {(result.source, result.target): result for result in self.results}

    def labels(self) -> dict[str, str]:
        """The label of each member by id: its name, with the namespace if there are several."""
        alone = len({member.endpoint.namespace for member in self.members}) < 2
        return {
            member.id: member.name if alone else f"{member.endpoint.namespace}/{member.name}"
            for member in self.members
        }


def expect(
    network: str,
    members: Iterable[Member],
    policies: Iterable[netpolicy.Policy],
    networks: Mapping[ObjectKey, str],
    question: netpolicy.Connection,
    *,
    ipv6: bool = False,
    merge: bool = False,
) -> Matrix:
    """Return the matrix that `policies` make. `networks` are the networks of NADs.

    `ipv6` prefers IPv6 addresses for pairs that have both families. `merge`: one result for all
    pairs of two workloads that have one verdict for one reason, with their number.
    """
    judge = _Judge(members, policies, networks, question, _order(ipv6))
    results = judge.merged() if merge else judge.each()
    return Matrix(network, question, judge.members, tuple(results))


@dataclass(frozen=True, slots=True)
class _End:
    """A member as policies see it: those of one `kind` are all the same to them. `selecting`: the
    numbers of policies that select it."""

    member: Member
    pod: str
    firsts: Mapping[_Kind, model.Address]
    selecting: frozenset[int]
    kind: int


_Outcome = tuple[bool, str]  # what is expected, and the reason


class _Verdict(NamedTuple):
    """`family`: the kind of both addresses, None without any of one kind."""

    outcome: _Outcome
    family: _Kind | None


class _Judge:
    """Judges pairs of members. Hundreds of members make many pairs; to the few policies that
    select any of them, most are like many others, and are judged once."""

    def __init__(
        self,
        members: Iterable[Member],
        policies: Iterable[netpolicy.Policy],
        networks: Mapping[ObjectKey, str],
        question: netpolicy.Connection,
        order: Iterable[_Kind],
    ) -> None:
        self.members = tuple(members)
        there = {member.endpoint.network for member in self.members}
        self._policies = [each for each in policies if each.networks(networks) & there]
        self._networks, self._question, self._order = networks, question, tuple(order)
        selecting = self._selecting()
        rules = [
            rule
            for number in sorted(frozenset[int]().union(*selecting))
            for rule in (*self._policies[number].ingress, *self._policies[number].egress)
        ]
        self._peers = tuple(dict.fromkeys(peer for rule in rules for peer in rule.peers or ()))
        ports = (port for rule in rules for port in rule.ports or ())
        self._has_names = any(isinstance(port.port, str) for port in ports)
        self._kinds: dict[Hashable, int] = {}
        self._ends = tuple(map(self._end, self.members, selecting))
        self._verdicts: dict[tuple[int, int], _Verdict] = {}

    def each(self) -> Iterator[PairResult]:
        """A result for each pair of different pods."""
        for source in self._ends:
            for target in self._ends:
                if source.pod != target.pod:
                    yield _result(source, target, self._verdict(source, target))

    def merged(self) -> Iterator[PairResult]:
        """A result for all pairs of two workloads with one verdict and reason."""
        rows: dict[Workload, dict[int, list[_End]]] = {}
        for end in self._ends:
            rows.setdefault(end.member.group, {}).setdefault(end.kind, []).append(end)
        alike = {workload: _only(ends) for workload, ends in rows.items()}
        for workload, sources in rows.items():
            some = alike[workload]
            for other, targets in rows.items():
                others = alike[other]
                if some and others and workload is not other:
                    verdict = self._verdict(some[0], others[0])
                    yield _result(some[0], others[0], verdict, len(some) * len(others))
                else:
                    yield from self._summed(sources, targets, is_same=workload is other)

    def _summed(
        self, sources: Mapping[int, list[_End]], targets: Mapping[int, list[_End]], *, is_same: bool
    ) -> Iterator[PairResult]:
        counts: dict[_Outcome, int] = {}
        firsts: dict[_Outcome, tuple[_End, _End]] = {}
        for some in sources.values():
            for others in targets.values():
                source, target, pairs = some[0], others[0], len(some) * len(others)
                if is_same:  # as all attachments of a pod are
                    each = ((one, two) for one in some for two in others if one.pod != two.pod)
                    source, target = next(each, (source, target))
                    held = Counter(one.pod for one in others)
                    pairs -= sum(held[one.pod] for one in some)
                if pairs:
                    outcome = self._verdict(source, target).outcome
                    counts[outcome] = counts.get(outcome, 0) + pairs
                    firsts.setdefault(outcome, (source, target))
        for outcome, ends in firsts.items():
            yield _result(*ends, self._verdict(*ends), counts[outcome])

    def _selecting(self) -> list[frozenset[int]]:
        """The numbers of the policies that select each member."""
        known: dict[Hashable, frozenset[int]] = {}
        found = []
        for member in self.members:
            endpoint = member.endpoint
            key = endpoint.network, endpoint.namespace, frozenset(endpoint.labels.items())
            if key not in known:
                known[key] = frozenset(
                    number
                    for number, policy in enumerate(self._policies)
                    if evaluator.selects(policy, self._networks, endpoint)
                )
            found.append(known[key])
        return found

    def _end(self, member: Member, selecting: frozenset[int]) -> _End:
        endpoint, firsts = member.endpoint, _firsts(member)
        matched = tuple(
            tuple(evaluator.is_peer(peer, endpoint, address) for address in firsts.values())
            if isinstance(peer, netpolicy.IPBlock)
            else evaluator.is_peer(peer, endpoint, None)
            for peer in self._peers
        )
        names = frozenset(endpoint.named_ports.items()) if self._has_names else None
        key = endpoint.network, selecting, tuple(firsts), matched, names
        kind = self._kinds.setdefault(key, len(self._kinds))
        return _End(member, member.pod, firsts, selecting, kind)

    def _verdict(self, source: _End, target: _End) -> _Verdict:
        kinds = source.kind, target.kind
        found = self._verdicts.get(kinds)
        if found is None:
            found = self._verdicts[kinds] = self._judged(source, target)
        return found

    def _judged(self, source: _End, target: _End) -> _Verdict:
        family = _common(source.firsts, target.firsts, self._order)
        # Most policies select neither end of a pair.
        selecting = source.selecting | target.selecting
        if not selecting:
            return _Verdict((True, _UNSELECTED), family)
        connection = self._question
        if family is not None:
            ends = source.firsts[family], target.firsts[family]
            connection = netpolicy.Connection(connection.protocol, connection.port, *ends)
        chosen = [self._policies[one] for one in sorted(selecting)]
        endpoints = source.member.endpoint, target.member.endpoint
        verdict = evaluator.explain(chosen, self._networks, *endpoints, connection)
        return _Verdict((verdict.allowed, reason_of(verdict)), family)


def _only(ends: Mapping[int, list[_End]]) -> list[_End]:
    """The ends of a workload that are all of one kind; none if they are not."""
    return next(iter(ends.values())) if len(ends) == 1 else []


def _result(source: _End, target: _End, verdict: _Verdict, pairs: int = 1) -> PairResult:
    (expected, reason), family = verdict
    ends = None if family is None else (source.firsts[family], target.firsts[family])
    return PairResult(source.member.id, target.member.id, ends, expected, reason, pairs=pairs)


def measured(matrix: Matrix, seen: Mapping[Pair, ProbeResult]) -> Matrix:
    """Return the matrix with what was seen of each pair; other pairs are UNKNOWN."""
    results = (
        replace(result, seen=seen.get((result.source, result.target), ProbeResult.UNKNOWN))
        for result in matrix.results
    )
    return replace(matrix, results=tuple(results))


def addresses(
    source: Member, target: Member, *, ipv6: bool = False
) -> tuple[model.Address, model.Address] | None:
    """An address of each, of one family: IPv4 unless `ipv6`, link-local ones last."""
    return _pair(_firsts(source), _firsts(target), _order(ipv6))


def families(source: Member, target: Member) -> tuple[tuple[model.Address, model.Address], ...]:
    """An address of each in each family that both have; link-local ones if they have no others."""
    ends = _firsts(source), _firsts(target)
    for link_local in (False, True):
        listed = tuple(_pair(*ends, ((version, link_local),)) for version in (4, 6))
        if any(listed):
            return tuple(each for each in listed if each is not None)
    return ()


def _order(ipv6: bool) -> tuple[_Kind, ...]:
    first = ((6, False), (4, False)) if ipv6 else ((4, False), (6, False))
    return (*first, (6, True), (4, True))


def _firsts(member: Member) -> dict[_Kind, model.Address]:
    """The first address of each kind."""
    found: dict[_Kind, model.Address] = {}
    for address in member.endpoint.addresses:
        found.setdefault((address.version, address.is_link_local), address)
    return found


def _pair(
    source: Mapping[_Kind, model.Address],
    target: Mapping[_Kind, model.Address],
    order: Iterable[_Kind],
) -> tuple[model.Address, model.Address] | None:
    kind = _common(source, target, order)
    return None if kind is None else (source[kind], target[kind])


def _common(
    source: Mapping[_Kind, model.Address],
    target: Mapping[_Kind, model.Address],
    order: Iterable[_Kind],
) -> _Kind | None:
    """The first kind in the order of which both have an address."""
    return next((kind for kind in order if kind in source and kind in target), None)


def reason_of(verdict: evaluator.Verdict) -> str:
    """The reason of a verdict in one line: the policies that isolate an end, or the rule that
    allows."""
    reasons = []
    for judgement in (verdict.egress, verdict.ingress):
        end = "source" if judgement.direction is netpolicy.Direction.EGRESS else "target"
        if judgement.allowing:
            policy, rule = judgement.allowing[0]
            place = f"spec.{judgement.direction.lower()}[{rule.index}]"
            reasons.append(f"{policy.key} {place} allows it at the {end}")
        elif judgement.isolating:
            keys = ", ".join(str(policy.key) for policy in judgement.isolating)
            reasons.append(f"no rule of {keys} allows it at the {end}")
    return "; ".join(reasons) or _UNSELECTED
