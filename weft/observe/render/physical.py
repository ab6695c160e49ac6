"""Lays out the picture of nodes, underlay and tunnels: an underlay in, a drawing out.

Nodes are columns. Tunnels are dashed lines between the integration bridges, as many above each
other as overlap; below are the devices that carry them, and the underlay network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from weft.observe.graph import PortPod
from weft.observe.render import cards, colours, lettering
from weft.observe.render.canvas import place
from weft.observe.render.drawing import Box, Dot, Drawing, Path, Shape, Stroke, Text, Tone
from weft.observe.render.grid import HEADER, INSET, MARGIN, ZONE_GAP, ZONE_HEADER, Extent
from weft.observe.underlay import TUNNELS, Bridge, Node, Tunnel, TunnelState, Underlay

LANE = 22.0
GAP = 26.0
CAPTION = 130.0
MIN_WIDTH, MAX_WIDTH = 220.0, 380.0
PITCH = 16.0  # between the ends of tunnels
LABEL_ROOM = 66.0  # for a tunnel's label inside the frame of its left node
INTEGRATION = "br-int"
TONES = {
    TunnelState.WHOLE: Tone.GOOD,
    TunnelState.UNREAD: Tone.GOOD,
    TunnelState.HALF: Tone.WARN,
    TunnelState.NONE: Tone.BAD,
}
WORD = {TunnelState.HALF: "one end", TunnelState.NONE: "broken"}


@dataclass(frozen=True, slots=True)
class _Rows:
    """Where the rows are: bridges on top, lanes of tunnels, devices that carry them, the wire."""

    lanes: Mapping[tuple[str, str], float]
    inner: float
    outer: float
    wire: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Links:
    """Where a click on a node, a pod or a machine leads; "" for nowhere."""

    node: Callable[[str], str] = lambda _: ""
    owner: Callable[[PortPod], str] = lambda _: ""


NO_LINKS = Links()


def lay_out(underlay: Underlay, links: Links = NO_LINKS) -> Drawing:
    """The drawing of an underlay."""
    inner = {
        node.name: [_card(node, bridge, links) for bridge in _inner(node)]
        for node in underlay.nodes
    }
    outer = {node.name: _carrying(node, links) for node in underlay.nodes}
    columns = _columns(underlay, [*inner.values(), *outer.values()])
    rows = _rows(underlay, inner, outer)
    boxes: dict[tuple[str, str], Box] = {}
    for stacks, y in ((inner, rows.inner), (outer, rows.outer)):
        for node, stack in stacks.items():
            at = y
            if stacks is inner:  # their lower edges in one line, where the tunnels begin
                at = rows.inner - _tall(stack)
            for card in stack:
                box = place(card, columns[node].start + INSET, at, columns[node].length - 2 * INSET)
                boxes[node, card.id] = box
                at = box.bottom + GAP / 2
    paths, dots, texts = _tunnels(underlay, inner, columns, boxes, rows)
    wire = _wire(underlay, columns, rows)
    paths += _down(underlay, outer, boxes, wire)
    whole = sum(tunnel.state.works for tunnel in underlay.tunnels)
    summary = lettering.counted(len(underlay.nodes), "node")
    summary += ", " + lettering.counted(len(underlay.tunnels), "tunnel")
    if whole < len(underlay.tunnels):
        summary += f", {len(underlay.tunnels) - whole} of them broken"
    texts += [Text(MARGIN, 32, "Physical topology", "title"), Text(MARGIN, 51, summary, "muted")]
    right = max((span.end for span in columns.values()), default=MARGIN + CAPTION + 300)
    return Drawing(
        width=right + MARGIN,
        height=rows.bottom + MARGIN,
        title="Physical topology",
        summary=summary,
        frames=tuple(
            _frame(node, columns[node.name], rows, links.node(node.name)) for node in underlay.nodes
        ),
        paths=tuple(paths),
        boxes=(*boxes.values(), *([wire] if wire else [])),
        dots=tuple(dots),
        texts=(*texts, *_captions(rows)),
    )


def _inner(node: Node) -> list[Bridge]:
    """Bridges with pods or tunnels on them; the integration bridge is lowest."""
    carrying = {bridge.name for bridge in _outer(node)}
    return sorted(
        (bridge for bridge in node.bridges if bridge.name not in carrying),
        key=lambda bridge: bridge.name == INTEGRATION,
    )


def _outer(node: Node) -> list[Bridge]:
    return [
        bridge
        for bridge in node.bridges
        if bridge.name != INTEGRATION
        and not any(one.owner or one.type in TUNNELS for one in bridge.interfaces)
    ]


def _card(node: Node, bridge: Bridge, links: Links) -> cards.Card:
    """The card of a bridge with its interfaces and their pods."""
    labels = [cards.Label(bridge.name, "name"), cards.Label(f"datapath {bridge.datapath}", "muted")]
    title = [f"bridge {bridge.name} of {node.name}"]
    for one in bridge.interfaces:
        about = f"{one.name} ({one.type})"
        if one.owner is not None:
            whose = f"{one.owner.namespace}/{one.owner.name}"
            shown = f"{whose} on {one.network}" if one.network else whose
            hue = colours.of(one.network) if one.network else None
            labels += [cards.Label(shown, "plain", hue=hue, href=links.owner(one.owner))]
            labels += [cards.Label(one.name, end=True, beside=True)]
            about += f": {one.owner.kind} {whose}, port {one.port} {one.mac}"
        elif one.type not in TUNNELS and one.name != bridge.name:
            labels.append(cards.Label(f"{one.name} {one.type}"))
        title.append(f"{about} {one.error}".rstrip())
    return cards.Card(bridge.name, Shape.BRIDGE, tuple(labels), "\n".join(title), None, "OVS")


def _carrying(node: Node, links: Links) -> list[cards.Card]:
    """Cards of the bridges and devices through which the tunnels leave."""
    found = []
    for bridge in _outer(node):
        card = _card(node, bridge, links)
        if bridge.name in node.egress or not node.egress:
            extra = tuple(cards.Label(address) for address in node.zone.addresses)
            card = replace(card, labels=(*card.labels[:1], *extra, *card.labels[1:]))
        found.append(card)
    known = {bridge.name for bridge in node.bridges}
    others = [name for name in node.egress if name not in known]
    if not found and not others:
        others = ["underlay"]
    for name in others:
        labels = [cards.Label(name, "name"), *(cards.Label(one) for one in node.zone.addresses)]
        title = f"{name} of {node.name}"
        faint = not node.zone.read
        found.append(cards.Card(name, Shape.BRIDGE, tuple(labels), title, None, "", faint))
    return found


def _columns(underlay: Underlay, stacks: Sequence[Sequence[cards.Card]]) -> dict[str, Extent]:
    widest = max((card.width for stack in stacks for card in stack), default=0.0)
    ends = PITCH * len(underlay.nodes) + cards.SIDE + LABEL_ROOM
    width = max(min(max(widest, MIN_WIDTH), MAX_WIDTH), ends) + 2 * INSET
    start = MARGIN + CAPTION
    found = {}
    for node in underlay.nodes:
        found[node.name] = Extent(start, width)
        start += width + ZONE_GAP
    return found


def _tall(stack: Sequence[cards.Card]) -> float:
    return sum(card.height for card in stack) + GAP / 2 * (len(stack) - 1) if stack else 0.0


def _rows(
    underlay: Underlay,
    inner: Mapping[str, Sequence[cards.Card]],
    outer: Mapping[str, Sequence[cards.Card]],
) -> _Rows:
    edge = HEADER + ZONE_HEADER + max((_tall(stack) for stack in inner.values()), default=0.0)
    lanes = _lanes(underlay)
    count = max(lanes.values(), default=-1) + 1
    y = {pair: edge + GAP + LANE * lane for pair, lane in lanes.items()}
    top = edge + GAP + LANE * count + GAP / 2
    wire = top + max((_tall(stack) for stack in outer.values()), default=0.0) + GAP
    return _Rows(y, edge, top, wire, wire + 34 + INSET)


def _lanes(underlay: Underlay) -> dict[tuple[str, str], int]:
    """Tunnels that overlap get different lanes; short ones come first, so that fewer cross."""
    order = {node.name: place for place, node in enumerate(underlay.nodes)}
    taken: list[list[tuple[int, int]]] = []
    found: dict[tuple[str, str], int] = {}

    def length(tunnel: Tunnel) -> tuple[int, int]:
        one, other = (order[name] for name in tunnel.nodes)
        return other - one, one

    for tunnel in sorted(underlay.tunnels, key=length):
        one, other = (order[name] for name in tunnel.nodes)
        lane = 0
        while lane < len(taken) and any(a < other and one < b for a, b in taken[lane]):
            lane += 1
        if lane == len(taken):
            taken.append([])
        taken[lane].append((one, other))
        found[tunnel.nodes] = lane
    return found


def _tunnels(
    underlay: Underlay,
    inner: Mapping[str, Sequence[cards.Card]],
    columns: Mapping[str, Extent],
    boxes: Mapping[tuple[str, str], Box],
    rows: _Rows,
) -> tuple[list[Path], list[Dot], list[Text]]:
    paths: list[Path] = []
    dots: list[Dot] = []
    texts: list[Text] = []
    for tunnel in underlay.tunnels:
        y, tone = rows.lanes[tunnel.nodes], TONES[tunnel.state]
        xs = [_end_at(underlay, columns, tunnel, node) for node in tunnel.nodes]
        tops = [
            boxes[node, inner[node][-1].id].bottom if inner[node] else y for node in tunnel.nodes
        ]
        title = [f"{tunnel.type} tunnel: {tunnel.state.text}"]
        title += [f"{end.node}: {end.device}, {end.local} to {end.remote}" for end in tunnel.ends]
        works = tunnel.state.works
        points = ((xs[0], tops[0]), (xs[0], y), (xs[1], y), (xs[1], tops[1]))
        stroke = Stroke.TUNNEL if works else Stroke.BROKEN
        paths.append(Path(points, stroke, title="\n".join(title), tone=tone))
        dots += [Dot(x, top, tone=tone, large=True) for x, top in zip(xs, tops, strict=True)]
        content = tunnel.type if works else WORD[tunnel.state]
        texts.append(Text(xs[0] + 8, y - 5, content, "muted", tone=tone))
    return paths, dots, texts


def _end_at(underlay: Underlay, columns: Mapping[str, Extent], tunnel: Tunnel, node: str) -> float:
    """The x of a tunnel's end: tunnels to nodes on the left are on the left, near nodes
    outermost."""
    order = {one.name: place for place, one in enumerate(underlay.nodes)}
    here = order[node]
    others = sorted(
        order[name]
        for one in underlay.tunnels
        if node in one.nodes
        for name in one.nodes
        if name != node
    )
    there = order[next(name for name in tunnel.nodes if name != node)]
    span = columns[node]
    if there < here:
        nearer = sum(there < other < here for other in others)
        return span.start + INSET + cards.SIDE + PITCH * nearer
    nearer = sum(here < other < there for other in others)
    return span.end - INSET - LABEL_ROOM - PITCH * nearer


def _wire(underlay: Underlay, columns: Mapping[str, Extent], rows: _Rows) -> Box | None:
    if not underlay.nodes:
        return None
    start = columns[underlay.nodes[0].name].start + INSET / 2
    end = columns[underlay.nodes[-1].name].end - INSET / 2
    name = Text(start + 14, rows.wire + 21.5, "underlay", "name")
    title = "the network between the nodes, which carries the tunnels"
    return Box(start, rows.wire, end - start, 34, Shape.PHYSICAL, (name,), title)


def _down(
    underlay: Underlay,
    outer: Mapping[str, Sequence[cards.Card]],
    boxes: Mapping[tuple[str, str], Box],
    wire: Box | None,
) -> list[Path]:
    """Lines from the devices that carry the tunnels down to the underlay network."""
    found = []
    for node in underlay.nodes:
        if wire is not None and outer[node.name]:
            box = boxes[node.name, outer[node.name][-1].id]
            x = box.x + 22
            found.append(Path(((x, box.bottom), (x, wire.y)), title=", ".join(node.zone.addresses)))
    return found


def _frame(node: Node, span: Extent, rows: _Rows, href: str) -> Box:
    x, room = span.start + INSET, span.length - 2 * INSET
    zone = node.zone
    name = lettering.fit(zone.name, "heading", room)
    about = zone.chassis
    if not zone.read:
        about = "cannot be read" if zone.trouble else "not read"
    shown = lettering.fit(about, "mono", room)
    texts = (
        Text(
            *(x, HEADER + 24, name, "heading"),
            full=zone.name if name != zone.name else "",
            href=href,
        ),
        Text(x, HEADER + 40, shown, "mono", full=about if shown != about else ""),
    )
    title = "\n".join(part for part in (zone.name, zone.chassis, zone.trouble) if part)
    height = rows.bottom - HEADER
    return Box(
        span.start, HEADER, span.length, height, Shape.ZONE, texts, title, faint=not zone.read
    )


def _captions(rows: _Rows) -> list[Text]:
    found = [Text(MARGIN, rows.outer + 21, "underlay device", "caption")]
    found.append(Text(MARGIN, rows.inner - 14, "integration bridge", "caption"))
    if rows.lanes:
        found.append(Text(MARGIN, min(rows.lanes.values()) + 4, "tunnels", "caption"))
    return found
