"""Collects the parts of a picture, and places cards on it.

Where things stand is not decided here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from weft.observe.render import cards, grid, layers, lettering
from weft.observe.render.drawing import Box, Dot, Path, Text


@dataclass
class Canvas:
    """The logical picture. `boxes` by zone and id; a band's parts by zone, too."""

    arranged: layers.Layers
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
        start, end = x + cards.SIDE, x + width - cards.SIDE
        for words, shown in zip(line, _fitted(line, room), strict=True):
            edge = end if words.end else start
            taken = lettering.width(shown, words.style) + cards.BETWEEN / 2
            start, end = (start, end - taken) if words.end else (start + taken, end)
            full = words.words if shown != words.words else ""
            texts.append(
                Text(
                    edge, baseline, shown, words.style, words.end, words.hue, full, tone=words.tone
                )
            )
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


def _fitted(line: list[cards.Label], room: float) -> list[str]:
    """What of each fits. What stands first is cut first: names are long, and what stands beside
    them, an address or an interface, says nothing any more when it is cut."""
    shown = []
    for place, words in enumerate(line):
        beside = line[place + 1 :]
        wanted = sum(lettering.width(one.words, one.style) + cards.BETWEEN for one in beside)
        shown.append(
            lettering.fit(
                words.words, words.style, max(room - wanted, room / 2) if beside else room
            )
        )
        room -= lettering.width(shown[-1], words.style) + cards.BETWEEN
    return shown
