"""Rows that let ovn-controller reach another zone's node."""

from __future__ import annotations

from weft import model, names, rows
from weft.ovn import interconnect


def test_a_node_with_two_endpoints() -> None:
    first, second, chassis = interconnect.chassis(
        model.NodeInfo("node2", "c2", ("192.0.2.2", "2001:db8::2"))
    )
    assert first.columns["ip"] == "192.0.2.2"
    assert second.columns["chassis_name"] == "c2"
    assert chassis.columns == {
        "name": "c2",
        "hostname": "node2",
        "encaps": {
            rows.Ref("Encap", "c2 192.0.2.2"),
            rows.Ref("Encap", "c2 2001:db8::2"),
        },
        "other_config": {"is-remote": "true"},
        "external_ids": {names.OWNER: "Node//node2"},
    }


def test_nothing_before_the_node_has_said_both() -> None:
    assert interconnect.chassis(model.NodeInfo("node2", "c2")) == ()
    assert interconnect.chassis(model.NodeInfo("node2", "", ("192.0.2.2",))) == ()
