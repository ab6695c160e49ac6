"""What the overview says is wrong, and that it says nothing of what the viewer may not list."""

from __future__ import annotations

from typing import Any

from tests.support import consoled
from tests.support import objects as made
from weft import names
from weft.console.page import Reading
from weft.console.pages import overview
from weft.kube import resources
from weft.observe.checks import Verdict


def node(name: str, **conditions: str) -> dict[str, Any]:
    listed = [{"type": kind, "status": status} for kind, status in conditions.items()]
    published = {names.NODE_CHASSIS_ID: name, names.NODE_ENCAP_IPS: '["172.31.0.1"]'}
    return {**made.node(name, published), "status": {"conditions": listed}}


def network(name: str, *reasons: str) -> dict[str, Any]:
    conditions = [
        {"type": "Served", "status": "False", "reason": reason, "message": f"it is {reason}"}
        for reason in reasons
    ]
    status = {"network": name, "conditions": conditions}
    return {**made.named(resources.NETWORKS, name), "status": status}


def machine(name: str, ready: str, strategy: str = "Always") -> dict[str, Any]:
    spec = {"runStrategy": strategy}
    status = {"conditions": [{"type": "Ready", "status": ready}]}
    return {**made.named(resources.VMS, name), "spec": spec, "status": status}


def test_what_fails_comes_first_with_a_way_to_the_object() -> None:
    tunnels = {names.TUNNELS_CONDITION: "False"}
    objects = {
        resources.NODES: [node("node1", Ready="True", **tunnels), node("node2", Ready="False")],
        resources.NETWORKS: [network("blue", "NodesNotReady"), network("green")],
        resources.VMS: [machine("a", "True"), machine("b", "False"), machine("c", "", "Halted")],
    }
    found = overview.view(consoled.read(objects), consoled.asked())
    assert [(one.name, one.well, one.total) for one in found.tiles] == [
        ("Nodes", 1, 2),
        ("Nodes with all tunnels", 0, 1),
        ("Networks", 1, 2),
        ("Virtual machines", 1, 2),
    ]
    fails = [one.what for one in found.problems if one.verdict is Verdict.FAIL]
    assert fails == ["cluster manager", "tunnels"]
    assert [one.what for one in found.problems[:2]] == fails
    blue = next(one for one in found.problems if one.what == "network blue")
    assert blue.path == ("networks", "blue")
    assert blue.seen == "it is NodesNotReady"


def test_nothing_is_said_of_kinds_that_the_viewer_may_not_list() -> None:
    kinds = (resources.NODES, resources.NETWORKS, resources.NADS, resources.LEASES)
    denied = dict.fromkeys((*kinds, resources.CONFIGMAPS), "may not")
    found = overview.view(consoled.read({}, denied), consoled.asked())
    assert not found.tiles
    assert not found.problems
    assert [one.what for one in found.good] == ["MultiNetworkPolicy"]


def test_published_keys_show_that_a_manager_has_run() -> None:
    keys = made.named(resources.CONFIGMAPS, names.SIGNING_KEYS)
    found = overview.view(consoled.read({resources.CONFIGMAPS: [keys]}), consoled.asked())
    assert "cluster manager" in [one.what for one in found.good]


def test_what_was_read_a_while_ago_stays_and_is_said_to_be_old() -> None:
    objects = {resources.NODES: [node("node1", Ready="True")]}
    for lack, expected in (
        ({"stale": {resources.NODES: "no answer"}}, [("Nodes", 1, True)]),
        ({"stale": {resources.NODES: "no answer"}, "left_out": {resources.NODES: 1}}, []),
        ({}, [("Nodes", 1, False)]),
    ):
        found = overview.view(Reading(objects, **lack), consoled.asked())
        nodes = [(one.name, one.total, one.is_stale) for one in found.tiles if one.path == "nodes"]
        assert nodes == expected
    unread = Reading(stale={resources.NODES: "has not been read yet"})
    assert "Nodes" not in {one.name for one in overview.view(unread, consoled.asked()).tiles}


def test_nothing_is_said_to_be_well_that_was_not_read() -> None:
    for kind in (resources.NODES, resources.NETWORKS, resources.NADS):
        for lack in ({"stale": {kind: "no answer"}}, {"left_out": {kind: 1}}):
            found = Reading(**lack)
            assert not overview.view(found, consoled.asked()).is_whole
    denied = consoled.read({}, {resources.NODES: "may not"})
    assert overview.view(denied, consoled.asked()).is_whole, "as far as the viewer may see"
