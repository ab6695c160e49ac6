"""How a NetworkQoS is read, and what its status says."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.qos import BY_CUDN, BY_NAD, BY_UDN, Object, labelled, networkqos_of, valid
from weft import model
from weft.api import networkqos
from weft.policy.networkqos import NetworkKind

NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"


def test_what_is_read() -> None:
    to = [{"podSelector": {}}, {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]
    found = valid(
        networkqos_of(
            "calls",
            {"dscp": 10},
            {
                "dscp": 46,
                "bandwidth": {"rate": 10_000, "burst": 20_000},
                "classifier": {"to": to, "ports": [{"protocol": "UDP", "port": 53}, {}]},
            },
            networkSelectors=[BY_NAD, BY_UDN, BY_CUDN],
            priority=7,
        )
    )
    assert [each.kind for each in found.networks] == list(NetworkKind)
    assert (found.namespace, found.name, found.priority) == ("default", "calls", 7)
    plain, marked = found.rules
    assert (plain.dscp, plain.rate, plain.peers, plain.ports) == (10, None, None, None)
    assert marked.rate == model.Rate(10_000_000, 20_000_000)
    assert len(marked.peers or ()) == 2
    assert [(each.protocol, each.port) for each in marked.ports or ()] == [
        ("UDP", 53),
        ("TCP", None),
    ]


def test_a_destination_without_selectors_is_everybody() -> None:
    rule = {"dscp": 1, "classifier": {"to": [{}, {"podSelector": labelled(a="b")}]}}
    assert valid(networkqos_of("calls", rule)).rules[0].peers is None


def bad_network(**entry: Any) -> Object:
    return networkqos_of("calls", {"dscp": 1}, networkSelectors=[entry])


def bad_rule(**entry: Any) -> Object:
    return networkqos_of("calls", {"dscp": 1, **entry})


BAD = {
    "no networks": (networkqos_of("calls", {"dscp": 1}, networkSelectors=None), "networkSelectors"),
    "default network": (
        bad_network(networkSelectionType="DefaultNetwork"),
        "spec.networkSelectors[0].networkSelectionType",
    ),
    "no selector": (
        bad_network(networkSelectionType="ClusterUserDefinedNetworks"),
        "spec.networkSelectors[0].clusterUserDefinedNetworkSelector",
    ),
    "another's selector": (
        bad_network(**{**BY_CUDN, **BY_NAD}),
        "spec.networkSelectors[0].clusterUserDefinedNetworkSelector",
    ),
    "priority": (networkqos_of("calls", {"dscp": 1}, priority=101), "spec.priority"),
    "no priority": (networkqos_of("calls", {"dscp": 1}, priority=None), "spec.priority"),
    "dscp": (bad_rule(dscp=64), "spec.egress[0].dscp"),
    "no dscp": (bad_rule(dscp=None), "spec.egress[0].dscp"),
    "rate": (bad_rule(bandwidth={"rate": 0}), "spec.egress[0].bandwidth.rate"),
    "burst alone": (bad_rule(bandwidth={"burst": 5}), "spec.egress[0].bandwidth.burst"),
    "misspelt": (bad_rule(clasifier={}), "spec.egress[0].clasifier"),
    "port": (
        bad_rule(classifier={"ports": [{"port": 70000}]}),
        "spec.egress[0].classifier.ports[0].port",
    ),
    "name of a port": (
        bad_rule(classifier={"ports": [{"port": "http"}]}),
        "spec.egress[0].classifier.ports[0].port",
    ),
    "protocol": (
        bad_rule(classifier={"ports": [{"protocol": "UDPX"}]}),
        "spec.egress[0].classifier.ports[0].protocol",
    ),
    "block": (
        bad_rule(classifier={"to": [{"ipBlock": {"cidr": '10.0.0.0/8") || 1'}}]}),
        "spec.egress[0].classifier.to[0].ipBlock.cidr",
    ),
    "block and pods": (
        bad_rule(classifier={"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}]}),
        "spec.egress[0].classifier.to[0].ipBlock",
    ),
    "label": (
        networkqos_of("calls", podSelector={"matchLabels": {"a": "b c"}}),
        "spec.podSelector.matchLabels.a",
    ),
    "too many destinations": (
        bad_rule(classifier={"to": [{"podSelector": {}}] * 65}),
        "spec.egress[0].classifier.to",
    ),
    "too many ports": (
        bad_rule(classifier={"ports": [{"port": 80}] * 65}),
        "spec.egress[0].classifier.ports",
    ),
    "too many rules": (networkqos_of("calls", *[{"dscp": 1}] * 21), "spec.egress"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_named_and_nothing_is_in_force(case: str) -> None:
    obj, field = BAD[case]
    parsed = networkqos.read(obj)
    assert parsed.current is None
    assert field in parsed.problems[0]
    (found, *_) = networkqos.problems(obj)
    assert found.rule
    assert str(found).startswith("NetworkQoS default/calls")


def with_conditions(*nodes: str, status: str = "True") -> Object:
    listed = [{"type": f"Ready-In-Zone-{each}", "status": status} for each in nodes]
    other = {"type": "Other", "status": "False"}
    obj = networkqos_of("calls", {"dscp": 1})
    return {**obj, "status": {"status": "old", "conditions": [*listed, other]}}


def summary(obj: Object) -> dict[str, Any]:
    return networkqos.summary(networkqos.read(obj), frozenset({"node1", "node2"}))


def test_the_summary_is_of_nodes_that_there_are() -> None:
    found = summary(with_conditions("node1", "node9"))
    assert found["status"] == networkqos.APPLIED
    assert [each["type"] for each in found["conditions"]] == ["Ready-In-Zone-node1", "Other"]
    assert summary(with_conditions("node1")) == {"status": networkqos.APPLIED}
    assert "no pod" in summary(with_conditions())["status"]
    assert summary(with_conditions("node2", status="False"))["status"] == "not applied on node2"
    assert "egress[0].dscp" in summary(bad_rule(dscp=64))["status"]


def test_the_summary_says_what_too_many_are() -> None:
    parsed = networkqos.read(with_conditions("node1"))
    found = networkqos.summary(parsed, frozenset({"node1"}), in_force=False)
    assert "64 older" in found["status"]


def test_a_spec_is_parsed_once_a_generation() -> None:
    read = networkqos.Reader("node1")
    obj = with_conditions("node1")
    obj["metadata"].update(uid="u", generation=1)
    first = read(obj)
    second = read({**obj, "status": {}})
    assert second.current is first.current
    assert first.status
    assert not second.status
    del first
    again = read(obj)
    assert again.current is second.current
    obj["metadata"]["generation"] = 2
    assert read(obj).current is not again.current
    invalid = bad_rule(dscp=64)
    invalid["metadata"].update(uid="v", generation=1)
    wrong = read(invalid)
    assert wrong.problems
    assert read(invalid).problems is wrong.problems


def test_a_zone_sees_its_own_condition_alone() -> None:
    one, two = with_conditions("node1"), with_conditions("node1", "node2")
    assert networkqos.read(one, node="node1") == networkqos.read(two, node="node1")
    assert networkqos.read(one, node="node2") != networkqos.read(two, node="node2")


def test_a_condition_keeps_its_time_while_its_status_is_the_same() -> None:
    first = networkqos.rendered(networkqos.ready("node1"), {}, 1, NOW)
    assert (first["type"], first["reason"]) == ("Ready-In-Zone-node1", "Success")
    status = {"conditions": [first]}
    again = networkqos.rendered(networkqos.ready("node1", 2), status, 2, LATER)
    assert again["lastTransitionTime"] == NOW
    assert "2 NICs" in again["message"]
