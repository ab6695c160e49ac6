"""Lays out the logical picture of all zones: a graph in, a drawing out.

Zones are columns and layers are rows; what spans zones is a band across them. Lanes beside the
pods lead to their switches: on the left to those of the network on top, on the right to all others.
"""

from __future__ import annotations

from collections.abc import Iterator

from weft.observe.graph import Graph, Zone
from weft.observe.render import cards, colours, grid, layers, lettering
from weft.observe.render.attachments import draw as draw_attachments
from weft.observe.render.canvas import Canvas, place
from weft.observe.render.drawing import Box, Dot, Drawing, Path, Shape, Stroke, Text

EMPTY, UNKNOWN = "no pods", "none known"


def lay_out(graph: Graph) -> Drawing:
    """The drawing of a graph."""
    arranged = layers.arrange(graph)
    measured = grid.measure(arranged, graph.zones)
    canvas = Canvas(arranged, measured)
    for number, row in enumerate(measured.rows):
        if row is None:
            _pods(canvas, graph, number)
        elif row.band is not None:
            _band(canvas, graph, row, number)
        else:
            _cards(canvas, row, number)
    for routed in measured.connections:
        _connection(canvas, routed)
    draw_attachments(canvas)
    _captions(canvas)
    spots = {id(box): box for box in canvas.boxes.values()}
    counted = (
        lettering.counted(len(graph.zones), "zone"),
        lettering.counted(len(graph.networks), "network"),
    )
    summary = ", ".join(counted)
    canvas.texts.append(Text(grid.MARGIN, 32, "Logical topology", "title"))
    canvas.texts.append(Text(grid.MARGIN, 51, summary, "muted"))
    return Drawing(
        width=measured.width,
        height=measured.height,
        title="Logical topology",
        summary=summary,
        frames=tuple(_frame(zone, measured) for zone in graph.zones),
        paths=tuple(canvas.paths),
        boxes=tuple(spots.values()),
        dots=tuple(canvas.dots),
        texts=tuple(canvas.texts),
    )


def _frame(zone: Zone, measured: grid.Grid) -> Box:
    frame = measured.columns[zone.name].frame
    room = frame.length - 2 * grid.INSET
    x, y = frame.start + grid.INSET, measured.frames.start
    about = ", ".join(zone.addresses)
    if not zone.read:
        about = "cannot be read" if zone.trouble else f"{about}, not read".lstrip(", ")
    name = lettering.fit(zone.name, "heading", room)
    title = [f"zone {zone.name}", f"chassis {zone.chassis}" if zone.chassis else ""]
    title += [*zone.addresses, zone.trouble]
    return Box(
        frame.start,
        y,
        frame.length,
        measured.frames.length,
        Shape.ZONE,
        (
            Text(x, y + 24, name, "heading", full=zone.name if name != zone.name else ""),
            Text(x, y + 40, lettering.fit(about, "mono", room), "mono"),
        ),
        "\n".join(part for part in title if part),
        faint=not zone.read,
    )


def _cards(canvas: Canvas, row: layers.Row, number: int) -> None:
    span = canvas.grid.heights[number]
    for zone, stack in row.cards.items():
        content = canvas.grid.columns[zone].content
        y = span.start
        for card in stack:
            canvas.boxes[zone, card.id] = box = place(card, content.start, y, content.length)
            y = box.bottom + grid.STACK


