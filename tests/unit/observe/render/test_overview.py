"""The overview as text and as a picture: it stays readable, and nothing covers anything."""

from __future__ import annotations

import itertools
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import topology as rows
from tests.unit.observe.render.test_logical import graphs, overlap
from weft.observe import overview, topology
from weft.observe.graph import Graph, Port
from weft.observe.overview import Overview
from weft.observe.render import colours, lettering, mermaid, overview_picture, overview_text, svg
from weft.observe.render.drawing import Box, Drawing
from weft.observe.snapshot import Snapshot

ENDS = ["".join(each) for each in itertools.product("bcdfghjklm", repeat=2)]


def graph(nodes: int, pods: int) -> Graph:
    """Pods in deployments of 25, on the cluster's own network and two others."""
    made = rows.zones(nodes)
    own: dict[int, list[tuple[str, str]]] = {}
    blue: dict[int, list[tuple[str, str, str]]] = {}
    for number in range(pods):
        name = f"app{number // 25}x-7d9f8b6c5-bcd{ENDS[number % 25]}"
        own.setdefault(number % nodes + 1, []).append(("shop", name))
        address = f"10.5.{number // 250}.{number % 250 + 1}"
        blue.setdefault(number % nodes + 1, []).append(("shop", name, address))
    rows.add_layer3(made, "default", own)
    rows.add_layer2(made, "blue", blue)
    rows.add_layer2(made, "red", {1: blue[1][:1]})
    return topology.build(rows.snapshots(made))


def text(folded: Overview, width: int, *, whole: bool = False) -> list[str]:
    lines = overview_text.lines(folded, width, whole=whole)
    return ["".join(span.text for span in line) for line in lines]


@pytest.mark.parametrize(("nodes", "pods"), [(5, 25), (20, 500)])
@pytest.mark.parametrize("width", [60, 80, 120])
def test_lines_keep_to_the_width(nodes: int, pods: int, width: int) -> None:
    lines = text(overview.fold(graph(nodes, pods)), width)
    assert max(map(len, lines)) <= width
    assert len(lines) < 400


@pytest.mark.parametrize("width", [60, 80])
def test_long_names_of_nodes_keep_to_the_width(width: int) -> None:
    made = graph(20, 60)
    called = {
        zone.name: f"ip-10-20-30-{zone.name}.eu-west-1.compute.internal" for zone in made.zones
    }
    zones = tuple(replace(zone, name=called[zone.name]) for zone in made.zones)
    switches = tuple(
        replace(
            switch,
            zones=tuple(called[zone] for zone in switch.zones),
            ports=tuple(
                replace(
                    port, zone=called[port.zone], seen=tuple(called[zone] for zone in port.seen)
                )
                for port in switch.ports
            ),
        )
        for switch in made.switches
    )
    lines = text(overview.fold(replace(made, zones=zones, switches=switches)), width)
    assert max(map(len, lines)) <= width
    # Their domain says nothing that tells them apart.
    assert "1 to 20: ip-10-20-30-node1 to ip-10-20-30-node20" in lines


def test_hundreds_of_pods_are_a_few_lines_unless_all_are_asked_for() -> None:
    folded = overview.fold(graph(20, 500))
    short = text(folded, 80)
    assert sum("app0x-" in line for line in short) == overview_text.SHOWN + 1  # one is on red
    assert sum(line.startswith("    and 21 more on ") for line in short) == 20
    whole = "\n".join(text(folded, 80, whole=True))
    assert all(f"10.5.{number // 250}.{number % 250 + 1}" in whole for number in range(500))


def test_a_network_with_its_workloads() -> None:
    made = rows.zones(2)
    rows.add_layer2(
        made,
        "blue",
        {
            1: [("shop", "web-7d9f8b6c5-bcdfg", "10.5.0.1"), ("shop", "db-0", "10.5.0.3")],
            2: [("shop", "web-7d9f8b6c5-bcdhj", "10.5.0.2")],
        },
    )
    assert text(overview.fold(topology.build(rows.snapshots(made))), 60) == [
        "1 network, 2 nodes, 3 pods and VMs",
        "",
        "      node1 node2",
        "blue      2     1",
        "",
        "blue",
        "  layer2  3 members on 2 nodes",
        "  shop/db-0  pod  node1  10.5.0.3",
        "  shop/web  2 pods",
        "    web-7d9f8b6c5-bcdfg  node1  10.5.0.1",
        "    web-7d9f8b6c5-bcdhj  node2  10.5.0.2",
    ]


