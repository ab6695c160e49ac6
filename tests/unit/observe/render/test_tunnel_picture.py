"""Tunnels of many nodes as a picture: a grid, and a card for each node."""

from __future__ import annotations

import pytest

from tests.support import topology as rows
from tests.unit.observe.render.drawn import check_boxes
from weft.observe import underlay
from weft.observe.render import tunnel_picture
from weft.observe.render.drawing import Tone
from weft.observe.underlay import Underlay


def built(nodes: int) -> Underlay:
    made = rows.zones(nodes)
    for row in made[2].tables["Interface"].values():
        if row["name"] == "ovn-node2":
            row["type"] = "internal"
    return underlay.build(rows.snapshots(made))


@pytest.mark.parametrize("nodes", [6, 20])
def test_the_picture_is_a_grid_with_a_card_for_each_node(nodes: int) -> None:
    drawing = tunnel_picture.lay_out(built(nodes))
    check_boxes(drawing)
    squares = [box for box in drawing.boxes if box.shape == "square" and box.title]
    assert len(squares) == nodes * (nodes - 1)
    (missing,) = [box for box in squares if box.tone is Tone.WARN]
    assert missing.title == "node3 to node2: no tunnel"
    assert sum(box.shape == "bridge" for box in drawing.boxes) == nodes
    assert drawing.paths == ()
