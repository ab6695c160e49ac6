"""Writes a matrix for a terminal: lines of spans with a style each; no colours here.

One grid shows what connects, what does not, and what differs from the policies; reasons are below.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from weft.observe import outcomes
from weft.observe.outcomes import Difference, Grid, Outcome
from weft.observe.reach import Matrix
from weft.observe.render import grid_text, lettering
from weft.observe.render.grid_text import Line, Span
from weft.policy import netpolicy

SIGNS = {
    Outcome.CONNECTS: "●",
    Outcome.SILENT: "·",
    Outcome.PARTLY: "◐",
    Outcome.UNKNOWN: "?",
    Outcome.BLOCKED: "x",
    Outcome.OPEN: "!",
}
STYLES = {
    Outcome.CONNECTS: "good",
    Outcome.SILENT: "silent",
    Outcome.PARTLY: "good",
    Outcome.UNKNOWN: "unknown",
    Outcome.BLOCKED: "warn",
    Outcome.OPEN: "bad",
}
MAX_DIFFERENCES = 20  # differences that are listed


def probe_name(question: netpolicy.Connection) -> str:
    """The connection in short: "ping" or "tcp/80"."""
    return f"{question.protocol.lower()}/{question.port}" if question.protocol else "ping"


def heading(matrix: Matrix) -> str:
    """What was tried, in one line."""
    return f"{matrix.network}: {probe_name(matrix.question)}, from rows to columns"


def summary(matrix: Matrix) -> str:
    """How many pairs connect, and whether that is as expected; one line."""
    if not matrix.results:
        return f"{lettering.counted(len(matrix.members), 'member')}: there is nobody to reach"
    pairs = lettering.counted(sum(result.pairs for result in matrix.results), "pair")
    if not matrix.is_measured:
        allowed = sum(result.pairs for result in matrix.results if result.expected)
        return f"{allowed} of {pairs} may connect; nothing was measured"
    reaching = sum(bool(result.reaches) for result in matrix.results)
    unknown = sum(result.reaches is None for result in matrix.results)
    if unknown == len(matrix.results):
        return f"none of {pairs} could be measured"
    if unknown:
        pairs = f"{len(matrix.results) - unknown} measured {pairs.partition(' ')[2]}"
    parts = [f"{reaching} of {pairs} connect"]
    parts += [f"{len(matrix.differing)} not as expected" if matrix.differing else "as expected"]
    parts += [f"{unknown} could not be measured"] if unknown else []
    return ", ".join(parts)


def lines(matrix: Matrix, width: int) -> Iterator[Line]:
    """Heading, grid, legend, and what differs, each line within `width` where names allow it."""
    yield (Span(heading(matrix), "title"),)
    yield ()
    if not matrix.results:
        return
    grid = outcomes.grid(matrix)
    yield from _grid(grid, width)
    entries = [(sign(outcome), outcome.value) for outcome in grid.outcomes]
    yield from grid_text.legend(entries, width)
    yield from _reasons(outcomes.differences(grid), width)


def _grid(grid: Grid, width: int) -> Iterator[Line]:
    names = [lettering.printable(row.label) for row in grid.rows]
    signs = {at: sign(place.outcome) for at, place in grid.places.items()}
    yield from grid_text.lines([Span(name) for name in names], names, signs, width)
    yield ()


def sign(outcome: Outcome) -> Span:
    """A cell's sign for an outcome."""
    return Span(SIGNS[outcome], STYLES[outcome])


def _reasons(differences: Sequence[Difference], width: int) -> Iterator[Line]:
    for place, one in enumerate(differences):
        yield from [()] if place == 0 else []
        if place == MAX_DIFFERENCES:
            yield (
                Span(f"and {len(differences) - MAX_DIFFERENCES} more; -o json lists all", "muted"),
            )
            return
        several = f", {one.pairs} pairs" if one.pairs > 1 else ""
        pair = lettering.printable(f"{one.source} > {one.target}{several}")
        yield (Span(pair, "bad"),)
        reason = lettering.printable(one.reason)
        for line in textwrap.wrap(reason, max(width - 2, 20), break_on_hyphens=False):
            yield (Span(f"  {line}"),)
