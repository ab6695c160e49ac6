"""Nodes as a zone reads them."""

from __future__ import annotations

from weft import model, names
from weft.control.zone import nodes


def test_chassis_and_endpoints_out_of_what_is_kept():
    notes = {
        names.NODE_CHASSIS_ID: "c2",
        names.NODE_ENCAP_IPS: '["192.0.2.2"]',
        "large": "x" * 1000,
    }
    meta = {"name": "node2", "uid": "u", "resourceVersion": "1", "annotations": notes}
    kept = nodes.slim({"metadata": meta, "status": {"images": ["x"] * 50}})
    assert "status" not in kept
    assert "large" not in kept["metadata"]["annotations"]
    assert nodes.read(kept) == model.NodeInfo("node2", "c2", ("192.0.2.2",))


def test_a_node_that_speaks_nonsense_is_no_node():
    notes = {names.NODE_CHASSIS_ID: "c2", names.NODE_ENCAP_IPS: "["}
    assert nodes.read({"metadata": {"name": "node2", "annotations": notes}}) is None
