"""The status of a network, made from findings."""

from __future__ import annotations

from weft import model
from weft.api import networkstatus
from weft.api.networkstatus import NadStatus, NetworkFindings, Node
from weft.model import ObjectKey

SPEC = model.NetworkSpec("blue", model.Topology.LAYER2, 1400)
NETWORK = model.Network(SPEC, 1, model.ObjectKey("default", "blue"))


def test_lists_are_cut_and_numbers_are_not() -> None:
    nodes = tuple(Node(f"node{number:04}", 2) for number in range(700))
    nads = tuple(
        NadStatus(ObjectKey("default", f"nad{number}"), problem="x" * 5000) for number in range(300)
    )
    found = networkstatus.render(NetworkFindings("blue", NETWORK, nodes=nodes, nads=nads), None, "")
    assert found["members"] == 1400
    assert found["servingNodes"] == 700
    assert len(found["nodes"]) == networkstatus.MAX_NODES
    assert len(found["networkAttachmentDefinitions"]) == networkstatus.MAX_LISTED
    assert len(found["networkAttachmentDefinitions"][0]["message"]) < 2000
    assert len(str(found)) < 300_000


def test_a_network_without_an_id() -> None:
    found = NetworkFindings(
        "blue", None, problem="no id is free", nads=(NadStatus(ObjectKey("a", "b")),)
    )
    accepted, *_ = networkstatus.conditions(found)
    assert (accepted.status, accepted.reason) == ("False", "NoNetworkId")
    assert networkstatus.render(found, None, "t")["id"] == -1


def test_equal_findings_are_an_equal_status_at_any_time() -> None:
    found = NetworkFindings("blue", NETWORK, nads=(NadStatus(ObjectKey("default", "blue")),))
    first = networkstatus.render(found, None, "t1")
    assert networkstatus.render(found, first, "t2") == first
    assert networkstatus.network_of(first) == "blue"


def test_the_default_network_is_not_said_to_be_unused() -> None:
    spec = model.NetworkSpec("default", model.Topology.LAYER3, 1400)
    found = NetworkFindings("default", model.Network(spec, 0))
    served = {each.type: each for each in networkstatus.conditions(found)}["Served"]
    assert (served.status, served.reason) == ("True", "NotCounted")
    assert "no pod" not in served.message
