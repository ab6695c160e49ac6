"""Writes nodes and tunnels for a terminal: a tree of few nodes, a grid of tunnels of many.

A cell of the grid is the tunnel from its row's node to its column's, as the row's node has it.
"""

from __future__ import annotations

from collections.abc import Iterator

from weft.observe import chassis, tunnelhealth
from weft.observe.render import colours, grid_text, lettering, tree
from weft.observe.render.grid_text import Line, Span, cut
from weft.observe.tunnelhealth import Health
from weft.observe.underlay import Underlay

SIGNS = {
    Health.UP: Span("●", "good"),
    Health.DOWN: Span("!", "bad"),
    Health.SILENT: Span("!", "bad"),
    Health.MISSING: Span("x", "warn"),
    Health.UNREAD: Span("?", "unknown"),
}
MAX_FAULTS = 20  # faults that are listed


def lines(underlay: Underlay, width: int) -> Iterator[Line]:
    """The lines for an underlay, each within `width` where names allow it."""
    if len(underlay.nodes) < tunnelhealth.MANY:
        for line in tree.physical(underlay, width).splitlines():
            yield (Span(line),)
        return
    yield (Span(cut(tunnelhealth.summary(underlay), width), "title"),)
    yield ()
    hosts = chassis.hosts(node.name for node in underlay.nodes)
    names = [lettering.printable(host) for host in hosts.values()]
    by_pair = tunnelhealth.grid(underlay)
    signs = {at: SIGNS[health] for at, health in by_pair.items()}
    yield from grid_text.lines([Span(name) for name in names], names, signs, width)
    yield ()
    appearing = [health for health in Health if health in by_pair.values()]
    yield from grid_text.legend([(SIGNS[one], one.value) for one in appearing], width)
    yield from _faults(underlay, width)
    yield ()
    yield from _nodes(underlay, width)


def _faults(underlay: Underlay, width: int) -> Iterator[Line]:
    found = [(text, "bad") for text in tunnelhealth.faults(underlay)]
    found += [
        (f"{node.name} cannot be read: {node.zone.trouble}", "bad")
        for node in underlay.nodes
        if node.zone.trouble
    ]
    yield from [()] if found else []
    for text, style in found[:MAX_FAULTS]:
        for line in tree.folded(lettering.printable(text), width, "  "):
            yield (Span(line, style),)
    if len(found) > MAX_FAULTS:
        yield (Span(f"and {len(found) - MAX_FAULTS} more; -o json lists all", "muted"),)


def _nodes(underlay: Underlay, width: int) -> Iterator[Line]:
    """A line for each node: its address, and how many pods it has on each network."""
    hosts = chassis.hosts(node.name for node in underlay.nodes)
    room = min(max(map(len, hosts.values())), 24)
    for node in underlay.nodes:
        name = cut(lettering.printable(hosts[node.name]), room)
        spans = [Span(f"{name:<{room}}  {', '.join(node.zone.addresses)}")]
        for network, count in tunnelhealth.pods(node):
            text = lettering.printable(f"{network or 'pods'} {count}")
            if grid_text.length(tuple(spans)) + 2 + len(text) > width:
                yield tuple(spans)
                spans = [Span(" " * (room + 2))]
            spans += [Span("  "), Span(text, "", colours.of(network) if network else None)]
        yield tuple(spans)
