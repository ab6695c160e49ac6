"""Lays out a matrix as a picture: a matrix in, a drawing out.

One grid, sources down and targets across. A square that is not as expected has another colour, and
a sign for readers who cannot see colours; the reasons are below the grid.
"""

from __future__ import annotations

from collections.abc import Sequence

from weft.observe import outcomes
from weft.observe.outcomes import Difference, Grid, GridEntry, Outcome
from weft.observe.reach import Matrix, PairResult
from weft.observe.render import lettering, matrix_text
from weft.observe.render.drawing import Box, Dot, Drawing, Shape, Text, Tone

MARGIN = 28.0
HEADER = 72.0  # title and summary
SQUARE = 26.0
PITCH = SQUARE + 4.0
MAX_LABEL = 230.0
LEGEND = 46.0
REASON = 20.0
MAX_REASONS = 24
MAX_PAIRS = 12  # that a cell's tooltip lists
WIDEST_REASON = 900.0
SLANT = 45  # degrees by which the names above columns rise
_SINE = 0.7072
TONES = {
    Outcome.CONNECTS: Tone.GOOD,
    Outcome.PARTLY: Tone.GOOD,
    Outcome.BLOCKED: Tone.WARN,
    Outcome.OPEN: Tone.BAD,
}


def lay_out(matrix: Matrix) -> Drawing:
    """The drawing of a matrix."""
    grid = outcomes.grid(matrix)
    labels = [row.label for row in grid.rows]
    wide = max((lettering.width(label, "mono") for label in labels), default=0.0)
    caption = min(wide, MAX_LABEL)
    rise = caption * _SINE + 14  # how far names above columns reach, up and to the right
    left, top = MARGIN + caption + 12, HEADER + rise
    heading, summary = matrix_text.heading(matrix), matrix_text.summary(matrix)
    texts = [Text(MARGIN, 32, heading, "title"), Text(MARGIN, 51, summary, "muted")]
    texts += _columns(labels, left, top) + _rows(labels, left, top)
    boxes: list[Box] = []
    dots: list[Dot] = []
    for (row, column), place in grid.places.items():
        x, y = left + PITCH * column, top + PITCH * row
        pair = f"{labels[row]} > {labels[column]}"
        _square(x, y, place.outcome, _title(matrix, pair, place), boxes, dots)
    bottom = top + PITCH * len(labels)
    right = max(left + bottom - top + rise, _legend(grid, bottom + 20, boxes, dots, texts))
    bottom += LEGEND
    reasons = list(_reasons(outcomes.differences(grid), bottom + 26))
    if reasons:
        bottom = reasons[-1].y
    texts += reasons
    ends = [text.x + lettering.width(text.content, text.style) for text in (*texts[:2], *reasons)]
    return Drawing(
        width=max(right, *ends) + MARGIN,
        height=bottom + MARGIN,
        title=f"Who reaches whom on {matrix.network}",
        summary=summary,
        boxes=tuple(boxes),
        dots=tuple(dots),
        texts=tuple(texts),
    )


def _columns(labels: Sequence[str], left: float, top: float) -> list[Text]:
    found = []
    for place, label in enumerate(labels):
        shown = lettering.fit(label, "mono", MAX_LABEL)
        full = label if shown != label else ""
        x = left + PITCH * place + SQUARE / 2 + 3
        found.append(Text(x, top - 8, shown, "mono", full=full, turn=-SLANT))
    return found


def _rows(labels: Sequence[str], left: float, top: float) -> list[Text]:
    found = []
    for place, label in enumerate(labels):
        shown = lettering.fit(label, "mono", MAX_LABEL)
        full = label if shown != label else ""
        y = top + PITCH * place + SQUARE / 2 + 4
        found.append(Text(left - 10, y, shown, "mono", end=True, full=full))
    return found


def _square(
    x: float, y: float, outcome: Outcome, title: str, boxes: list[Box], dots: list[Dot]
) -> None:
    tone = TONES.get(outcome)
    is_unknown = outcome is Outcome.UNKNOWN
    texts = []
    if is_unknown or outcome.differs:
        sign = matrix_text.SIGNS[outcome]
        across = lettering.width(sign, "name")
        at = x + (SQUARE - across) / 2
        texts.append(Text(at, y + SQUARE / 2 + 5, sign, "name", tone=tone))
    elif outcome in (Outcome.CONNECTS, Outcome.PARTLY):
        large = outcome is Outcome.CONNECTS
        dots.append(Dot(x + SQUARE / 2, y + SQUARE / 2, tone=tone, large=large))
    boxes.append(
        Box(
            x,
            y,
            SQUARE,
            SQUARE,
            Shape.SQUARE,
            tuple(texts),
            title,
            tone=tone if outcome.differs else None,
            faint=is_unknown,
        )
    )


def _title(matrix: Matrix, pair: str, place: GridEntry) -> str:
    """The tooltip of a cell: all of one pair, or the pairs of many that differ."""
    if len(place.pairs) == 1:
        return "\n".join((pair, *_about(place.pairs[0])))
    labels = matrix.labels()
    differing = [result for result in place.pairs if result.differs]
    title = [pair, f"{len(place.pairs)} pairs: {place.outcome.value}"]
    for result in differing[:MAX_PAIRS]:
        title.append(
            f"{labels[result.source]} > {labels[result.target]} {outcomes.explained(result)}"
        )
    if len(differing) > MAX_PAIRS:
        title.append(f"and {len(differing) - MAX_PAIRS} more")
    elif not differing:
        title.append(place.pairs[0].reason)
    return "\n".join(title)


def _about(result: PairResult) -> list[str]:
    lines = [f"{result.addresses[0]} > {result.addresses[1]}"] if result.addresses else []
    if result.seen is not None:
        lines.append(result.seen.value)
    return [*lines, f"expected {'to connect' if result.expected else 'not to'}: {result.reason}"]


def _legend(grid: Grid, y: float, boxes: list[Box], dots: list[Dot], texts: list[Text]) -> float:
    """Write the lines; return the y at which they end."""
    x = MARGIN
    for outcome in grid.outcomes:
        _square(x, y, outcome, "", boxes, dots)
        texts.append(Text(x + SQUARE + 8, y + SQUARE / 2 + 4, outcome.value, "muted"))
        x += SQUARE + 8 + lettering.width(outcome.value, "muted") + 20
    return x


def _reasons(differences: Sequence[Difference], y: float) -> list[Text]:
    found = []
    for place, one in enumerate(differences[:MAX_REASONS]):
        several = f", {one.pairs} pairs" if one.pairs > 1 else ""
        text = f"{one.source} > {one.target}{several}: {one.reason}"
        shown = lettering.fit(text, "plain", WIDEST_REASON)
        full = text if shown != text else ""
        found.append(Text(MARGIN, y + REASON * place, shown, "plain", full=full))
    if len(differences) > MAX_REASONS:
        more = f"and {len(differences) - MAX_REASONS} more"
        found.append(Text(MARGIN, y + REASON * MAX_REASONS, more, "muted"))
    return found
