"""How does a matrix look in a terminal? Lines of words with a style each; no colours here.

Two grids, expected and measured, beside each other where the width allows, else one above the
other; a grid that is wider than that is continued below. Names that are long stand at the first
grid's rows alone, and numbers stand for them. What differs is told below the grids.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from weft.observe.reach import Cell, Matrix, Seen
from weft.observe.render import lettering
from weft.policy import netpolicy

REACHES, SILENT, UNKNOWN, ITSELF, DIFFERS = "●", "·", "?", " ", "!"
LONGEST = 8  # of names above columns
SHOWN = 20  # differing pairs that are told in full
_GAP = 6


@dataclass(frozen=True, slots=True)
class Span:
    """`style` is one of title, reaches, silent, unknown, differs, muted, or nothing."""

    words: str
    style: str = ""


Line = tuple[Span, ...]


def asked(question: netpolicy.Connection) -> str:
    """The question in one word: ping, tcp/80."""
    return f"{question.protocol.lower()}/{question.port}" if question.protocol else "ping"


def heading(matrix: Matrix) -> str:
    return f"{matrix.network}: {asked(matrix.question)}, from rows to columns"


def counted(matrix: Matrix) -> str:
    """What there is to say of it in one line."""
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


def written(matrix: Matrix, width: int) -> Iterator[Line]:
    """The whole of it: heading, grids, legend, and what differs."""
    yield (Span(heading(matrix), "title"),)
    yield ()
    if not matrix.cells:
        return
    heads = _heads(matrix, width)
    grids = [_Grid(matrix, heads, width // 2, measured=False)]
    if matrix.is_measured:
        grids.append(_Grid(matrix, heads, width // 2, measured=True))
    whole = len(matrix.members)
    beside = [grid.lines(0, whole, named=grid is grids[0]) for grid in grids]
    if sum(map(_width, beside)) + _GAP * (len(grids) - 1) <= width:
        yield from _beside(beside)
    else:
        for grid in grids:
            columns = grid.columns(width)
            for first in range(0, whole, columns):
                yield from grid.lines(first, min(first + columns, whole))
                yield ()
    yield from _legend(matrix)
    yield from _differences(matrix)


def _heads(matrix: Matrix, width: int) -> list[str]:
    """What stands above the columns: names if they are short enough for a grid, else numbers."""
    names = [lettering.printable(label) for label in matrix.labels().values()]
    longest = max(map(len, names))
    if longest <= LONGEST and (longest + 1) * (len(names) + 1) <= width:
        return names
    return [str(number) for number in range(1, len(names) + 1)]


def _width(lines: Sequence[Line]) -> int:
    return max(sum(len(span.words) for span in line) for line in lines)


def _cut(words: str, room: int) -> str:
    """Names differ at their ends more often than in the middle."""
    if len(words) <= room:
        return words
    tail = (room - 1) // 3
    return words[: room - 1 - tail] + "…" + words[len(words) - tail :]


def _beside(grids: Sequence[list[Line]]) -> Iterator[Line]:
    widest = [_width(grid) for grid in grids]
    for row in zip(*grids, strict=True):
        spans: list[Span] = []
        for width, line in zip(widest, row, strict=True):
            spans += line
            spans.append(Span(" " * (width - sum(len(span.words) for span in line) + _GAP)))
        yield tuple(spans[:-1])
    yield ()


class _Grid:
    """One of the two; a slice of its columns at a time."""

    def __init__(self, matrix: Matrix, heads: Sequence[str], room: int, *, measured: bool) -> None:
        self._matrix = matrix
        self._measured = measured
        self._pairs = matrix.by_pair()
        self._heads = heads
        labels = matrix.labels()
        names = [lettering.printable(labels[member.id]) for member in matrix.members]
        digits = max(map(len, heads))
        self._short = [f"{head:>{digits}}" for head in heads]
        self._long = self._short
        if names != heads:
            numbered = zip(self._short, names, strict=True)
            self._long = [f"{head} {_cut(name, room)}" for head, name in numbered]
        self._pitch = max(digits + 1, 3)

    def columns(self, width: int) -> int:
        """How many of its columns fit, at least one."""
        return max(1, (width - max(map(len, self._long)) - 1) // self._pitch)

    def lines(self, first: int, end: int, *, named: bool = True) -> list[Line]:
        rows = self._long if named else self._short
        margin = max(map(len, rows)) + 1
        heads = "".join(f"{head:>{self._pitch}}" for head in self._heads[first:end])
        title = "measured" if self._measured else "expected"
        found: list[Line] = [
            (Span(title, "title"),),
            (Span(" " * margin + heads, "muted"),),
        ]
        targets = self._matrix.members[first:end]
        for member, label in zip(self._matrix.members, rows, strict=True):
            spans = [Span(f"{label:<{margin}}")]
            for target in targets:
                sign, style = self._sign(self._pairs.get((member.id, target.id)))
                spans.append(Span(f"{sign:>{self._pitch}}", style))
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
