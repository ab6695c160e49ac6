"""The logical picture: whatever the rows are, nothing covers anything else."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings

from tests.support import topology as rows
from tests.unit.observe.render.drawn import check_lines, graphs
from weft.observe import topology
from weft.observe.graph import Graph
from weft.observe.render import logical, mermaid, svg, tree
from weft.observe.render.drawing import Box, Drawing, Shape


@given(graphs())
@settings(max_examples=150, deadline=None)
def test_nothing_covers_anything(graph: Graph) -> None:
    drawing = logical.lay_out(graph)
    check_lines(drawing)
    ElementTree.fromstring(svg.render(drawing))
    assert "\x1b" not in tree.logical(graph)
    assert "\x1b" not in mermaid.logical(graph)


@given(graphs())
@settings(max_examples=50, deadline=None)
def test_every_pod_is_reported_in_full(graph: Graph) -> None:
    drawing = logical.lay_out(graph)
    titles = "\n".join(box.title for box in drawing.boxes)
    for switch in graph.switches:
        for port in switch.ports:
            if port.owner is not None:
                assert port.owner.pod in titles
                assert port.name in titles


def test_cut_words_have_a_title() -> None:
    made = rows.zones(1)
    long = "a-network-with-a-name-that-is-far-too-long-for-any-picture-of-it"
    rows.add_layer2(made, long, {1: [("default", "pod-" + "x" * 60, "10.1.0.1")]})
    drawing = logical.lay_out(topology.build(rows.snapshots(made)))
    cut = [text for text in drawing.written() if "…" in text.content]
    assert {text.full for text in cut} >= {long, "pod-" + "x" * 60}
    assert all(text.full for text in cut)


def test_an_address_is_reported_in_full_where_nothing_stands_beside_it() -> None:
    made = rows.zones(1)
    rows.add_layer3(made, "default", {1: [("shop", "web")]})
    graph = topology.build(rows.snapshots(made))
    long = "fd00:172:31:1:aaaa::65/64"
    links = tuple(replace(one, addresses=(long,)) for one in graph.links)
    drawing = logical.lay_out(replace(graph, links=links))
    check_lines(drawing)
    assert long in [text.content for text in drawing.texts]


@pytest.fixture
def default_network() -> Graph:
    made = rows.zones(3)
    rows.add_layer3(made, "default", {1: [("shop", "web")], 2: [("shop", "db")]})
    pods = {1: [("shop", "web", "10.5.0.1")], 3: [("shop", "cart", "10.5.0.3")]}
    rows.add_layer2(made, "blue", pods)
    return topology.build(rows.snapshots(made))


def by_name(drawing: Drawing, name: str) -> list[Box]:
    return [box for box in drawing.boxes if box.texts and box.texts[0].content == name]


def test_layers_are_rows_and_zones_are_columns(default_network: Graph) -> None:
    drawing = logical.lay_out(default_network)
    check_lines(drawing)
    for number, frame in enumerate(drawing.frames, 1):
        names = ("ext_node", "GR_node", "join", "ovn_cluster_router", "node")
        stack = []
        for name in names:
            full = f"{name}{number}" if name.endswith("node") else name
            inside = [box for box in by_name(drawing, full) if frame.x < box.x < frame.right]
            assert len(inside) == 1, full
            stack += inside
        assert [box.y for box in stack] == sorted(box.y for box in stack)
    (transit,) = by_name(drawing, "transit_switch")
    assert transit.x < drawing.frames[0].right
    assert transit.right > drawing.frames[-1].x


def test_a_band_goes_past_zones_that_lack_it(default_network: Graph) -> None:
    drawing = logical.lay_out(default_network)
    parts = by_name(drawing, "blue_ovn_layer2_switch")
    first, last = sorted(parts, key=lambda box: box.x)
    middle = drawing.frames[1]
    assert first.right <= middle.x
    assert last.x >= middle.right
    assert any(
        path.points == ((first.right, first.middle), (last.x, last.middle))
        for path in drawing.paths
    )


def test_one_card_for_a_pod_on_two_networks(default_network: Graph) -> None:
    drawing = logical.lay_out(default_network)
    (web,) = by_name(drawing, "web")
    assert {text.content for text in web.texts} >= {"web", "shop", "10.128.1.5", "10.5.0.1"}
    large = [dot for dot in drawing.dots if dot.large and web.y < dot.y < web.bottom]
    assert {dot.x for dot in large if web.x <= dot.x <= web.right} == {web.x, web.right}


@pytest.mark.parametrize("remote", ["remote", ""])
def test_what_was_not_read_has_dashes(remote: str) -> None:
    """A router stands where routers stand, though only its port on the transit switch is known."""
    made = rows.zones(3)
    rows.add_layer3(made, "default", {1: [("shop", "web")]}, remote=remote)
    rows.add_layer2(
        made, "blue", {1: [("shop", "web", "10.1.0.1")], 2: [("shop", "db", "10.1.0.2")]}
    )
    drawing = logical.lay_out(topology.build([made[0].snapshot()]))
    (own,) = by_name(drawing, "ovn_cluster_router")
    (other,) = by_name(drawing, "tstor-node2")
    assert (other.shape, other.faint, own.faint) == (Shape.ROUTER, True, False)
    assert other.y == own.y
    assert [box.faint for name in ("web", "db") for box in by_name(drawing, name)] == [False, True]
    texts = {text.content for text in drawing.texts}
    assert logical.UNKNOWN in texts
    assert logical.EMPTY not in texts


def test_many_pods_stand_in_columns() -> None:
    made = rows.zones(2)
    many = [("ns", f"pod-{number}", f"10.5.1.{number}") for number in range(40)]
    rows.add_layer2(made, "blue", {1: many, 2: many[:1]})
    rows.add_layer2(made, "red", {1: many[::2]})
    rows.add_layer3(made, "default", {1: [(ns, pod) for ns, pod, _ in many]})
    drawing = logical.lay_out(topology.build(rows.snapshots(made)))
    check_lines(drawing)
    assert drawing.height < 2500


def test_empty_pictures() -> None:
    for graph in (Graph(), topology.build(rows.snapshots(rows.zones(2)))):
        drawing = logical.lay_out(graph)
        check_lines(drawing)
        ElementTree.fromstring(svg.render(drawing))
