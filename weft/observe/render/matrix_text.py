"""How does a matrix look in a terminal? Lines of spans with a style each; no colours here.

One grid: what connects, what does not, and what differs from what policies say. Reasons stand below
it. Where names are too long to stand above columns, numbers stand for them; a grid that is wider
than the terminal is continued below.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from weft.observe import outcomes
from weft.observe.outcomes import Difference, Grid, Outcome
from weft.observe.reach import Matrix
from weft.observe.render import lettering
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
    Outcome.CONNECTS: "connects",
    Outcome.SILENT: "silent",
    Outcome.PARTLY: "connects",
    Outcome.UNKNOWN: "unknown",
    Outcome.BLOCKED: "differs",
    Outcome.OPEN: "differs",
}
LONGEST = 8  # of names above columns
SHOWN = 20  # differences that are told
LEAST, WIDEST = 14, 24  # characters of a row's name that are kept where there is no room for all
PITCH = 2  # characters between columns that have numbers


@dataclass(frozen=True, slots=True)
class Span:
    """`style` is one of title, connects, silent, unknown, differs, muted, or nothing."""

    text: str
    style: str = ""


Line = tuple[Span, ...]


def asked(question: netpolicy.Connection) -> str:
    """The question in one word: ping, tcp/80."""
    return f"{question.protocol.lower()}/{question.port}" if question.protocol else "ping"


def heading(matrix: Matrix) -> str:
    return f"{matrix.network}: {asked(matrix.question)}, from rows to columns"


def summary(matrix: Matrix) -> str:
    """How many pairs connect, and whether that is as expected; one line."""
    if not matrix.cells:
        return f"{lettering.counted(len(matrix.members), 'member')}: there is nobody to reach"
    pairs = lettering.counted(len(matrix.cells), "pair")
    if not matrix.is_measured:
        allowed = sum(cell.expected for cell in matrix.cells)
        return f"{allowed} of {pairs} may connect; nothing was measured"
    reaching = sum(bool(cell.reaches) for cell in matrix.cells)
    unknown = sum(cell.reaches is None for cell in matrix.cells)
    if unknown == len(matrix.cells):
        return f"none of {pairs} could be measured"
    if unknown:
        pairs = f"{len(matrix.cells) - unknown} measured {pairs.partition(' ')[2]}"
    said = [f"{reaching} of {pairs} connect"]
    said += [f"{len(matrix.differing)} not as expected" if matrix.differing else "as expected"]
    said += [f"{unknown} could not be measured"] if unknown else []
    return ", ".join(said)


def lines(matrix: Matrix, width: int) -> Iterator[Line]:
    """Heading, grid, legend, and what differs, each line within `width` where names allow it."""
    yield (Span(heading(matrix), "title"),)
    yield ()
    if not matrix.cells:
        return
    grid = outcomes.grid(matrix)
    yield from _grid(grid, width)
    yield from _legend(grid, width)
    yield from _reasons(outcomes.differences(grid), width)


def _grid(grid: Grid, width: int) -> Iterator[Line]:
    names = [lettering.printable(row.label) for row in grid.rows]
    longest = max(map(len, names))
    heads, pitch = names, max(longest + 1, 3)
    if longest > LONGEST or (longest + 1) + pitch * len(names) > width:
        heads, pitch = [str(number) for number in range(1, len(names) + 1)], PITCH
    rows = _rows(names, heads, width, pitch)
    listed = rows == heads and heads != names
    margin = max(map(len, rows)) + 1
    most = max(1, (width - margin) // pitch)
    for first in range(0, len(names), most):
        columns = range(first, min(first + most, len(names)))
        if first:
            yield ()
        yield from _heads([heads[column] for column in columns], margin, pitch)
        for row, label in enumerate(rows):
            spans = [Span(f"{label:<{margin}}")]
            for column in columns:
                place = grid.places.get((row, column))
                sign = SIGNS[place.outcome] if place else ""
                style = STYLES[place.outcome] if place else ""
                spans.append(Span(f"{sign:>{pitch}}", style))
            yield tuple(spans)
    yield ()
    if listed:
        yield from _names(names, heads, width)
        yield ()


def _names(names: Sequence[str], heads: Sequence[str], width: int) -> Iterator[Line]:
    """Which name each number stands for, in as many columns as fit."""
    digits = len(heads[-1])
    room = min(max(map(len, names)), width - digits - 1)
    columns = max(1, (width + 3) // (digits + 1 + room + 3))
    tall = -(-len(names) // columns)
    for line in range(tall):
        parts = [
            f"{heads[at]:>{digits}} {cut(names[at], room):<{room}}"
            for at in range(line, len(names), tall)
        ]
        yield (Span("   ".join(parts).rstrip(), "muted"),)


def _rows(names: Sequence[str], heads: Sequence[str], width: int, pitch: int) -> list[str]:
    """What stands at the rows: names, with their numbers if these stand above the columns; numbers
    alone where names would be cut beyond recognition."""
    if heads == names:
        return list(names)
    digits = len(heads[-1])
    room = width - digits - 2 - pitch * len(names)
    if room < LEAST and digits + 1 + pitch * len(names) <= width:
        return list(heads)
    if room < LEAST:  # the grid is continued below, so there is room for names
        room = min(max(width - digits - 2 - 4 * pitch, LEAST), WIDEST)
    numbered = zip(heads, names, strict=True)
    return [f"{head:>{digits}} {cut(name, room)}" for head, name in numbered]


def cut(words: str, room: int) -> str:
    """At most `room` characters. Names differ at their ends more often than in the middle."""
    if len(words) <= room:
        return words
    tail = (room - 1) // 2
    return words[: room - 1 - tail] + "…" + words[len(words) - tail :]


def _heads(heads: Sequence[str], margin: int, pitch: int) -> Iterator[Line]:
    """Names on one line; numbers stand upright, so that columns may be narrow."""
    if all(len(head) < pitch for head in heads):
        yield (Span(" " * margin + "".join(f"{head:>{pitch}}" for head in heads), "muted"),)
        return
    tall = max(map(len, heads))
    for level in range(tall):
        digits = (f"{head:>{tall}}"[level] for head in heads)
        yield (Span(" " * margin + "".join(f"{digit:>{pitch}}" for digit in digits), "muted"),)


def _legend(grid: Grid, width: int) -> Iterator[Line]:
    """The signs that appear, as many on a line as fit."""
    spans: list[Span] = []
    taken = 0
    for outcome in grid.outcomes:
        needed = len(outcome.value) + 2 + (3 if spans else 0)
        if spans and taken + needed > width:
            yield tuple(spans)
            spans, taken, needed = [], 0, needed - 3
        spans += [Span("   ")] if spans else []
        spans += [Span(SIGNS[outcome], STYLES[outcome]), Span(f" {outcome.value}")]
        taken += needed
    yield tuple(spans)


def _reasons(differences: Sequence[Difference], width: int) -> Iterator[Line]:
    for place, one in enumerate(differences):
        yield from [()] if place == 0 else []
        if place == SHOWN:
            yield (Span(f"and {len(differences) - SHOWN} more; -o json tells all", "muted"),)
            return
        several = f", {one.pairs} pairs" if one.pairs > 1 else ""
        pair = lettering.printable(f"{one.source} > {one.target}{several}")
        yield (Span(pair, "differs"),)
        said = lettering.printable(one.reason)
        for line in textwrap.wrap(said, max(width - 2, 20), break_on_hyphens=False):
            yield (Span(f"  {line}"),)
