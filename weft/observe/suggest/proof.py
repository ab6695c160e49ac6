"""Holds suggested policies to the reference evaluator: what they admit, and what besides. Pure.

It judges the objects that are printed, as weft's own parser reads them back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from weft.api import policy
from weft.model import ObjectKey
from weft.observe import reach
from weft.observe.reach import Member
from weft.observe.suggest import seen as flows
from weft.observe.suggest.seen import Seen
from weft.policy import evaluator, netpolicy
from weft.policy.netpolicy import Direction

MOST = 200_000  # judgements of what is admitted besides
_SOME_PORTS = (1, 30_000, 65_535)  # of a flow of which no port is known


@dataclass(frozen=True, slots=True)
class Besides:
    """A pair that may connect, and was not seen to: labels group pods."""

    source: str
    target: str
    protocol: str
    port: int

    def __str__(self) -> str:
        return f"{self.source} > {self.target} {self.protocol}/{self.port}"


@dataclass(frozen=True, slots=True)
class Scope:
    """`besides` is None if there were too many pairs to judge. `unseen`: members that the policies
    isolate, and of which nothing was seen."""

    besides: tuple[Besides, ...] | None = ()
    unseen: tuple[str, ...] = ()


def parsed(manifests: Sequence[Mapping[str, Any]]) -> tuple[netpolicy.Policy, ...]:
    """The policies as weft reads them. Raise InvalidInput for what it would refuse."""
    return tuple(policy.parse(each) for each in manifests)


def missed(
    policies: Sequence[netpolicy.Policy],
    networks: Mapping[ObjectKey, str],
    network: str,
    seen: Sequence[Seen],
) -> tuple[Seen, ...]:
    """The connections that the policies do not admit; `networks` are those of NADs."""

    def admitted(each: Seen) -> bool:
        ends = flows.endpoints(each, network)
        ports = _SOME_PORTS if each.protocol is not None and each.port is None else (0,)
        return all(
            evaluator.allowed(policies, networks, *ends, flows.connection(each, port))
            for port in ports
        )

    return tuple(each for each in seen if not admitted(each))


def scope(
    policies: Sequence[netpolicy.Policy],
    networks: Mapping[ObjectKey, str],
    members: Sequence[Member],
    seen: Sequence[Seen],
) -> Scope:
    """What they admit besides, of the services that were seen; and whom they isolate unseen."""
    isolated = {
        direction: {
            each.id
            for each in members
            if any(
                direction in one.directions and evaluator.selects(one, networks, each.endpoint)
                for one in policies
            )
        }
        for direction in Direction
    }
    known = {end.id for each in seen for end in (each.source, each.target) if end is not None}
    unseen = sorted(set().union(*isolated.values()) - known)
    services = sorted(
        {(str(one.protocol), one.port) for one in seen if one.is_sayable and one.port is not None}
    )
    if len(members) ** 2 * len(services) > MOST:
        return Scope(None, tuple(unseen))
    were = {
        (each.source.id, each.target.id, str(each.protocol), each.port or 0)
        for each in seen
        if each.source is not None and each.target is not None
    }
    found = []
    for source in members:
        for target in members:
            guarded = (
                source.id in isolated[Direction.EGRESS] or target.id in isolated[Direction.INGRESS]
            )
            if source.pod == target.pod or not guarded:
                continue
            for protocol, port in services:
                one = (source.id, target.id, protocol, port)
                if one not in were and _allowed(policies, networks, source, target, one):
                    found.append(Besides(*one))
    return Scope(tuple(found), tuple(unseen))


def _allowed(
    policies: Sequence[netpolicy.Policy],
    networks: Mapping[ObjectKey, str],
    source: Member,
    target: Member,
    service: tuple[str, str, str, int],
) -> bool:
    addresses = reach.addresses(source, target) or (None, None)
    connection = netpolicy.Connection(netpolicy.Protocol(service[2]), service[3], *addresses)
    return evaluator.allowed(policies, networks, source.endpoint, target.endpoint, connection)
