"""Places the rows and zones of a logical picture: their heights, widths and lanes.

A zone is a column: lanes for lines to the left, content, lanes to the right. A connection between
two things with nothing between them is a straight line in a slot of the content; any other takes a
lane on the left.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from weft.observe.graph import Zone
from weft.observe.render import lettering
from weft.observe.render.layers import Connection, Layers, Row

MARGIN = 28.0
HEADER = 66.0  # title and summary
ZONE_HEADER = 58.0
ZONE_GAP = 26.0
INSET = 16.0  # between a zone's frame and its first lane or card
LANE = 14.0
GAP = 26.0  # between rows
SECTION_GAP = 26.0  # more of it where another network begins
STACK = 12.0  # between cards of one row
LABEL = 14.0  # a line beside a line
BAND = 34.0
COLUMN = 12  # pods above each other
SPINE = 22.0  # where in the content the first slot is
MIN_CONTENT, MAX_CONTENT = 196.0, 300.0
MAX_CAPTION = 210.0
WORDS_GAP = 7.0
PODS = "pods and machines"


@dataclass(frozen=True, slots=True)
class Extent:
    """A range of pixels, from `start` over `length`."""

    start: float
    length: float

    @property
    def end(self) -> float:
        return self.start + self.length


@dataclass(frozen=True, slots=True)
class Column:
    """A zone. `frame` from edge to edge, `content` without the lanes."""

    frame: Extent
    content: Extent
    pods: tuple[Extent, ...]


@dataclass(frozen=True, slots=True)
class Routed:
    """A connection with the slot or lane that it takes; `gap` is the gap with its labels."""

    connection: Connection
    slot: int | None
    lane: int | None
    gap: int


@dataclass(frozen=True, slots=True)
class Grid:
    """`rows`: those on top, then that of the pods, then those below; `gaps[i]` is above row i."""

    rows: tuple[Row | None, ...]
    heights: tuple[Extent, ...]
    columns: Mapping[str, Column]
    connections: tuple[Routed, ...]
    left: int  # lanes that connections take
    slot: float
    caption: float
    frames: Extent
    width: float
    height: float


def measure(arranged: Layers, zones: Sequence[Zone]) -> Grid:
    """The places of all rows, zones and connections, in pixels."""
    rows = (*arranged.top, None, *arranged.below)
    connections = _routed(arranged, rows)
    heights = _heights(arranged, rows, connections)
    lanes = max((routed.lane + 1 for routed in connections if routed.lane is not None), default=0)
    slots = max((routed.slot + 1 for routed in connections if routed.slot is not None), default=0)
    wide = [
        lettering.width(label, "mono") for one in connections for label in one.connection.labels
    ]
    slot = min(max(wide, default=0.0) + 3 * WORDS_GAP, MAX_CONTENT / 2)
    drawn = [card for row in rows if row for stack in row.cards.values() for card in stack]
    drawn += [card for stack in arranged.pods.values() for card in stack]
    widest = max((card.width for card in drawn), default=0.0)
    content = max(min(max(widest, MIN_CONTENT), MAX_CONTENT), SPINE + slots * slot)
    captions = [lettering.width(PODS, "caption")]
    captions += [lettering.width(row.caption, "caption") for row in rows if row]
    for network in arranged.networks:
        captions.append(lettering.width(network.name, "heading"))
        captions += [lettering.width(text, "mono") for text in network.subnets]
    caption = min(max(captions) + 12, MAX_CAPTION)
    columns = _columns(arranged, zones, lanes, content, MARGIN + caption + 14)
    right = max((column.frame.end for column in columns.values()), default=MARGIN + caption + 300)
    bottom = heights[-1].end + INSET
    return Grid(
        rows=rows,
        heights=heights,
        columns=columns,
        connections=connections,
        left=lanes,
        slot=slot,
        caption=caption,
        frames=Extent(HEADER, bottom - HEADER),
        width=right + MARGIN,
        height=bottom + MARGIN,
    )


def attached(arranged: Layers, zone: str, *, left: bool) -> list[str]:
    """Switches of a zone that its pods are attached to, in the order of their lanes."""
    found = [nic for group in arranged.nics.get(zone, {}).values() for nic in group]
    order = {network.name: place for place, network in enumerate(arranged.networks)}
    chosen = {nic.switch.id: nic.switch for nic in found if nic.left is left}
    ranked = sorted(chosen.values(), key=lambda one: (order[one.network], one.name, one.id))
    return [switch.id for switch in ranked]


def pod_columns(count: int) -> int:
    """The number of columns that so many pods need."""
    return max(1, math.ceil(count / COLUMN))


def _columns(
    arranged: Layers, zones: Sequence[Zone], lanes: int, content: float, start: float
) -> dict[str, Column]:
    lefts = max((len(attached(arranged, zone.name, left=True)) for zone in zones), default=0)
    rights = max((len(attached(arranged, zone.name, left=False)) for zone in zones), default=0)
    found: dict[str, Column] = {}
    for zone in zones:
        count = pod_columns(len(arranged.pods.get(zone.name, ())))
        between = LANE * (lefts + rights) + INSET
        inner = Extent(
            start + INSET + LANE * (lanes + lefts), content * count + between * (count - 1)
        )
        pods = tuple(
            Extent(inner.start + place * (content + between), content) for place in range(count)
        )
        frame = Extent(start, inner.end + LANE * rights + INSET - start)
        found[zone.name] = Column(frame, inner, pods)
        start = frame.end + ZONE_GAP
    return found


def _routed(arranged: Layers, rows: Sequence[Row | None]) -> tuple[Routed, ...]:
    """Choose a slot or lane for each connection: from the shortest to the longest, bands last."""
    where = _places(rows)
    middle = len(arranged.top)
    taken: dict[tuple[str, int], set[int]] = {}
    lanes: dict[str, int] = {}
    found: list[Routed] = []

    def order(connection: Connection) -> tuple[bool, int, str]:
        ends = [_end(where, connection, id) for id in (connection.router, connection.other)]
        rows_of = [end[0] for end in ends if end]
        is_band = ("", connection.other) in where
        return is_band, rows_of[0] if rows_of else 0, connection.title

    for connection in sorted(arranged.connections, key=order):
        one, other = (
            _end(where, connection, connection.router),
            _end(where, connection, connection.other),
        )
        if one is None or other is None:
            continue
        upper, lower = sorted((one, other))
        gap = upper[0] + 1 if upper == one else lower[0]
        gaps = range(upper[0] + 1, lower[0] + 1)
        if gaps and _free(rows, connection.zone, upper, lower, middle):
            used = set().union(*(taken.setdefault((connection.zone, g), set()) for g in gaps))
            slot = next(slot for slot in range(len(used) + 1) if slot not in used)
            for g in gaps:
                taken[connection.zone, g].add(slot)
            found.append(Routed(connection, slot, None, gap))
        else:
            lane = lanes[connection.zone] = lanes.get(connection.zone, -1) + 1
            found.append(Routed(connection, None, lane, gap))
    return tuple(found)


# (row, place in the stack of the zone); bands are below zone "".
_Where = Mapping[tuple[str, str], tuple[int, int]]


def _places(rows: Sequence[Row | None]) -> _Where:
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for place, row in enumerate(rows):
        if row is None:
            continue
        if row.band is not None:
            found["", row.band.id] = (place, 0)
        for zone, stack in row.cards.items():
            for depth, card in enumerate(stack):
                found[zone, card.id] = (place, depth)
    return found


def _end(where: _Where, connection: Connection, id: str) -> tuple[int, int] | None:
    return where.get((connection.zone, id)) or where.get(("", id))


def _free(
    rows: Sequence[Row | None],
    zone: str,
    upper: tuple[int, int],
    lower: tuple[int, int],
    middle: int,
) -> bool:
    """Whether nothing of the zone is between two places."""
    if upper[0] < middle < lower[0]:
        return False
    if any(row.cards.get(zone) for row in rows[upper[0] + 1 : lower[0]] if row):
        return False
    first = rows[upper[0]]
    last_of_stack = len(first.cards.get(zone, ())) - 1 if first else 0
    return upper[1] == max(last_of_stack, 0) and lower[1] == 0


def _heights(
    arranged: Layers, rows: Sequence[Row | None], connections: Iterable[Routed]
) -> tuple[Extent, ...]:
    room = dict.fromkeys(range(len(rows) + 1), 0)
    for routed in connections:
        if routed.slot is not None:
            room[routed.gap] = max(room[routed.gap], len(routed.connection.labels))
    y = HEADER + max(ZONE_HEADER, heading(arranged, arranged.upper) + 10)
    found: list[Extent] = []
    before = rows[0].network if rows[0] else None
    for place, row in enumerate(rows):
        gap = max(GAP, LABEL * room[place] + 14) if place else 0.0
        if row is not None and row.network != before and place:
            gap += SECTION_GAP
        if row is None:
            gap += collector(arranged, left=True)
        elif place and rows[place - 1] is None:
            gap += collector(arranged, left=False)
        height = _pods_height(arranged) if row is None else _row_height(row)
        if row is not None and row.network not in (before, arranged.upper):
            height = max(height, heading(arranged, row.network))
        before = row.network if row else None
        found.append(Extent(y + gap, height))
        y = found[-1].end
    return tuple(found)


def collector(arranged: Layers, *, left: bool) -> float:
    """Pixels for the lines that join the lanes of several columns of pods."""
    if all(pod_columns(len(stack)) == 1 for stack in arranged.pods.values()):
        return 0.0
    return 10.0 * max(
        (len(attached(arranged, zone, left=left)) for zone in arranged.pods), default=0
    )


def heading(arranged: Layers, network: str) -> float:
    """Pixels that a network's name, topology and subnets take beside its first row."""
    subnets = next((len(one.subnets) for one in arranged.networks if one.name == network), 0)
    return 20.0 + LABEL * (subnets + 1)


def _row_height(row: Row) -> float:
    if row.band is not None:
        return BAND
    return max(
        sum(card.height for card in stack) + STACK * (len(stack) - 1)
        for stack in row.cards.values()
    )


def _pods_height(arranged: Layers) -> float:
    tallest = LABEL
    for stack in arranged.pods.values():
        per = math.ceil(len(stack) / pod_columns(len(stack))) or 1
        for first in range(0, len(stack), per):
            part = stack[first : first + per]
            tallest = max(tallest, sum(card.height for card in part) + STACK * (len(part) - 1))
    return tallest
