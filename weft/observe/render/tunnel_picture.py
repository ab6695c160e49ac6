"""Lays out the tunnels of many nodes as a grid, and below it a card for each node.

A cell is the tunnel from its row's node to its column's, as the row's node has it.
"""

from __future__ import annotations

from collections.abc import Callable

from weft.observe import chassis, tunnelhealth
from weft.observe.render import colours, lettering, physical_text
from weft.observe.render.canvas import place
from weft.observe.render.cards import Card, Label
from weft.observe.render.drawing import Box, Dot, Drawing, Shape, Text, Tone
from weft.observe.tunnelhealth import Health
from weft.observe.underlay import Node, Underlay

MARGIN = 28.0
HEADER = 72.0
SQUARE, PITCH = 22.0, 26.0
MAX_LABEL = 210.0
CARD, GAP = 268.0, 14.0
REASON = 20.0
MAX_REASONS = 24
SLANT = 45
_SINE = 0.7072
TONES = {
    Health.UP: Tone.GOOD,
    Health.DOWN: Tone.BAD,
    Health.SILENT: Tone.BAD,
    Health.MISSING: Tone.WARN,
}


def lay_out(underlay: Underlay, link: Callable[[str], str] = lambda _: "") -> Drawing:
    """The drawing of an underlay; `link`: where a click on a node leads."""
    names = [node.name for node in underlay.nodes]
    by_pair = tunnelhealth.grid(underlay)
    hosts = list(chassis.hosts(names).values())
    caption = min(max((lettering.width(host, "mono") for host in hosts), default=0), MAX_LABEL)
    rise = caption * _SINE + 14
    left, top = MARGIN + caption + 12, HEADER + rise
    summary = tunnelhealth.summary(underlay)
    texts = [Text(MARGIN, 32, "Physical topology", "title"), Text(MARGIN, 51, summary, "muted")]
    boxes: list[Box] = []
    dots: list[Dot] = []
    for number, name in enumerate(names):
        shown = lettering.fit(hosts[number], "mono", MAX_LABEL)
        full = name if shown != name else ""
        x, y = left + PITCH * number, top + PITCH * number
        texts.append(Text(left - 10, y + SQUARE / 2 + 4, shown, "mono", end=True, full=full))
        texts.append(Text(x + SQUARE / 2 + 3, top - 8, shown, "mono", full=full, turn=-SLANT))
    for (row, column), health in by_pair.items():
        title = f"{names[row]} to {names[column]}: {health}"
        x, y = left + PITCH * column, top + PITCH * row
        _square(x, y, health, title, boxes, dots)
    right = left + PITCH * len(names) + rise
    bottom = top + PITCH * len(names) + 20
    right = max(right, _legend(set(by_pair.values()), bottom, boxes, dots, texts))
    bottom += SQUARE
    columns = max(3, int((right - MARGIN + GAP) // (CARD + GAP)))
    width = max(right, MARGIN + columns * (CARD + GAP) - GAP)
    for text in tunnelhealth.faults(underlay)[:MAX_REASONS]:
        bottom += REASON
        shown = lettering.fit(text, "plain", width - MARGIN)
        full = text if shown != text else ""
        texts.append(Text(MARGIN, bottom + 4, shown, "plain", full=full, tone=Tone.BAD))
    ends = [bottom + 2 * GAP] * columns
    for node in underlay.nodes:
        column = ends.index(min(ends))
        box = place(
            _card(node, link(node.name)), MARGIN + column * (CARD + GAP), ends[column], CARD
        )
        boxes.append(box)
        ends[column] = box.bottom + GAP
    return Drawing(
        width=width + MARGIN,
        height=max(ends) - GAP + MARGIN,
        title="Physical topology",
        summary=summary,
        boxes=tuple(boxes),
        dots=tuple(dots),
        texts=tuple(texts),
    )


def _square(
    x: float, y: float, health: Health, title: str, boxes: list[Box], dots: list[Dot]
) -> None:
    tone = TONES.get(health) if health.is_fault else None
    texts: tuple[Text, ...] = ()
    if health is Health.UP:
        dots.append(Dot(x + SQUARE / 2, y + SQUARE / 2, tone=Tone.GOOD, large=True))
    else:
        sign = physical_text.SIGNS[health].text
        at = x + (SQUARE - lettering.width(sign, "name")) / 2
        texts = (Text(at, y + SQUARE / 2 + 5, sign, "name", tone=tone),)
    faint = health is Health.UNREAD
    boxes.append(Box(x, y, SQUARE, SQUARE, Shape.SQUARE, texts, title, tone=tone, faint=faint))


def _legend(
    appearing: set[Health], y: float, boxes: list[Box], dots: list[Dot], texts: list[Text]
) -> float:
    x = MARGIN
    for health in (one for one in Health if one in appearing):
        _square(x, y, health, "", boxes, dots)
        texts.append(Text(x + SQUARE + 8, y + SQUARE / 2 + 4, health.value, "muted"))
        x += SQUARE + 8 + lettering.width(health.value, "muted") + 20
    return x


def _card(node: Node, href: str) -> Card:
    """A node with its addresses, what carries its tunnels, and its pods by network."""
    zone = node.zone
    labels = [Label(zone.name, "name"), Label(", ".join(zone.addresses) or "no address")]
    if node.egress:
        labels.append(Label(", ".join(node.egress), end=True, beside=True))
    if not zone.read:
        labels.append(Label("cannot be read" if zone.trouble else "not read", tone=Tone.WARN))
    for network, count in tunnelhealth.pods(node):
        hue = colours.of(network) if network else None
        labels.append(Label(network or "no network", "plain", hue=hue))
        labels.append(Label(lettering.counted(count, "pod"), "muted", end=True, beside=True))
    text = [zone.name, f"chassis {zone.chassis}", zone.trouble]
    text += [f"bridge {one.name}, datapath {one.datapath}" for one in node.bridges]
    title = "\n".join(part for part in text if part)
    return Card(zone.name, Shape.BRIDGE, tuple(labels), title, faint=not zone.read, href=href)
