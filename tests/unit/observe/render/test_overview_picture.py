"""The overview as a picture: it stays readable, and nothing covers anything."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.observe.render.drawn import (
    check_boxes,
    governed,
    graph,
    graphs,
    half_read,
    mismatched,
)
from weft.observe import overview
from weft.observe.graph import Graph
from weft.observe.render import colours, overview_picture
from weft.observe.render.drawing import Drawing


def test_a_mismatch_stands_on_the_card() -> None:
    folded = mismatched()
    drawn = [one.content for one in overview_picture.lay_out(folded).written()]
    assert drawn.count("guest has 10.5.0.9") == 2  # on blue and on red


def test_a_policy_is_named_on_the_card() -> None:
    titles = [box.title for box in overview_picture.lay_out(governed()).boxes]
    assert any("selected by policy shop/web" in title for title in titles)


def test_why_a_node_cannot_be_read_is_written_on_the_picture() -> None:
    words = [one.content for one in overview_picture.lay_out(half_read()).written()]
    assert "node2 cannot be read: is away" in words


@given(graphs(), st.booleans())
def test_whatever_the_rows_are_nothing_covers_anything(made: Graph, whole: bool) -> None:
    check_boxes(overview_picture.lay_out(overview.fold(made), whole=whole))


@pytest.mark.parametrize(("nodes", "pods"), [(5, 25), (20, 500)])
def test_the_picture_stays_a_page_wide(nodes: int, pods: int) -> None:
    drawing = overview_picture.lay_out(overview.fold(graph(nodes, pods)))
    check_boxes(drawing)
    assert drawing.width <= 1200
    assert drawing.height <= 3000


def test_a_network_has_its_colour_in_every_picture() -> None:
    alone = overview.fold(graph(1, 1))
    several = overview.fold(graph(3, 9))
    for folded in (alone, several):
        bands = {
            box.texts[0].content: box.hue
            for box in overview_picture.lay_out(folded).boxes
            if box.shape == "band"
        }
        assert bands == {name: colours.of(name) for name in ("blue", "red", "default")}


def cards(drawing: Drawing, network: str = "blue") -> list[str]:
    """The first word of each card of a network."""
    boxes = [box for box in drawing.boxes if box.shape in ("band", "pod")]
    start = next(i for i, box in enumerate(boxes) if box.id == f"network-{network}")
    own = itertools.takewhile(lambda box: box.shape == "pod", boxes[start + 1 :])
    return [box.texts[0].content for box in own]


def test_a_large_networks_workloads_are_folded_and_a_click_unfolds_them() -> None:
    folded = overview.fold(graph(2, 300))
    links = overview_picture.Links(more=lambda name: f"/more/{name}")
    drawing = overview_picture.lay_out(folded, links=links, most=9)
    check_boxes(drawing)
    assert len(cards(drawing)) == 4
    assert cards(drawing)[-1] == "and 9 more workloads"
    assert [box.href for box in drawing.boxes if box.href] == ["/more/blue", "/more/default"]
    assert "225 members on 2 nodes" in [one.content for one in drawing.written()]
    whole = overview_picture.lay_out(folded, links=links, most=9, unfolded="blue")
    assert len(cards(whole)) == 12
    assert len(cards(whole, "default")) == 4


def test_few_workloads_are_not_folded() -> None:
    folded = overview.fold(graph(2, 100))  # 4 on blue and on default, 1 on red
    assert overview_picture.lay_out(folded, most=9) == overview_picture.lay_out(folded)
    assert len(cards(overview_picture.lay_out(folded, most=3))) == 4  # not 3, and one more


def test_workloads_with_faults_are_not_folded() -> None:
    made = graph(2, 300)
    switches = (
        replace(one, ports=tuple(replace(port, up="app11x" not in port.name) for port in one.ports))
        for one in made.switches
    )
    folded = overview.fold(replace(made, switches=tuple(switches)))
    drawing = overview_picture.lay_out(folded, most=9)
    assert any(each.startswith("app11x") for each in cards(drawing))
