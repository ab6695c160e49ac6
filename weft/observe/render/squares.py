"""How does a matrix look as a picture? A matrix in, a drawing out.

Two grids beside each other, expected and measured, sources down and targets across. A square that
is not as expected is drawn in another colour, with a sign for who cannot tell colours apart.
"""

from __future__ import annotations

from weft.observe.reach import Cell, Matrix, Seen
from weft.observe.render import cells, lettering
from weft.observe.render.drawing import Box, Dot, Drawing, Shape, Text

MARGIN = 28.0
HEADER = 66.0  # title and summary
SQUARE = 26.0
BETWEEN = 4.0
PITCH = SQUARE + BETWEEN
GAP = 46.0  # between a grid and the names at the next
TITLE = 26.0
MOST_LABEL = 230.0
LEGEND = 46.0
SLANT = 45  # degrees by which the words above columns rise
_SINE = 0.7072
REACHES, DIFFERS = 1, 4  # hues


def lay_out(matrix: Matrix) -> Drawing:
    titles = ["expected", *(["measured"] if matrix.is_measured else [])]
    labels = matrix.labels()
    wide = max((lettering.width(words, "mono") for words in labels.values()), default=0.0)
    caption = min(wide, MOST_LABEL)
    rise = caption * _SINE + 14  # how far words above columns reach, up and to the right
    side = PITCH * len(matrix.members)
    heading = cells.heading(matrix)
    summary = cells.counted(matrix)
    top = HEADER + TITLE + rise
    boxes: list[Box] = []
    dots: list[Dot] = []
    texts = [Text(MARGIN, 32, heading, "title"), Text(MARGIN, 51, summary, "muted")]
    left = right = MARGIN + caption + 12
    for title in titles:
        is_measured = title == "measured"
        texts.append(Text(left, HEADER + TITLE - 8, title, "heading"))
        texts += _columns(matrix, labels, left, top)
        texts += _rows(matrix, labels, left, top)
        _grid(matrix, left, top, measured=is_measured, boxes=boxes, dots=dots)
        right = left + side + rise
        left += side + max(rise, caption + GAP)
    right = max(right, _legend(matrix, top + side + 24, boxes, dots, texts))
    words = [lettering.width(heading, "title"), lettering.width(summary, "muted")]
    return Drawing(
        width=max(right, MARGIN + max(words)) + MARGIN,
        height=top + side + LEGEND + MARGIN,
        title=f"Who reaches whom on {matrix.network}",
        summary=summary,
        boxes=tuple(boxes),
        dots=tuple(dots),
        texts=tuple(texts),
    )


def _columns(matrix: Matrix, labels: dict[str, str], left: float, top: float) -> list[Text]:
    found = []
    for place, member in enumerate(matrix.members):
        words = lettering.fit(labels[member.id], "mono", MOST_LABEL)
        full = labels[member.id] if words != labels[member.id] else ""
        x = left + PITCH * place + SQUARE / 2 + 3
        found.append(Text(x, top - 8, words, "mono", full=full, turn=-SLANT))
    return found


def _rows(matrix: Matrix, labels: dict[str, str], left: float, top: float) -> list[Text]:
    found = []
    for place, member in enumerate(matrix.members):
        words = lettering.fit(labels[member.id], "mono", MOST_LABEL)
        full = labels[member.id] if words != labels[member.id] else ""
        y = top + PITCH * place + SQUARE / 2 + 4
        found.append(Text(left - 10, y, words, "mono", end=True, full=full))
    return found


def _grid(
    matrix: Matrix,
    left: float,
    top: float,
    *,
    measured: bool,
    boxes: list[Box],
    dots: list[Dot],
) -> None:
    pairs, labels = matrix.by_pair(), matrix.labels()
    for row, source in enumerate(matrix.members):
        for column, target in enumerate(matrix.members):
            cell = pairs.get((source.id, target.id))
            if cell is not None:
                x, y = left + PITCH * column, top + PITCH * row
                pair = f"{labels[source.id]} > {labels[target.id]}"
                reaches = cell.reaches if measured else cell.expected
                differs = measured and cell.differs
                _square(x, y, reaches, differs, _told(cell, pair, measured), boxes, dots)


def _square(
    x: float,
    y: float,
    reaches: bool | None,
    differs: bool,
    title: str,
    boxes: list[Box],
    dots: list[Dot],
) -> None:
    hue = DIFFERS if differs else REACHES if reaches else None
    texts = []
    if reaches is None:
        texts.append(Text(x + SQUARE / 2 - 3, y + SQUARE / 2 + 4, cells.UNKNOWN, "plain"))
    elif differs:
        texts.append(Text(x + 4, y + SQUARE / 2 + 5, cells.DIFFERS, "name", hue=DIFFERS))
    boxes.append(
        Box(x, y, SQUARE, SQUARE, Shape.SQUARE, tuple(texts), title, hue, faint=reaches is None)
    )
    if reaches:
        dots.append(Dot(x + SQUARE / 2 + (4 if differs else 0), y + SQUARE / 2, hue, large=True))


def _told(cell: Cell, pair: str, measured: bool) -> str:
    lines = [pair]
    if cell.addresses:
        lines.append(f"{cell.addresses[0]} > {cell.addresses[1]}")
    if measured:
        lines.append((cell.seen or Seen.UNKNOWN).value)
    lines.append(f"expected {'to connect' if cell.expected else 'not to'}: {cell.reason}")
    return "\n".join(lines)


def _legend(
    matrix: Matrix, y: float, boxes: list[Box], dots: list[Dot], texts: list[Text]
) -> float:
    """Where it ends."""
    x = MARGIN
    shown: list[tuple[bool | None, bool, str]] = [
        (True, False, "connects"),
        (False, False, "does not"),
    ]
    if matrix.is_measured and any(cell.reaches is None for cell in matrix.cells):
        shown.append((None, False, "not measured"))
    if matrix.differing:
        shown.append((True, True, "not as expected"))
    for reaches, differs, words in shown:
        _square(x, y, reaches, differs, "", boxes, dots)
        texts.append(Text(x + SQUARE + 8, y + SQUARE / 2 + 4, words, "muted"))
        x += SQUARE + 8 + lettering.width(words, "muted") + 20
    return x
