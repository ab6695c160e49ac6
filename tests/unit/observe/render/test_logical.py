"""The logical picture: whatever the rows are, nothing covers anything else."""

from __future__ import annotations

import itertools
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import topology as rows
from weft.observe import topology
from weft.observe.graph import Graph
from weft.observe.render import lettering, logical, mermaid, svg, tree
from weft.observe.render.drawing import Box, Drawing, Shape, Text

ODD = st.text(min_size=1, max_size=40) | st.sampled_from(
    ["a&b", '<script>"', "network/with/slashes", "网络-" * 6, "x" * 80, "\x1b[2Jgone", "�", "-"]
)
NAMES = st.sampled_from(["blue", "red", "default", "join", "a_transit_switch"]) | ODD
ADDRESSES = st.sampled_from(
    ["10.1.2.3", "fd00:1234:5678:9abc:def0:1234:5678:9abc", "not an address", "10.1.2.3 fd01::9"]
)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Anything that fits into the tables, sensible or not."""
    made = rows.zones(draw(st.integers(0, 4)))
    places = [zone.name for zone in made] or ["none"]
    for zone in made:
        loose = []
        for number in range(draw(st.integers(0, 3))):
            ports = [f"lrp{number}-{count}" for count in range(draw(st.integers(0, 3)))]
            loose += ports
            options = {"chassis": "x"} if draw(st.booleans()) else {}
            several = st.lists(ADDRESSES, max_size=3)
            uuids = [zone.router_port(port, *(f"{a}/24" for a in draw(several))) for port in ports]
            zone.router(draw(NAMES), uuids, nats=[("10.0.0.0/8", draw(ADDRESSES))], **options)
        for number in range(draw(st.integers(0, 3))):
            uuids = [
                zone.pod_port(draw(NAMES), draw(ODD), draw(ODD), draw(ADDRESSES), at=at)
                for at in draw(st.lists(st.sampled_from(places), max_size=16))
            ]
            for count in range(draw(st.integers(0, min(2, len(loose))))):
                uuids.append(zone.link(f"lsp{number}-{count}", loose.pop()))
            if draw(st.booleans()):
                localnet = {"network_name": draw(ODD)}
                uuids.append(
                    zone.port(f"out{number}", "unknown", type="localnet", options=localnet)
                )
            other = {"interconn_ts": f"span{number}"} if draw(st.booleans()) else {}
            zone.switch(draw(NAMES), uuids, network=draw(st.just("") | NAMES), **other)
    read = draw(st.integers(0, len(made)))
    return topology.build(rows.snapshots(made[:read]))


def overlap(one: Box, other: Box) -> bool:
    return (
        one.x < other.right
        and other.x < one.right
        and one.y < other.bottom
        and other.y < one.bottom
    )


def around(text: Text) -> Box:
    """The box that a text fills."""
    style = lettering.STYLES[text.style]
    width = lettering.width(text.words, text.style)
    x = text.x - width if text.end else text.x
    return Box(x, text.y - 0.75 * style.size, width, 0.95 * style.size, Shape.POD)


def crosses(path: tuple[tuple[float, float], ...], box: Box) -> bool:
    """Whether a path of level and upright lines goes through the inside of a box."""
    for (x1, y1), (x2, y2) in itertools.pairwise(path):
        left, right, top, bottom = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
        if left < box.right and right > box.x and top < box.bottom and bottom > box.y:
            return True
    return False


def check(drawing: Drawing) -> None:
    """What makes a drawing legible."""
    for one, other in itertools.combinations(drawing.boxes, 2):
        assert not overlap(one, other), f"{one} covers {other}"
    for one, other in itertools.combinations(drawing.frames, 2):
        assert not overlap(one, other), f"{one} covers {other}"
    bands = (Shape.BAND, Shape.PHYSICAL)
    cards = [box for box in drawing.boxes if box.shape not in bands]
    for card in cards:
        assert any(
            frame.x < card.x and card.right < frame.right and card.bottom < frame.bottom
            for frame in drawing.frames
        )
        for path in drawing.paths:
            assert not crosses(path.points, card), f"{path} goes through {card}"
    for box in (*drawing.frames, *drawing.boxes):
        for text in box.texts:
            spot = around(text)
            assert box.x <= spot.x, text
            assert spot.right <= box.right, text
            assert box.y <= spot.y, text
            assert spot.bottom <= box.bottom, text
    written = [around(text) for text in drawing.written() if text.words]
    for one, other in itertools.combinations(written, 2):
        assert not overlap(one, other)
    for text in drawing.texts:
        assert not any(overlap(around(text), box) for box in drawing.boxes), text
    for spot in (*written, *drawing.frames, *drawing.boxes):
        assert spot.x >= 0
        assert spot.y >= 0
        assert spot.right <= drawing.width
        assert spot.bottom <= drawing.height


@given(graphs())
@settings(max_examples=150, deadline=None)
def test_nothing_covers_anything(graph: Graph) -> None:
    drawing = logical.lay_out(graph)
    check(drawing)
    ElementTree.fromstring(svg.render(drawing))
    assert "\x1b" not in tree.logical(graph)
    assert "\x1b" not in mermaid.logical(graph)


@given(graphs())
@settings(max_examples=50, deadline=None)
def test_every_pod_is_told_in_full(graph: Graph) -> None:
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
    cut = [text for text in drawing.written() if "…" in text.words]
    assert {text.full for text in cut} >= {long, "pod-" + "x" * 60}
    assert all(text.full for text in cut)


def test_an_address_is_told_in_full_where_nothing_stands_beside_it() -> None:
    made = rows.zones(1)
    rows.add_layer3(made, "default", {1: [("shop", "web")]})
    graph = topology.build(rows.snapshots(made))
    long = "fd00:172:31:1:aaaa::65/64"
    links = tuple(replace(one, addresses=(long,)) for one in graph.links)
    drawing = logical.lay_out(replace(graph, links=links))
    check(drawing)
    assert long in [text.words for text in drawing.texts]


@pytest.fixture
def default_network() -> Graph:
    made = rows.zones(3)
    rows.add_layer3(made, "default", {1: [("shop", "web")], 2: [("shop", "db")]})
    pods = {1: [("shop", "web", "10.5.0.1")], 3: [("shop", "cart", "10.5.0.3")]}
    rows.add_layer2(made, "blue", pods)
    return topology.build(rows.snapshots(made))


def by_name(drawing: Drawing, name: str) -> list[Box]:
    return [box for box in drawing.boxes if box.texts and box.texts[0].words == name]


def test_layers_are_rows_and_zones_are_columns(default_network: Graph) -> None:
    drawing = logical.lay_out(default_network)
    check(drawing)
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
    assert {text.words for text in web.texts} >= {"web", "shop", "10.128.1.5", "10.5.0.1"}
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
    said = {text.words for text in drawing.texts}
    assert logical.UNKNOWN in said
    assert logical.EMPTY not in said


def test_many_pods_stand_in_columns() -> None:
    made = rows.zones(2)
    many = [("ns", f"pod-{number}", f"10.5.1.{number}") for number in range(40)]
    rows.add_layer2(made, "blue", {1: many, 2: many[:1]})
    rows.add_layer2(made, "red", {1: many[::2]})
    rows.add_layer3(made, "default", {1: [(ns, pod) for ns, pod, _ in many]})
    drawing = logical.lay_out(topology.build(rows.snapshots(made)))
    check(drawing)
    assert drawing.height < 2500


def test_empty_pictures() -> None:
    for graph in (Graph(), topology.build(rows.snapshots(rows.zones(2)))):
        drawing = logical.lay_out(graph)
        check(drawing)
        ElementTree.fromstring(svg.render(drawing))
