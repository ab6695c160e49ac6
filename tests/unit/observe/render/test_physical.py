"""The physical picture: nodes side by side, a line for each tunnel, nothing covered."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from tests.support import topology as rows
from tests.unit.observe.render.drawn import check_lines
from weft.observe import underlay
from weft.observe.graph import PortPod
from weft.observe.render import colours, mermaid, physical, svg, tree
from weft.observe.render.drawing import Stroke
from weft.observe.underlay import Bridge, Interface, Underlay


@pytest.mark.parametrize("nodes", [1, 2, 3, 9])
def test_nothing_covers_anything(nodes: int) -> None:
    drawing = physical.lay_out(underlay.build(rows.snapshots(rows.zones(nodes))))
    check_lines(drawing)
    tunnels = [path for path in drawing.paths if path.stroke is Stroke.TUNNEL]
    assert len(tunnels) == nodes * (nodes - 1) / 2
    assert len(
        {path.points[0] for path in tunnels} | {path.points[-1] for path in tunnels}
    ) == 2 * len(tunnels)
    ElementTree.fromstring(svg.render(drawing))


def test_an_interface_is_named_however_long_its_pods_name_is() -> None:
    made = underlay.build(rows.snapshots(rows.zones(1)))
    long = Interface("wp0123456789abc", "internal", owner=PortPod("default", "x" * 63), network="n")
    node = replace(made.nodes[0], bridges=(Bridge("br-int", "netdev", (long,)),))
    drawing = physical.lay_out(replace(made, nodes=(node,), tunnels=()))
    check_lines(drawing)
    words = [text.content for box in drawing.boxes for text in box.texts]
    assert "wp0123456789abc" in words
    assert any("…" in one for one in words)


def test_a_broken_tunnel_is_seen() -> None:
    made = rows.zones(2)
    for row in made[0].tables["Interface"].values():
        row["type"] = "internal"
    shown = underlay.build(rows.snapshots(made))
    drawing = physical.lay_out(shown)
    assert drawing.summary == "2 nodes, 1 tunnel, 1 of them broken"
    assert [path.stroke for path in drawing.paths if path.tone is not None] == [Stroke.BROKEN]
    assert "node1 to node2  geneve: at one of its nodes only" in tree.physical(shown)
    assert "-.-" in mermaid.physical(shown)


def test_an_interfaces_network_has_its_colour_here_too() -> None:
    made = underlay.build(rows.snapshots(rows.zones(1)))
    one = Interface("wp1", "internal", owner=PortPod("shop", "web"), network="blue")
    node = replace(made.nodes[0], bridges=(Bridge("br-int", "netdev", (one,)),))
    drawing = physical.lay_out(replace(made, nodes=(node,), tunnels=()))
    hues = {text.content: text.hue for box in drawing.boxes for text in box.texts}
    assert hues["shop/web on blue"] == colours.of("blue")


def test_no_nodes() -> None:
    check_lines(physical.lay_out(Underlay()))
    assert tree.physical(Underlay()) == ""
