"""Nodes and tunnels in a terminal: a tree of few nodes, a grid of many."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support import topology as rows
from weft.observe import underlay
from weft.observe.graph import PortPod
from weft.observe.render import physical_text
from weft.observe.underlay import Interface, Underlay


def built(nodes: int) -> Underlay:
    made = rows.zones(nodes)
    for row in made[2].tables["Interface"].values():
        if row["name"] == "ovn-node2":
            row["type"] = "internal"
    return underlay.build(rows.snapshots(made))


def text(below: Underlay, width: int) -> list[str]:
    return ["".join(span.text for span in line) for line in physical_text.lines(below, width)]


def test_five_nodes_are_a_tree_and_six_a_grid() -> None:
    assert "tunnels" in text(built(5), 80)
    lines = text(built(6), 80)
    assert lines[:4] == [
        "6 nodes, 15 tunnels, 1 of them broken",
        "",
        "       node1 node2 node3 node4 node5 node6",
        "node1            ●     ●     ●     ●     ●",
    ]
    assert "node3: no tunnel to node2" in lines
    assert "● up   x no tunnel" in lines


@pytest.mark.parametrize("nodes", [3, 6, 20, 41])
@pytest.mark.parametrize("width", [60, 80])
def test_lines_keep_to_the_width(nodes: int, width: int) -> None:
    assert max(map(len, text(built(nodes), width))) <= width


def test_pods_are_counted_by_network() -> None:
    below = built(6)
    pods = tuple(
        Interface(f"wp{number}", "internal", owner=PortPod("a", f"p{number}"), network=network)
        for number, network in enumerate(["blue", "blue", "red"])
    )
    node = below.nodes[0]
    bridge = replace(node.bridges[0], interfaces=(*node.bridges[0].interfaces, *pods))
    below = replace(below, nodes=(replace(node, bridges=(bridge,)), *below.nodes[1:]))
    assert "node1  172.31.1.11  blue 2  red 1" in text(below, 60)
