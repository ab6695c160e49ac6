"""What has been drawn of a picture so far, and how does a card come onto it?

Where things stand is not decided here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from weft.observe.render import cards, grid, lettering, sections
from weft.observe.render.drawing import Box, Dot, Path, Text


@dataclass
class Canvas:
    """The logical picture. `boxes` by zone and id; a band's parts by zone, too."""

    sheet: sections.Sheet
    grid: grid.Grid
    boxes: dict[tuple[str, str], Box] = field(default_factory=dict)
    paths: list[Path] = field(default_factory=list)
    dots: list[Dot] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)


def place(card: cards.Card, x: float, y: float, width: float) -> Box:
    """A card at its place, with what fits on it."""
    texts = []
    for number, line in enumerate(card.lines()):
        room = width - 2 * cards.SIDE - (0 if number else card.corner)
        baseline = y + cards.PAD + cards.LINE * number + 11.5
        for words in line:
            shown = lettering.fit(words.words, words.style, room)
            edge = x + width - cards.SIDE if words.end else x + cards.SIDE
            full = words.words if shown != words.words else ""
            texts.append(Text(edge, baseline, shown, words.style, words.end, None, full))
            room -= lettering.width(shown, words.style) + cards.BETWEEN
    return Box(
        x,
        y,
        width,
        card.height,
        card.shape,
        tuple(texts),
        card.title,
        card.hue,
        card.badge,
        card.faint,
    )
