"""Writes a topology as a Mermaid flowchart, which Markdown viewers such as GitHub draw.

Each zone is a subgraph; what spans zones is outside of them.
"""

from __future__ import annotations

from collections.abc import Iterable

from weft.observe.graph import Graph, Zone
from weft.observe.overview import Overview
from weft.observe.render import colours, layers, lettering, overview_text
from weft.observe.render.drawing import Shape
from weft.observe.underlay import TUNNELS, Underlay

_SPECIAL = frozenset('"#<>&`\\')
_SHAPES = {Shape.ROUTER: ("([", "])")}
_BOX = ("[", "]")
_BAND = ("[[", "]]")


class _Names:
    """Ids of a flowchart's nodes: letters and digits only, whatever names the nodes show."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], str] = {}

    def __call__(self, zone: str, id: str) -> str:
        return self._known.setdefault((zone, id), f"n{len(self._known)}")


def logical(graph: Graph) -> str:
    """The switches, routers and pods, zone by zone."""
    arranged = layers.arrange(graph)
    name = _Names()
    lines = ["flowchart TB"]
    classes: dict[str, list[str]] = {}
    bands: set[str] = set()
    rows = (*arranged.top, *arranged.below)
    for row in rows:
        if row.band is not None:
            bands.add(row.band.id)
            own = name("", row.band.id)
            lines.append(f"  {own}{_node(_BAND, row.band.name, row.band.more or row.caption)}")
            if row.band.hue is not None:
                classes.setdefault(_class(row.band.hue), []).append(own)
    for number, zone in enumerate(graph.zones):
        lines.append(f'  subgraph z{number}["{_shown(_title(zone))}"]')
        for row in rows:
            for card in row.cards.get(zone.name, ()):
                own = name(zone.name, card.id)
                ends = _SHAPES.get(card.shape, _BOX)
                lines.append(f"    {own}{_node(ends, *(label.text for label in card.labels))}")
                if card.hue is not None:
                    classes.setdefault(_class(card.hue), []).append(own)
        for card in arranged.pods.get(zone.name, ()):
            own = name(zone.name, card.id)
            labels = (
                f"{card.badge} {card.labels[0].text}",
                *(label.text for label in card.labels[1:]),
            )
            lines.append(f"    {own}{_node(_BOX, *labels)}")
        lines.append("  end")
    places = _places(arranged)
    for connection in arranged.connections:
        # Mermaid draws the end that is named first above the other.
        in_order = sorted((connection.other, connection.router), key=lambda id: places.get(id, 0))
        one, other = (name("" if id in bands else connection.zone, id) for id in in_order)
        label = f'|"{_shown(", ".join(connection.labels))}"|' if connection.labels else ""
        lines.append(f"  {one} ---{label} {other}")
    for zone_name, groups in arranged.nics.items():
        for id, nics in groups.items():
            for nic in nics:
                switch = name("" if nic.switch.id in bands else zone_name, nic.switch.id)
                pod = name(zone_name, id)
                above, below = (switch, pod) if nic.left else (pod, switch)
                lines.append(f"  {above} --- {below}")
    return _finished(lines, classes)


def overview(overview: Overview) -> str:
    """The networks and the workloads on them; a workload on several networks is one node."""
    name = _Names()
    lines = ["flowchart LR"]
    classes: dict[str, list[str]] = {}
    known: set[str] = set()
    for section in overview.sections:
        network = section.network.name
        own = name("network", network)
        lines.append(f"  {own}{_node(_BAND, network, *overview_text.about(section))}")
        classes.setdefault(_class(colours.of(network)), []).append(own)
        for group in section.groups:
            card = name("workload", str(group.workload))
            if card not in known:
                known.add(card)
                lines.append(f"  {card}{_node(_BOX, f'{group.counted} {group.workload}')}")
            faults = [fault for member in group.members for fault in member.faults]
            label = f'|"{_shown(", ".join(dict.fromkeys(faults)))}"|' if faults else ""
            lines.append(f"  {own} ---{label} {card}")
    return _finished(lines, classes)


def _places(arranged: layers.Layers) -> dict[str, int]:
    """The row of each node."""
    found: dict[str, int] = {}
    for place, row in enumerate((*arranged.top, *arranged.below)):
        if row.band is not None:
            found[row.band.id] = place
        for stack in row.cards.values():
            found.update({card.id: place for card in stack})
    return found


def physical(underlay: Underlay) -> str:
    """The nodes, their bridges and tunnels."""
    name = _Names()
    wire = name("", "underlay")
    lines = ["flowchart TB"]
    for number, node in enumerate(underlay.nodes):
        bridge = name(node.name, "")
        lines.append(f'  subgraph z{number}["{_shown(_title(node.zone))}"]')
        lines.append(f"    {bridge}{_node(_BOX, 'br-int')}")
        for one in (one for bridge in node.bridges for one in bridge.interfaces):
            if one.owner is not None and one.type not in TUNNELS:
                who = f"{one.owner.kind} {one.owner.namespace}/{one.owner.name}"
                own = name(node.name, one.name)
                lines.append(f"    {own}{_node(_BOX, who, one.network, one.name)} --- {bridge}")
        lines.append("  end")
        lines.append(f"  {bridge} --- {wire}")
    lines.append(f"  {wire}{_node(_BAND, 'underlay')}")
    for tunnel in underlay.tunnels:
        ends = [name(node, "") for node in tunnel.nodes]
        arrow = "<-->" if tunnel.state.works else "-.-"
        label = tunnel.type if tunnel.state.works else f"{tunnel.type}: {tunnel.state.text}"
        lines.append(f'  {ends[0]} {arrow}|"{_shown(label)}"| {ends[1]}')
    return _finished(lines, {})


def _title(zone: Zone) -> str:
    read = "" if zone.read else "(not read)"
    return " ".join(part for part in (zone.name, *zone.addresses, read) if part)


def _node(ends: tuple[str, str], *lines: str) -> str:
    return f'{ends[0]}"{"<br/>".join(_shown(line) for line in lines if line)}"{ends[1]}'


def _shown(text: str) -> str:
    shown = lettering.printable(text)
    return "".join(f"#{ord(one)};" if one in _SPECIAL else one for one in shown) or " "


def _class(hue: int) -> str:
    return f"h{hue}"


def _finished(lines: Iterable[str], classes: dict[str, list[str]]) -> str:
    """The lines with classes for colours: those for light ground, as Mermaid has no dark
    variant."""
    styles = []
    for label, members in sorted(classes.items()):
        one = colours.colour(int(label[1:]))
        styles.append(f"  classDef {label} fill:{one.tint},stroke:{one.line},color:#1c2330")
        styles.append(f"  class {','.join(members)} {label}")
    return "".join(f"{line}\n" for line in (*lines, *styles))
