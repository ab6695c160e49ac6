"""Writes a grid for a terminal: rows and columns with names, a sign or number in each cell.

If names are too long for the head of a column, numbers replace them; a grid that is wider than the
terminal is continued below.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

LONGEST = 8  # of names above columns
LEAST, WIDEST = 14, 24  # characters of a row's name that are kept where there is no room for all


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a line. `style` is one of title, good, silent, unknown, bad, warn, muted, or
    nothing; `hue` the number of a network's colour."""

    text: str
    style: str = ""
    hue: int | None = None


Line = tuple[Span, ...]
Cells = Mapping[tuple[int, int], Span]  # by numbers of row and column


def length(line: Line) -> int:
    """The characters of a line."""
    return sum(len(span.text) for span in line)


def cut(text: str, room: int) -> str:
    """The text in at most `room` characters; it is cut in the middle, as names differ at their
    ends."""
    if len(text) <= room:
        return text
    tail = (room - 1) // 2
    return text[: room - 1 - tail] + "…" + text[len(text) - tail :]


def lines(rows: Sequence[Span], columns: Sequence[str], cells: Cells, width: int) -> Iterator[Line]:
    """The lines of the grid; `columns` equal to `rows` have the same numbers."""
    square = [row.text for row in rows] == list(columns)
    wide = max((len(cell.text) for cell in cells.values()), default=1)
    longest = max(map(len, columns), default=0)
    heads, pitch = list(columns), max(longest, wide, 2) + 1
    margin = max((len(row.text) for row in rows), default=0) + 1
    if longest > LONGEST or margin + pitch * len(columns) > width:
        heads, pitch = [str(number) for number in range(1, len(columns) + 1)], wide + 1
    listed = heads != list(columns)
    labels = [row.text for row in rows]
    if listed and square:
        labels = _numbered(labels, heads, width, pitch)
        listed = labels == heads
    elif margin + pitch * len(columns) > width:
        labels = [cut(label, max(WIDEST, width // 3)) for label in labels]
    margin = max(map(len, labels), default=0) + 1
    most = max(1, (width - margin) // pitch)
    for first in range(0, len(columns), most):
        chosen = range(first, min(first + most, len(columns)))
        yield from [()] if first else []
        yield from _heads([heads[column] for column in chosen], margin, pitch)
        for number, label in enumerate(labels):
            spans = [Span(f"{label:<{margin}}", rows[number].style, rows[number].hue)]
            for column in chosen:
                cell = cells.get((number, column), Span(""))
                spans.append(Span(f"{cell.text:>{pitch}}", cell.style, cell.hue))
            yield tuple(spans)
    if listed:
        yield ()
        yield from _names(columns, heads, width)


def _numbered(names: Sequence[str], heads: Sequence[str], width: int, pitch: int) -> list[str]:
    """Names with their numbers; numbers alone where names would be cut beyond recognition."""
    digits = len(heads[-1])
    room = width - digits - 2 - pitch * len(names)
    if room < LEAST and digits + 1 + pitch * len(names) <= width:
        return list(heads)
    if room < LEAST:  # the grid is continued below, so there is room for names
        room = min(max(width - digits - 2 - 4 * pitch, LEAST), WIDEST)
    numbered = zip(heads, names, strict=True)
    return [f"{head:>{digits}} {cut(name, room)}" for head, name in numbered]


def _heads(heads: Sequence[str], margin: int, pitch: int) -> Iterator[Line]:
    """Names on one line; numbers that are too wide for their column stand upright."""
    if all(len(head) < pitch for head in heads):
        yield (Span(" " * margin + "".join(f"{head:>{pitch}}" for head in heads), "muted"),)
        return
    tall = max(map(len, heads))
    for level in range(tall):
        digits = (f"{head:>{tall}}"[level] for head in heads)
        yield (Span(" " * margin + "".join(f"{digit:>{pitch}}" for digit in digits), "muted"),)


def _names(names: Sequence[str], heads: Sequence[str], width: int) -> Iterator[Line]:
    """Which name each number stands for, in as many columns as fit."""
    stem = names[0].removesuffix("1")
    if [f"{stem}{head}" for head in heads] == list(names):
        yield (Span(cut(f"1 to {heads[-1]}: {names[0]} to {names[-1]}", width), "muted"),)
        return
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


def legend(entries: Sequence[tuple[Span, str]], width: int) -> Iterator[Line]:
    """Signs and what they mean, as many on a line as fit."""
    spans: list[Span] = []
    for sign, meaning in entries:
        needed = len(sign.text) + 1 + len(meaning) + (3 if spans else 0)
        if spans and length(tuple(spans)) + needed > width:
            yield tuple(spans)
            spans = []
        spans += [Span("   ")] if spans else []
        spans += [sign, Span(f" {meaning}")]
    if spans:
        yield tuple(spans)
