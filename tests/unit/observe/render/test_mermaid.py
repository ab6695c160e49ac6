"""Flowcharts that GitHub and others draw from text."""

from __future__ import annotations

import re

from hypothesis import given

from tests.support import topology as rows
from tests.unit.observe.render.drawn import graph, graphs
from weft.observe import overview, topology
from weft.observe.graph import Graph
from weft.observe.render import mermaid


def drawn(*pods: str) -> str:
    made = rows.zones(2)
    rows.add_layer3(made, "default", {1: [("shop", pod) for pod in pods]})
    rows.add_layer2(made, "blue", {number: [("shop", pods[0], "10.5.0.1")] for number in (1, 2)})
    return mermaid.logical(topology.build(rows.snapshots(made)))


def test_what_spans_zones_stands_outside_of_them() -> None:
    lines = drawn("web").splitlines()
    assert lines[0] == "flowchart TB"
    outside = [line for line in lines if line.startswith("  n")]
    assert any("transit_switch" in line for line in outside)
    assert any("blue_ovn_layer2_switch" in line for line in outside)
    assert sum("ovn_cluster_router" in line for line in lines) == 2
    assert sum(line.startswith("  subgraph") for line in lines) == 2
    assert sum(line == "  end" for line in lines) == 2


def test_lines_lead_downwards() -> None:
    text = drawn("web")
    names = {words: own for own, words in re.findall(r'(n\d+)[\[(]+"([^"<]+)', text)}
    assert f"{names['GR_node2']} ---" in text
    assert f"{names['transit_switch']} ---" not in text
    assert f"{names['POD web']} --- {names['blue_ovn_layer2_switch']}" in text


def test_every_end_of_a_line_is_a_thing() -> None:
    text = drawn("web", "cart")
    things = set(re.findall(r"^ +(n\d+)[\[(]", text, re.M))
    used = set(re.findall(r"\b(n\d+)\b", "\n".join(re.findall(r"^  n\d+ ---.*$", text, re.M))))
    assert used <= things


def test_names_cannot_end_their_quotes() -> None:
    text = drawn('a"]; click n1 "x', "b`#<i>")
    assert "a#34;]; click n1 #34;x" in text
    assert "b#96;#35;#60;i#62;" in text
    for line in text.splitlines():
        assert line.count('"') in (0, 2)


@given(graphs())
def test_whatever_the_rows_are_there_is_a_flowchart(made: Graph) -> None:
    assert mermaid.overview(overview.fold(made)).startswith("flowchart LR\n")


def test_mermaid_ties_workloads_to_their_networks() -> None:
    drawn = mermaid.overview(overview.fold(graph(2, 25)))
    assert drawn.count("25 pods shop/app0x") == 1
    assert drawn.count(" --- ") == 3
