"""Joins what nodes have seen to records of flows. Pure.

A connection is tracked at the source's port and at the target's, often on two nodes: that is one
flow. One that is tracked at the source's port alone either got no further or is too new to tell;
what dropped packets of that kind, and else the declared policies, then decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from weft.observe.flows.judge import Judge, Opinion, in_direction
from weft.observe.flows.places import Place, Places
from weft.observe.flows.record import Evidence, FlowRecord, Verdict
from weft.observe.flows.sighting import Look, Sighting

_Pair = tuple[str, str, str]  # network, ids of source and target


@dataclass(slots=True)
class _Flow:
    """The sightings of one flow, by node."""

    network: str
    source: Place
    target: Place
    protocol: str
    port: int | None
    is_directed: bool
    seen: list[tuple[str, Sighting]] = field(default_factory=list)

    @property
    def pair(self) -> _Pair:
        return self.network, self.source.id, self.target.id

    @property
    def passed(self) -> list[Sighting]:
        return [each for _, each in self.seen if each.passes is not False]

    @property
    def dropped(self) -> list[Sighting]:
        return [each for _, each in self.seen if each.passes is False]

    @property
    def arrives(self) -> bool:
        """Tracked where the target is: at its port, or at two ports of which it is one."""
        passed = self.passed
        ports = {each.at for each in passed if each.at}
        return any(each.passes for each in passed) or (self.is_strange and len(ports) > 1)

    @property
    def is_strange(self) -> bool:
        """Whether weft has given neither address to anybody."""
        return not self.source.pod and not self.target.pod

    def covers(self, other: _Flow) -> bool:
        """Whether what the switch looked at of this flow is true of the other too."""
        return self.protocol in ("", other.protocol) and self.port in (None, other.port)


@dataclass(frozen=True, slots=True)
class Joined:
    """Flows, in no order. How many there are beside of which nobody knows whether they arrive:
    `strange` between addresses that are not weft's, `unjudged` where policies may decide that were
    not read."""

    records: tuple[FlowRecord, ...]
    strange: int = 0
    unjudged: int = 0


def join(looks: Mapping[str, Look], places: Places, judge: Judge) -> Joined:
    """The flows that these nodes have seen."""
    flows, strange = [], 0
    for each in _grouped(looks, places):
        if each.is_strange and not each.dropped and not each.arrives:
            strange += 1
        else:
            flows.append(each)
    unjudged: list[_Flow] = []
    by_pair: dict[_Pair, list[_Flow]] = {}
    for flow in flows:
        by_pair.setdefault(flow.pair, []).append(flow)
    made: list[FlowRecord] = []
    for pair, together in by_pair.items():
        back = by_pair.get((pair[0], pair[2], pair[1]), [])
        made += _of_pair(together, back, judge, unjudged)
    return Joined(tuple(made), strange, len(unjudged))


def _grouped(looks: Mapping[str, Look], places: Places) -> list[_Flow]:
    found: dict[tuple[Any, ...], _Flow] = {}
    for node, look in sorted(looks.items()):
        for each in look.sightings:
            source, target = (
                places.of(each.network, side, each.family, is_checked=not each.stage)
                for side in (each.source, each.target)
            )
            if not each.is_directed and target.id < source.id:
                source, target = target, source
            key = (
                *(each.network, source.id, target.id, each.protocol, each.port),
                *(each.is_directed, bool(each.more)),
            )
            flow = found.setdefault(
                key,
                _Flow(each.network, source, target, each.protocol, each.port, each.is_directed),
            )
            flow.seen.append((node, each))
    return list(found.values())


def _of_pair(
    flows: Sequence[_Flow], back: Sequence[_Flow], judge: Judge, unjudged: list[_Flow]
) -> Iterable[FlowRecord]:
    """The records of all flows from one end to another; `back`: of those in the other direction.

    Those that nobody can judge are added to `unjudged`.
    """
    directed = [each for each in flows if each.is_directed]
    is_tracked = any(each.is_directed and each.passed for each in (*flows, *back))
    has_protocol = any(each.passed and each.protocol for each in flows if not each.is_directed)
    denied: list[_Flow] = []
    records: list[FlowRecord] = []
    drops = [each for each in directed if each.dropped and not each.passed]
    for flow in flows:
        opinion = judge.opinion(flow.network, flow.source, flow.target, flow.protocol, flow.port)
        if not flow.is_directed:
            # The same packets are tracked elsewhere, where more is known of them, or another
            # switch had to look at their protocol.
            is_known = is_tracked or (not flow.protocol and has_protocol)
            if flow.passed and not is_known and not _is_stopped(flow, (*flows, *back)):
                records.append(_record(flow, flow.passed, Verdict.ALLOWED, Opinion()))
            if flow.dropped:
                records.append(_denied(flow, flow.dropped, opinion))
            continue
        if flow.arrives:
            records.append(_record(flow, flow.passed, Verdict.ALLOWED, opinion))
            if flow.dropped:
                records.append(_denied(flow, flow.dropped, opinion))
        elif flow.passed:
            stopping = [each for each in drops if each.covers(flow)]
            dropped = [*flow.dropped, *(one for each in stopping for one in each.dropped)]
            if not dropped and not judge.is_whole(flow.source, flow.target):
                unjudged.append(flow)
            elif dropped or not opinion.allows:
                denied.append(flow)
                records.append(_denied(flow, [*flow.passed, *dropped], opinion))
            else:
                records.append(_record(flow, flow.passed, Verdict.ALLOWED, opinion))
    for flow in drops:
        # What is known of single connections says more than a flow that leaves the port open.
        if not any(flow.covers(each) for each in denied):
            opinion = judge.opinion(
                flow.network, flow.source, flow.target, flow.protocol, flow.port
            )
            records.append(_denied(flow, flow.dropped, opinion))
    return records


def _is_stopped(flow: _Flow, others: Sequence[_Flow]) -> bool:
    """Whether packets that the source's node has passed on untracked are dropped at the target's:
    then this one does not pass any."""
    drops = [each for each in others if each.dropped]
    if not any(each.covers(flow) or flow.covers(each) for each in drops):
        return False
    passing = {node for node, each in flow.seen if each.passes is not False}
    return not {flow.source.end.node, flow.target.end.node} <= passing


def _denied(flow: _Flow, seen: Sequence[Sighting], opinion: Opinion) -> FlowRecord:
    direction = next((each.direction for each in seen if each.direction), "")
    stage = next((each.stage for each in seen if each.stage), "")
    if direction:
        policies = in_direction(opinion.denying or opinion.isolating, direction)
    else:
        policies = () if stage else opinion.denying
    reason = ""
    if not policies:
        reason = stage or "no policy of now: see weft explain"
    elif direction and not in_direction(opinion.denying, direction):
        reason = "the declared policies allow it now"
    record = _record(flow, seen, Verdict.DENIED, Opinion())
    reason = "; ".join(filter(None, (reason, record.reason)))
    return replace(record, policies=policies, reason=reason)


def _record(
    flow: _Flow, seen: Sequence[Sighting], verdict: Verdict, opinion: Opinion
) -> FlowRecord:
    own = [(node, each) for node, each in flow.seen if each in seen] or flow.seen
    notes = [flow.source.note, flow.target.note]
    more = max((each.more for each in seen), default=0)
    if more:
        notes.append(f"{more} more ports or sources are summed up")
    if verdict is Verdict.ALLOWED and not opinion.allows:
        notes.append("the declared policies deny it now")
    elif verdict is Verdict.ALLOWED and flow.protocol == "TCP" and not flow.arrives:
        notes.append("no answer was seen")
    firsts = [each.first for each in seen if each.first]
    return FlowRecord(
        network=flow.network,
        source=flow.source.end,
        target=flow.target.end,
        verdict=verdict,
        protocol=flow.protocol,
        port=flow.port,
        is_directed=flow.is_directed,
        policies=opinion.allowing if verdict is Verdict.ALLOWED else (),
        reason="; ".join(filter(None, notes)),
        nodes=tuple(sorted({node for node, _ in own})),
        first_seen=time(min(firsts, default=0.0)),
        last_seen=time(max((each.last for each in seen), default=0.0)),
        connections=_largest(own, "connections"),
        packets=_largest(own, "packets"),
        bytes=_largest(own, "bytes"),
        evidence=tuple(sorted({each.evidence for each in seen})),
        more=more,
    )


def _largest(seen: Iterable[tuple[str, Sighting]], name: str) -> int | None:
    """The largest count of any place that counts: each sees the same packets."""
    sums: dict[tuple[str, str, Evidence], int] = {}
    for node, each in seen:
        count = getattr(each, name)
        if count is not None:
            place = node, each.at, each.evidence
            sums[place] = sums.get(place, 0) + count
    return max(sums.values(), default=None)


def time(seconds: float) -> str:
    """RFC 3339 in UTC; "" for 0."""
    if not seconds:
        return ""
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
