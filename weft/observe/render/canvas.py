"""Collects the parts of a picture, and places cards on it."""

from __future__ import annotations

from dataclasses import dataclass, field

from weft.observe.render import cards, grid, layers, lettering
from weft.observe.render.drawing import Box, Dot, Path, Text


@dataclass
class Canvas:
    """The parts of the logical picture. `boxes` are by zone and id, those of bands too."""

    arranged: layers.Layers
    grid: grid.Grid
    boxes: dict[tuple[str, str], Box] = field(default_factory=dict)
    paths: list[Path] = field(default_factory=list)
    dots: list[Dot] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)


def place(card: cards.Card, x: float, y: float, width: float) -> Box:
    """The box of a card at a place, with the labels that fit."""
    texts = []
    for number, line in enumerate(card.lines()):
        room = width - 2 * cards.SIDE - (0 if number else card.corner)
        baseline = y + cards.PAD + cards.LINE * number + 11.5
        start, end = x + cards.SIDE, x + width - cards.SIDE
        for label, shown in zip(line, _fitted(line, room), strict=True):
            edge = end if label.end else start
            taken = lettering.width(shown, label.style) + cards.BETWEEN / 2
            start, end = (start, end - taken) if label.end else (start + taken, end)
            full = label.text if shown != label.text else ""
            texts.append(
                Text(
                    *(edge, baseline, shown, label.style, label.end, label.hue, full),
                    tone=label.tone,
                    href=label.href,
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
        href=card.href,
    )


def _fitted(line: list[cards.Label], room: float) -> list[str]:
    """The text of each label, cut to fit into `room` pixels.

    The first label, a name, is cut first: a cut address or interface beside it is useless.
    """
    shown = []
    for place, label in enumerate(line):
        beside = line[place + 1 :]
        taken = sum(lettering.width(one.text, one.style) + cards.BETWEEN for one in beside)
        shown.append(
            lettering.fit(label.text, label.style, max(room - taken, room / 2) if beside else room)
        )
        room -= lettering.width(shown[-1], label.style) + cards.BETWEEN
    return shown