def _pods(canvas: Canvas, graph: Graph, number: int) -> None:
    span = canvas.grid.heights[number]
    for zone in graph.zones:
        column = canvas.grid.columns[zone.name]
        stack = canvas.arranged.pods.get(zone.name, ())
        if not stack:
            x = column.content.start + cards.SIDE
            empty = EMPTY if zone.read else UNKNOWN
            canvas.texts.append(Text(x, span.start + 11, empty, "muted"))
            continue
        per = -(-len(stack) // len(column.pods))
        for at, pods in enumerate(column.pods):
            y = span.start
            for card in stack[at * per : (at + 1) * per]:
                box = place(card, pods.start, y, pods.length)
                canvas.boxes[zone.name, card.id] = box
                y = box.bottom + grid.STACK


def _band(canvas: Canvas, graph: Graph, row: layers.Row, number: int) -> None:
    """Draw a box for each run of neighbouring zones that have the switch, dashes past the
    others."""
    band, span = row.band, canvas.grid.heights[number]
    assert band is not None
    y = span.start + (span.length - grid.BAND) / 2
    last: Box | None = None
    for run in _runs(graph, band):
        start = canvas.grid.columns[run[0]].frame.start + grid.INSET / 2
        end = canvas.grid.columns[run[-1]].frame.end - grid.INSET / 2
        room = end - start - 28
        name = lettering.fit(band.name, "name", room)
        room -= lettering.width(name, "name") + 2 * cards.BETWEEN
        more = band.more if lettering.width(band.more, "mono") <= room else ""
        box = Box(
            start,
            y,
            end - start,
            grid.BAND,
            Shape.PHYSICAL if band.physical else Shape.BAND,
            (
                Text(
                    start + 14, y + 21.5, name, "name", full=band.name if name != band.name else ""
                ),
                Text(end - 14, y + 21.5, more, "mono", end=True),
            ),
            band.title,
            band.hue,
        )
        for zone in run:
            canvas.boxes[zone, band.id] = box
        if last is not None:
            points = ((last.right, box.middle), (box.x, box.middle))
            canvas.paths.append(Path(points, Stroke.GAP, band.hue, band.title))
        last = box


def _runs(graph: Graph, band: layers.Band) -> Iterator[list[str]]:
    run: list[str] = []
    for zone in graph.zones:
        if zone.name in band.zones:
            run.append(zone.name)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _connection(canvas: Canvas, routed: grid.Routed) -> None:
    connection = routed.connection
    one = canvas.boxes.get((connection.zone, connection.router))
    other = canvas.boxes.get((connection.zone, connection.other))
    if one is None or other is None:
        return
    upper, lower = (one, other) if one.y < other.y else (other, one)
    column = canvas.grid.columns[connection.zone]
    bands = (Shape.BAND, Shape.PHYSICAL)
    if routed.slot is None:
        lanes = len(grid.attached(canvas.arranged, connection.zone, left=True))
        x = column.content.start - grid.LANE * (lanes + 1 + (routed.lane or 0))
        points = [(x, upper.middle), (x, lower.middle)]
        if upper.shape not in bands:
            points.insert(0, (upper.x, upper.middle))
        if lower.shape not in bands:
            points.append((lower.x, lower.middle))
        ends = (upper.middle, lower.middle)
    else:
        x = _line(canvas, connection.zone, routed.slot)
        points = [(x, upper.bottom), (x, lower.y)]
        ends = (upper.bottom, lower.y)
        _label(canvas, routed, x, one is upper)
    canvas.paths.append(Path(tuple(points), hue=connection.hue, title=connection.title))
    for box, y in zip((upper, lower), ends, strict=True):
        if box.shape in bands:
            canvas.dots.append(Dot(x, y, connection.hue))


def _label(canvas: Canvas, routed: grid.Routed, x: float, below: bool) -> None:
    """Write the router's addresses beside the line, near the router."""
    labels = routed.connection.labels
    gap_end = canvas.grid.heights[routed.gap].start
    y = canvas.grid.heights[routed.gap - 1].end + 16 if below else gap_end - 6
    y -= 0 if below else grid.LABEL * (len(labels) - 1)
    room = _until_next(canvas, routed, gap_end) - x - 2 * grid.WORDS_GAP
    for number, text in enumerate(labels):
        shown = lettering.fit(text, "mono", room)
        full = text if shown != text else ""
        canvas.texts.append(
            Text(x + grid.WORDS_GAP, y + grid.LABEL * number, shown, "mono", full=full)
        )


def _until_next(canvas: Canvas, routed: grid.Routed, gap_end: float) -> float:
    """The x of the next line to the right in the same gap, or else of the content's end."""
    content = canvas.grid.columns[routed.connection.zone].content
    nearest = content.end
    for other in canvas.grid.connections:
        if other.connection.zone != routed.connection.zone or (other.slot or 0) <= (
            routed.slot or 0
        ):
            continue
        ends = [
            canvas.boxes.get((other.connection.zone, id))
            for id in (other.connection.router, other.connection.other)
        ]
        reach = [box for box in ends if box is not None]
        if len(reach) == 2 and min(box.y for box in reach) < gap_end <= max(box.y for box in reach):
            nearest = min(nearest, _line(canvas, routed.connection.zone, other.slot or 0))
    return nearest


def _line(canvas: Canvas, zone: str, slot: int) -> float:
    """The x of a slot's line."""
    return canvas.grid.columns[zone].content.start + grid.SPINE + canvas.grid.slot * slot


def _captions(canvas: Canvas) -> None:
    """The captions on the left: what each row is, and a network's name above its first row."""
    x, measured = grid.MARGIN, canvas.grid
    before = ""
    for row, span in zip(measured.rows, measured.heights, strict=True):
        middle = span.start + span.length / 2
        if row is None:
            _caption(canvas, x, span.start + 12, grid.PODS, "caption")
        elif row.network in (before, canvas.arranged.upper):
            _caption(canvas, x, middle + 4, row.caption, "caption")
        else:
            top = middle - grid.heading(canvas.arranged, row.network) / 2
            _heading(canvas, x, top, row.network)
        before = row.network if row else ""
    if canvas.arranged.upper:
        _heading(canvas, x, grid.HEADER + 2, canvas.arranged.upper)


def _heading(canvas: Canvas, x: float, y: float, network: str) -> None:
    for one in canvas.arranged.networks:
        if one.name == network:
            hue = colours.of(network)
            _caption(canvas, x, y + 14, one.name, "heading", hue)
            _caption(canvas, x, y + 30, one.topology, "caption")
            for number, subnet in enumerate(one.subnets):
                _caption(canvas, x, y + 44 + grid.LABEL * number, subnet, "mono")


def _caption(
    canvas: Canvas, x: float, y: float, content: str, style: str, hue: int | None = None
) -> None:
    shown = lettering.fit(content, style, canvas.grid.caption)
    full = content if shown != content else ""
    canvas.texts.append(Text(x, y, shown, style, hue=hue, full=full))
