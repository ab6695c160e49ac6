"""A node's row, from its conditions and annotations."""

from __future__ import annotations

from tests.support import consoled
from tests.support import objects as made
from weft import names
from weft.console.pages import nodes
from weft.kube import resources
from weft.observe.checks import Verdict


def test_conditions_in_words_and_members_of_all_networks() -> None:
    published = {names.NODE_CHASSIS_ID: "c1", names.NODE_ENCAP_IPS: '["172.31.0.1"]'}
    conditions = [
        {"type": "Ready", "status": "True", "message": "kubelet is fine"},
        {"type": names.TUNNELS_CONDITION, "status": "False", "message": "node2 not answering"},
    ]
    node = {**made.node("node1", published), "status": {"conditions": conditions}}
    networks = [
        {
            **made.named(resources.NETWORKS, name),
            "status": {"nodes": [{"name": "node1", "members": 2}]},
        }
        for name in ("blue", "green")
    ]
    read = consoled.read({resources.NODES: [node], resources.NETWORKS: networks})
    (row,) = nodes.view(read, consoled.asked()).rows
    assert (row.ready.verdict, row.ready.why) == (Verdict.OK, "")
    assert (row.tunnels.verdict, row.tunnels.why) == (Verdict.FAIL, "node2 not answering")
    assert row.ovn.verdict is Verdict.WARN
    assert (row.endpoints, row.members) == (("172.31.0.1",), 4)


def test_members_are_not_counted_as_none_where_networks_may_not_be_listed() -> None:
    read = consoled.read({resources.NODES: [made.node("node1")]}, {resources.NETWORKS: "may not"})
    (row,) = nodes.view(read, consoled.asked()).rows
    assert row.members is None
    assert row.ready.verdict is Verdict.FAIL
