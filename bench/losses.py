"""Counts what peers of a moved machine lost: figures of weft's moves, beside the same by hand."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from bench.figures import Figure

INTERVAL = 0.01  # seconds between two pings
SETTLE = 1.0  # seconds after a move that still count as its
RETRANSMISSION = 200  # milliseconds: Linux's least, TCP_RTO_MIN
LATE = 60  # milliseconds that an answer may take on a busy machine
ROLES = ("source", "target", "third")
RANKS = {"p50": 0.5, "p99": 0.99, "worst": 1.0}


@dataclass(frozen=True, slots=True)
class Move:
    """One migration by `who`: which nodes, when (monotonic seconds), and the guest's standstill.

    `is_early`: the network is told at QEMU's stop, else by the guest alone. `stopped` is no later
    than that stop. Standstill is in milliseconds, as is `downtime`, which QEMU counts.
    """

    who: str
    is_early: bool
    source: str
    target: str
    begun: float
    ended: float
    stopped: float
    standstill: float
    downtime: float = 0.0


@dataclass(frozen=True)
class Pings:
    """All pings of one peer, in the order in which they were sent: when, when each was answered
    first, and how often."""

    begin: float
    every: Sequence[tuple[float, float, int]]  # seconds since `begin`

    @cached_property
    def sent(self) -> Sequence[float]:
        return [at for at, _, _ in self.every]

    @cached_property
    def arrived(self) -> Sequence[float]:
        return sorted(self.begin + at for _, at, times in self.every if times)

    def between(self, begin: float, end: float) -> Sequence[tuple[float, float, int]]:
        """Those that were sent in that time."""
        first = bisect_left(self.sent, begin - self.begin)
        return self.every[first : bisect_right(self.sent, end - self.begin)]


@dataclass(frozen=True)
class Witnesses:
    """What peers saw of one guest all the time: pings by node, and answers by TCP."""

    pings: Mapping[str, Pings]
    echoes: Sequence[float]


@dataclass(frozen=True, slots=True)
class Seen:
    """What one peer saw of one move, in milliseconds: the longest time in which no ping was sent
    that was answered, in all and before the guest stopped; and the longest in which no answer
    came. `twice` counts answers that came again."""

    role: str
    outage: float
    early: float
    unanswered: float
    twice: int


@dataclass(frozen=True, slots=True)
class Cost:
    """One move, in milliseconds: the worst peer's outage, the guest's standstill, what of it QEMU
    calls downtime, and the longest time without an answer by TCP."""

    outage: float
    standstill: float
    downtime: float
    stall: float
    twice: int
    peers: Mapping[str, Seen]

    @property
    def beyond(self) -> float:
        return self.outage - self.standstill

    @property
    def unanswered(self) -> float:
        return max(each.unanswered for each in self.peers.values())

    @property
    def late_stream(self) -> float:
        """Linux doubles a retransmission's pause, so the last one before the guest runs again is at
        most as long as the standstill before it."""
        return self.stall - (2 * self.standstill + RETRANSMISSION)


def cost(move: Move, seen: Witnesses) -> Cost:
    peers = {each.role: each for each in _seen(move, seen.pings)}
    stall = _gap(seen.echoes, move.begun, move.ended + SETTLE)
    worst = max(each.outage for each in peers.values())
    twice = sum(each.twice for each in peers.values())
    return Cost(worst, move.standstill, move.downtime, stall, twice, peers)


def figures(moves: Sequence[Move], seen: Mapping[str, Witnesses]) -> Iterable[Figure]:
    """What peers lost of each kind of move, weft's beside the same by hand."""
    for is_early, kind in ((True, "at stop"), (False, "by guest")):
        costs: dict[str, list[Cost]] = {who: [] for who in ("weft", "hand")}
        for each in moves:
            if each.is_early == is_early:
                costs[each.who].append(cost(each, seen[each.who]))
        if costs["weft"]:
            yield from _of_kind(kind, is_early, costs["weft"], costs["hand"])


def _of_kind(
    kind: str, is_early: bool, weft: Sequence[Cost], hand: Sequence[Cost]
) -> Iterable[Figure]:
    def both(
        what: str, of: Callable[[Sequence[Cost]], float], unit: str, at_most: float | None
    ) -> Figure:
        """weft's, with its limit; the peer's is only shown."""
        beside = f"by hand {of(hand):.0f}" if hand else ""
        return Figure(f"{kind}: {what}", of(weft), unit, at_most=at_most, beside=beside)

    def ranked(what: str, of: Callable[[Cost], float], **limits: float | None) -> Iterable[Figure]:
        for name, part in RANKS.items():

            def ranking(costs: Sequence[Cost], part: float = part) -> float:
                return quantile([of(each) for each in costs], part)

            yield both(f"{what}, {name}", ranking, "ms", limits.get(name))

    yield both("migrations", len, "", None)
    if is_early:
        yield from ranked("lost", lambda each: each.outage, p50=20, p99=60)
    else:
        yield from ranked("lost beyond standstill", lambda each: each.beyond, p50=15, p99=60)
    yield both("packets answered twice", lambda all_: sum(each.twice for each in all_), "", 0)
    yield from ranked("guest stood still", lambda each: each.standstill)
    yield from ranked("QEMU's downtime", lambda each: each.downtime)
    yield from ranked("no ping's answer came", lambda each: each.unanswered)
    yield from ranked("TCP without answer", lambda each: each.stall)
    yield from ranked("TCP beyond standstill and RTO", lambda each: each.late_stream, p99=LATE)
    for role in ROLES:
        yield from ranked(f"lost, {role} node's peer", _of_peer(role, "outage"))
        yield from ranked(f"lost before the stop, {role} node's peer", _of_peer(role, "early"))


def _of_peer(role: str, what: str) -> Callable[[Cost], float]:
    return lambda each: float(getattr(each.peers[role], what))


def _seen(move: Move, pings: Mapping[str, Pings]) -> Iterable[Seen]:
    """`early` is what a peer lost before the guest stopped, which no standstill explains."""
    end = move.ended + SETTLE
    for node, seen in pings.items():
        role = {move.source: "source", move.target: "target"}.get(node, "third")
        since, twice = 0.0, 0
        longest = {True: 0.0, False: 0.0}
        for sent, _, times in seen.between(move.begun, end):
            since = sent if times or not since else since
            twice += times > 1
            is_early = seen.begin + sent < move.stopped - 2 * INTERVAL
            longest[is_early] = max(longest[is_early], sent - since)
        worst, early = max(longest.values()) * 1000, longest[True] * 1000
        yield Seen(role, worst, early, _gap(seen.arrived, move.begun, end), twice)


def _gap(times: Sequence[float], begin: float, end: float) -> float:
    """The longest pause between two of these times, in milliseconds; one that goes on at the end
    counts until then."""
    inside = times[bisect_left(times, begin) : bisect_right(times, end)]
    return max(b - a for a, b in pairwise([begin, *inside, end])) * 1000


def quantile(values: Sequence[float], part: float) -> float:
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(part * len(ranked)))]
