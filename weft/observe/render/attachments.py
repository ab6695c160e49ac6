"""Draws how pods are attached to their switches: a lane beside the pods for each switch.

A zone with many pods has several columns of them, each with lanes of its own; lines above or
below the pods gather these into the lanes of the zone.
"""

from __future__ import annotations

from weft.observe.render import cards, grid
from weft.observe.render.canvas import Canvas
from weft.observe.render.drawing import Box, Dot, Path, Shape


def draw(canvas: Canvas) -> None:
    """Add the lanes of all zones to the canvas."""
    for zone in canvas.grid.columns:
        for left in (True, False):
            for lane, switch in enumerate(grid.attached(canvas.arranged, zone, left=left)):
                _attach(canvas, zone, switch, lane, left)


def _attach(canvas: Canvas, zone: str, switch: str, lane: int, left: bool) -> None:
    """Draw the lane of one switch in one zone, with lines to its ports."""
    column = canvas.grid.columns[zone]
    target = canvas.boxes.get((zone, switch))
    title = next(
        nic.switch.name
        for group in canvas.arranged.nics[zone].values()
        for nic in group
        if nic.switch.id == switch
    )
    home = _lane(column.content, lane, left)
    pods = canvas.grid.heights[len(canvas.arranged.top)]
    gather = pods.start - 10.0 * (lane + 1) if left else pods.end + 10.0 * (lane + 1)
    main = column.pods[0] if left else column.pods[-1]
    used: list[float] = []
    hue = None
    for span in column.pods:
        x = _lane(span, lane, left)
        stubs = _stubs(canvas, zone, switch, span)
        for y, edge, hue in stubs:
            canvas.paths.append(Path(((edge, y), (x, y)), hue=hue, title=title))
            canvas.dots += [Dot(edge, y, hue, large=True), Dot(x, y, hue)]
        ys = [y for y, _, _ in stubs]
        if ys and span is main:
            used += ys
        elif ys:
            far = max(ys) if left else min(ys)
            points = ((x, far), (x, gather), (home, gather))
            canvas.paths.append(Path(points, hue=hue, title=title))
            canvas.dots.append(Dot(home, gather, hue))
            used.append(gather)
    if target is not None and used:
        _trunk(canvas, target, home, used, hue, title)


def _trunk(
    canvas: Canvas, target: Box, x: float, ys: list[float], hue: int | None, title: str
) -> None:
    above = target.y < min(ys)
    far = max(ys) if above else min(ys)
    if target.shape is Shape.BAND:
        near = target.bottom if above else target.y
        canvas.paths.append(Path(((x, far), (x, near)), hue=hue, title=title))
        canvas.dots.append(Dot(x, near, hue))
        return
    edge = target.x if x < target.x else target.right
    points = ((x, far), (x, target.middle), (edge, target.middle))
    canvas.paths.append(Path(points, hue=hue, title=title))


def _lane(span: grid.Extent, lane: int, left: bool) -> float:
    away = grid.LANE * (lane + 1)
    return span.start - away if left else span.end + away


def _stubs(
    canvas: Canvas, zone: str, switch: str, span: grid.Extent
) -> list[tuple[float, float, int]]:
    """(y, edge of the card, hue) of each port of the switch on the pods of one column."""
    found = []
    for card in canvas.arranged.pods[zone]:
        box = canvas.boxes[zone, card.id]
        if box.x != span.start:
            continue
        nics = {nic.port.name: nic for nic in canvas.arranged.nics[zone][card.id]}
        placed = [(number, label) for number, line in enumerate(card.lines()) for label in line]
        for number, label in placed:
            nic = nics.get(label.port)
            if nic is not None and nic.switch.id == switch:
                y = box.y + cards.PAD + cards.LINE * number + 7.5
                found.append((y, box.x if nic.left else box.right, nic.hue))
    return found