def test_a_mismatch_stands_on_the_card() -> None:
    def port(one: Port) -> Port:
        return replace(one, reported=("10.5.0.9",)) if one.addresses == ("10.5.0.1",) else one

    made = graph(2, 4)
    switches = (replace(one, ports=tuple(map(port, one.ports))) for one in made.switches)
    folded = overview.fold(replace(made, switches=tuple(switches)))
    assert "      guest has 10.5.0.9" in text(folded, 60)
    drawn = [one.words for one in overview_picture.lay_out(folded).written()]
    assert drawn.count("guest has 10.5.0.9") == 2  # on blue and on red


def test_policies_mtu_and_free_addresses_are_told() -> None:
    def port(one: Port) -> Port:
        return replace(one, isolated=("ingress",), policies=("shop/web",))

    made = graph(1, 2)
    switches = (replace(one, ports=tuple(map(port, one.ports))) for one in made.switches)
    networks = tuple(replace(one, mtu=1380, free=7) for one in made.networks)
    folded = overview.fold(replace(made, switches=tuple(switches), networks=networks))
    said = "\n".join(text(folded, 100))
    assert "MTU 1380  7 free" in said
    assert "policies isolate ingress" in said
    titles = [box.title for box in overview_picture.lay_out(folded).boxes]
    assert any("selected by policy shop/web" in title for title in titles)


def test_why_a_node_cannot_be_read_is_told() -> None:
    made = rows.zones(2)
    rows.add_layer2(made, "blue", {1: [("a", "x", "10.5.0.1")]})
    folded = overview.fold(
        topology.build([made[0].snapshot(), Snapshot("node2", trouble="is away")])
    )
    assert "node2 cannot be read: is away" in text(folded, 60)
    words = [one.words for one in overview_picture.lay_out(folded).written()]
    assert "node2 cannot be read: is away" in words


def check(drawing: Drawing) -> None:
    """Everything is on the paper, words are in their boxes, and no box covers another."""

    def inside(box: Box) -> bool:
        return box.x >= 0 and box.right <= drawing.width and box.bottom <= drawing.height

    assert all(map(inside, drawing.boxes))
    for one, other in itertools.combinations(drawing.boxes, 2):
        assert not overlap(one, other), (one.title, other.title)
    for box in drawing.boxes:
        for words in box.texts:
            width = lettering.width(words.words, words.style)
            start = words.x - width if words.end else words.x
            assert box.x <= start + 1e-6
            assert start + width <= box.right + 1e-6
            assert box.y < words.y <= box.bottom
    ElementTree.fromstring(svg.render(drawing))


@given(graphs(), st.booleans(), st.integers(40, 120))
def test_whatever_the_rows_are_it_can_be_read(made: Graph, whole: bool, width: int) -> None:
    folded = overview.fold(made)
    check(overview_picture.lay_out(folded, whole=whole))
    assert all(len(line) <= width for line in text(folded, width, whole=whole))
    assert mermaid.overview(folded).startswith("flowchart LR\n")


@pytest.mark.parametrize(("nodes", "pods"), [(5, 25), (20, 500)])
def test_the_picture_stays_a_page_wide(nodes: int, pods: int) -> None:
    drawing = overview_picture.lay_out(overview.fold(graph(nodes, pods)))
    check(drawing)
    assert drawing.width <= 1200
    assert drawing.height <= 3000


def test_a_network_has_its_colour_in_every_picture() -> None:
    alone = overview.fold(graph(1, 1))
    several = overview.fold(graph(3, 9))
    for folded in (alone, several):
        bands = {
            box.texts[0].words: box.hue
            for box in overview_picture.lay_out(folded).boxes
            if box.shape == "band"
        }
        assert bands == {name: colours.of(name) for name in ("blue", "red", "default")}


def test_mermaid_ties_workloads_to_their_networks() -> None:
    drawn = mermaid.overview(overview.fold(graph(2, 25)))
    assert drawn.count("25 pods shop/app0x") == 1
    assert drawn.count(" --- ") == 3
