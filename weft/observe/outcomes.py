"""Makes one grid of a matrix: the outcome of each pair, and why it differs from what is expected.

Pure. Many members are grouped by workload, so that a network of hundreds stays one page: a cell
then stands for all pairs of two workloads. `render` writes the grid as text and as a picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from weft.observe import workloads
from weft.observe.reach import Matrix, Member, PairResult, ProbeResult

MOST = 30  # members that have a row each


class Outcome(StrEnum):
    """`CONNECTS`, `SILENT`: as expected. `BLOCKED`: it should connect and does not. `OPEN`: it
    connects and should not. `PARTLY`: some pairs of two workloads connect, as expected."""

    CONNECTS = "connects"
    SILENT = "does not connect"
    PARTLY = "some pairs connect"
    UNKNOWN = "not measured"
    BLOCKED = "should connect, does not"
    OPEN = "connects, should not"

    @property
    def differs(self) -> bool:
        return self in (Outcome.BLOCKED, Outcome.OPEN)


@dataclass(frozen=True, slots=True)
class Row:
    """A member, or the members of one workload; each row is a column, too."""

    label: str
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class GridEntry:
    """An entry of the grid: the outcome of its pairs, which are in the order of the matrix."""

    outcome: Outcome
    pairs: tuple[PairResult, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """Pairs of one entry that differ in the same way, for the same reason."""

    source: str
    target: str
    pairs: int
    reason: str


@dataclass(frozen=True, slots=True)
class Grid:
    """`places` are by (row, column), from 0; a pod has no entry with itself."""

    rows: tuple[Row, ...]
    places: Mapping[tuple[int, int], GridEntry]
    grouped: bool

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """The outcomes that appear, in the order of their declaration."""
        found = {place.outcome for place in self.places.values()}
        return tuple(outcome for outcome in Outcome if outcome in found)


def grid(matrix: Matrix, *, most: int = MOST) -> Grid:
    """Return the grid of a matrix, grouped by workload if it has more than `most` members."""
    labels = matrix.labels()
    rows = [Row(labels[member.id], (member,)) for member in matrix.members]
    grouped = len(rows) > most
    if grouped:
        rows = _workloads(matrix.members)
    number = {member.id: place for place, row in enumerate(rows) for member in row.members}
    found: dict[tuple[int, int], list[PairResult]] = {}
    for result in matrix.results:
        found.setdefault((number[result.source], number[result.target]), []).append(result)
    places = {
        at: GridEntry(
            outcome(results[0]) if len(results) == 1 else _summed(map(outcome, results)),
            tuple(results),
        )
        for at, results in found.items()
    }
    return Grid(tuple(rows), places, grouped)


def outcome(result: PairResult) -> Outcome:
    """The outcome of one pair; the expected one if it was not measured."""
    if result.seen is None:
        return Outcome.CONNECTS if result.expected else Outcome.SILENT
    reaches = result.reaches
    if reaches is None:
        return Outcome.UNKNOWN
    if result.differs:
        return Outcome.OPEN if reaches else Outcome.BLOCKED
    return Outcome.CONNECTS if reaches else Outcome.SILENT


def differences(grid: Grid) -> tuple[Difference, ...]:
    """The outcomes that are not as expected, with the reason to expect otherwise.

    Connections that should not exist come first.
    """
    found: dict[tuple[bool, int, int, str], int] = {}
    for (row, column), place in grid.places.items():
        for result in place.pairs if place.outcome.differs else ():
            if result.differs:
                key = (result.expected, row, column, explained(result))
                found[key] = found.get(key, 0) + result.pairs
    return tuple(
        Difference(grid.rows[row].label, grid.rows[column].label, pairs, reason)
        for (_, row, column, reason), pairs in sorted(found.items())
    )


def explained(result: PairResult) -> str:
    """What was measured of a pair, and why something else was expected, in one line."""
    seen = {ProbeResult.ANSWERED: "was answered", ProbeResult.ARRIVED: "arrived"}.get(
        result.seen or ProbeResult.UNKNOWN, "was not answered"
    )
    return f"{seen}, though {result.reason}"


def _workloads(members: Sequence[Member]) -> list[Row]:
    groups: dict[workloads.Workload, list[Member]] = {}
    for member in members:
        groups.setdefault(member.group, []).append(member)
    alone = len({key.namespace for key in groups}) < 2
    return [
        Row(
            (key.name if alone else str(key)) + (f" ×{len(group)}" if len(group) > 1 else ""),
            tuple(group),
        )
        for key, group in groups.items()
    ]


def _summed(outcomes: Iterable[Outcome]) -> Outcome:
    """The worst of several outcomes: first OPEN, then BLOCKED."""
    found = set(outcomes)
    for worst in (Outcome.OPEN, Outcome.BLOCKED):
        if worst in found:
            return worst
    known = found - {Outcome.UNKNOWN}
    if not known:
        return Outcome.UNKNOWN
    return known.pop() if len(known) == 1 else Outcome.PARTLY
