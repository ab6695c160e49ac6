"""How does a matrix look in a terminal? Lines of words with a style each; no colours here.

Two grids, expected and measured, beside each other where the width allows, else one above the
other; a grid that is wider than that is continued below. What differs is told below the grids.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from weft.observe.reach import Cell, Matrix, Seen
from weft.observe.render import lettering
from weft.policy import words

REACHES, SILENT, UNKNOWN, ITSELF, DIFFERS = "●", "·", "?", " ", "!"
LONGEST = 8  # of names above columns; longer ones stand at the rows alone, with a number
SHOWN = 20  # differing pairs that are told in full
_GAP = 6


@dataclass(frozen=True, slots=True)
class Span:
    """`style` is one of title, reaches, silent, unknown, differs, muted, or nothing."""

    words: str
    style: str = ""


Line = tuple[Span, ...]


def asked(question: words.Connection) -> str:
    """The question in one word: ping, tcp/80."""
    return f"{question.protocol.lower()}/{question.port}" if question.protocol else "ping"


def counted(matrix: Matrix) -> str:
    """What there is to say of it in one line."""
    pairs = lettering.counted(len(matrix.cells), "pair")
    if not matrix.is_measured:
        allowed = sum(cell.expected for cell in matrix.cells)
        return f"{allowed} of {pairs} may connect; nothing was measured"
    reaching = sum(bool(cell.reaches) for cell in matrix.cells)
    unknown = sum(cell.reaches is None for cell in matrix.cells)
    said = [f"{reaching} of {pairs} connect"]
    said += [f"{len(matrix.differing)} not as expected" if matrix.differing else "as expected"]
    said += [f"{unknown} not measured"] if unknown else []
    return ", ".join(said)


def written(matrix: Matrix, width: int) -> Iterator[Line]:
    """The whole of it: heading, grids, legend, and what differs."""
    yield (Span(f"{matrix.network}: {asked(matrix.question)}, from rows to columns", "title"),)
    yield ()
    if not matrix.cells:
        members = lettering.counted(len(matrix.members), "member")
        yield (Span(f"{members}: there is nobody to reach"),)
        return
    grids = [_Grid(matrix, measured=False)]
    if matrix.is_measured:
        grids.append(_Grid(matrix, measured=True))
    columns = max(1, (width - grids[0].margin) // grids[0].pitch)
    whole = len(matrix.members)
    if columns >= whole:
        beside = [grid.lines(0, whole) for grid in grids]
        if sum(grid.width(whole) for grid in grids) + _GAP * (len(grids) - 1) <= width:
            yield from _beside(beside)
        else:
            for lines in beside:
                yield from lines
                yield ()
    else:
        for grid in grids:
            for first in range(0, whole, columns):
                yield from grid.lines(first, min(first + columns, whole))
                yield ()
    yield from _legend(matrix)
    yield from _differences(matrix)


def _beside(grids: Sequence[list[Line]]) -> Iterator[Line]:
    widest = [max(sum(len(span.words) for span in line) for line in grid) for grid in grids]
    for row in zip(*grids, strict=True):
        spans: list[Span] = []
        for width, line in zip(widest, row, strict=True):
            spans += line
            spans.append(Span(" " * (width - sum(len(span.words) for span in line) + _GAP)))
        yield tuple(spans[:-1])
    yield ()


class _Grid:
    """One of the two; a slice of its columns at a time."""

    def __init__(self, matrix: Matrix, *, measured: bool) -> None:
        self._matrix = matrix
        self._measured = measured
        self._pairs = matrix.by_pair()
        labels = matrix.labels()
        self._rows = [lettering.printable(labels[member.id]) for member in matrix.members]
        self._heads = self._rows
        if max(map(len, self._rows), default=0) > LONGEST:
            self._heads = [str(number) for number in range(1, len(self._rows) + 1)]
            digits = len(self._heads[-1])
            numbered = zip(self._heads, self._rows, strict=True)
            self._rows = [f"{head:>{digits}} {row}" for head, row in numbered]
        self.pitch = max(max(map(len, self._heads), default=0) + 1, 3)
        self.margin = max(map(len, self._rows), default=0) + 1

    def width(self, columns: int) -> int:
        return self.margin + self.pitch * columns

    def lines(self, first: int, end: int) -> list[Line]:
        heads = "".join(f"{head:>{self.pitch}}" for head in self._heads[first:end])
        title = "measured" if self._measured else "expected"
        found: list[Line] = [
            (Span(title, "title"),),
            (Span(" " * self.margin + heads, "muted"),),
        ]
        targets = self._matrix.members[first:end]
        for member, label in zip(self._matrix.members, self._rows, strict=True):
            spans = [Span(f"{label:<{self.margin}}")]
            for target in targets:
                sign, style = self._sign(self._pairs.get((member.id, target.id)))
                spans.append(Span(f"{sign:>{self.pitch}}", style))
            found.append(tuple(spans))
        return found

    def _sign(self, cell: Cell | None) -> tuple[str, str]:
        if cell is None:
            return ITSELF, ""
        reaches = cell.reaches if self._measured else cell.expected
        if reaches is None:
            return UNKNOWN, "unknown"
        sign = REACHES if reaches else SILENT
        if self._measured and cell.differs:
            return DIFFERS + sign, "differs"
        return sign, "reaches" if reaches else "silent"


def _legend(matrix: Matrix) -> Iterator[Line]:
    spans = [Span(REACHES, "reaches"), Span(" connects   "), Span(SILENT), Span(" does not")]
    if any(cell.reaches is None for cell in matrix.cells) and matrix.is_measured:
        spans += [Span("   "), Span(UNKNOWN, "unknown"), Span(" not measured")]
    if matrix.differing:
        spans += [Span("   "), Span(DIFFERS, "differs"), Span(" not as expected")]
    yield tuple(spans)


def _differences(matrix: Matrix) -> Iterator[Line]:
    labels = matrix.labels()
    for place, cell in enumerate(matrix.differing):
        if place == 0:
            yield ()
        if place == SHOWN:
            yield (Span(f"and {len(matrix.differing) - SHOWN} more; -o json tells all", "muted"),)
            return
        pair = f"{labels[cell.source]} > {labels[cell.target]}"
        yield (Span(pair, "differs"), Span(f"  {difference(cell)}"))


def difference(cell: Cell) -> str:
    """What was seen of a pair, and what was expected why."""
    seen = {Seen.ANSWERED: "was answered", Seen.HEARD: "arrived"}.get(
        cell.seen or Seen.UNKNOWN, "was not answered"
    )
    return f"{seen}, though {cell.reason}"
