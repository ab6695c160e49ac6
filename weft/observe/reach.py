"""Computes who reaches whom on a network by its policies, beside what was measured.

Pure: members and policies in, a matrix out. `members` finds the members; measurements come in as
what was seen of each pair.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from weft import model
from weft.model import ObjectKey
from weft.observe.workloads import Workload
from weft.policy import evaluator, netpolicy

Pair = tuple[str, str]  # ids of source and target


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


@dataclass(frozen=True, slots=True)
class PairResult:
    """A pair of members: `source` opens a connection to `target`.

    `addresses` are theirs, None if unknown. `seen` is None if the pair was not measured.
    """

    source: str
    target: str
    addresses: tuple[model.Address, model.Address] | None
    expected: bool
    reason: str
    seen: ProbeResult | None = None

    @property
    def reaches(self) -> bool | None:
        if self.seen is None or self.seen is ProbeResult.UNKNOWN:
            return None
        return self.seen is not ProbeResult.SILENT

    @property
    def differs(self) -> bool:
        return self.reaches is not None and self.reaches is not self.expected


@dataclass(frozen=True, slots=True)
class Matrix:
    """All pairs of different pods, sources in the order of `members`, and of each its targets."""

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
) -> Matrix:
    """Return the matrix that `policies` make. `networks` are the networks of NADs.

    `ipv6` prefers IPv6 addresses for pairs that have both families.
    """
    members, policies = tuple(members), tuple(policies)
    # Most policies select neither end of a pair, and hundreds of members make many pairs.
    selecting = {
        member.id: {
            number
            for number, policy in enumerate(policies)
            if evaluator.selects(policy, networks, member.endpoint)
        }
        for member in members
    }
    firsts = {member.id: _firsts(member) for member in members}
    order = _order(ipv6)
    results = []
    for source in members:
        for target in members:
            if source.pod == target.pod:
                continue
            ends = _pair(firsts[source.id], firsts[target.id], order)
            if not selecting[source.id] and not selecting[target.id]:
                results.append(PairResult(source.id, target.id, ends, True, _UNSELECTED))
                continue
            connection = question
            if ends:
                connection = netpolicy.Connection(
                    question.protocol, question.port, ends[0], ends[1]
                )
            chosen = [policies[one] for one in sorted(selecting[source.id] | selecting[target.id])]
            verdict = evaluator.explain(
                chosen, networks, source.endpoint, target.endpoint, connection
            )
            results.append(
                PairResult(source.id, target.id, ends, verdict.allowed, reason_of(verdict))
            )
    return Matrix(network, question, members, tuple(results))


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


_UNSELECTED = "no policy isolates either end"
_Kind = tuple[int, bool]  # an address's version, and whether it is link-local


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
    kind = next((kind for kind in order if kind in source and kind in target), None)
    return None if kind is None else (source[kind], target[kind])


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
