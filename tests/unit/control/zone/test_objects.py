"""Nodes, Namespaces and pods with their allocations, as a zone reads them."""

from __future__ import annotations

from ipaddress import ip_interface
from typing import Any

import pytest

from weft import model, names
from weft.api import pod as pods
from weft.control.zone import objects
from weft.policy import netpolicy

CHASSIS = {names.NODE_CHASSIS_ID: "c2", names.NODE_ENCAP_IPS: '["192.0.2.2"]'}
SOUND = {**CHASSIS, names.NODE_ID: "7", names.NODE_SUBNETS: '{"default":["10.128.2.0/23"]}'}
GIVEN = model.Allocation("0a:58:0a:01:00:05", (ip_interface("10.1.0.5/24"),), 11)
BLUE = {"default/blue": GIVEN}


def node(**changes: str) -> objects.Node:
    meta = {"name": "node2", "uid": "u", "resourceVersion": "1"}
    return objects.node({"metadata": {**meta, "annotations": {**SOUND, **changes}}})


def test_a_node_is_its_annotations_and_wefts_own_condition() -> None:
    own = {"type": names.OVN_CONDITION, "status": "True"}
    notes = {**CHASSIS, "large": "x" * 1000}
    status = {"images": ["x"] * 50, "conditions": [{"type": "Ready"}, own]}
    read = objects.node({"metadata": {"name": "node2", "annotations": notes}, "status": status})
    assert read.info == model.NodeInfo("node2", "c2", ("192.0.2.2",))
    assert read.annotations == CHASSIS
    assert read.condition == own


def test_a_heartbeat_makes_no_two_states_of_a_node_differ() -> None:
    meta = {"name": "node2", "annotations": SOUND}
    beat = {"conditions": [{"type": "Ready", "lastHeartbeatTime": "now"}]}
    one = objects.node({"metadata": {**meta, "resourceVersion": "1"}})
    other = objects.node({"metadata": {**meta, "resourceVersion": "2"}, "status": beat})
    assert one == other
    assert (one.version, other.version) == ("1", "2")


@pytest.mark.parametrize("note", [names.NODE_SUBNETS, names.NODE_TRANSIT, names.NODE_GATEWAY])
def test_a_part_that_is_nonsense_takes_nothing_else_away(note: str) -> None:
    broken, before = node(**{note: "{", names.NODE_ID: "x"}), node().info
    assert len(broken.problems) == 2
    assert broken.standing(before) == before
    alone = broken.standing(None)
    assert (alone.chassis, alone.encap_ips, alone.id) == ("c2", ("192.0.2.2",), 0)


def test_what_is_gone_is_not_as_it_was() -> None:
    less = objects.node({"metadata": {"name": "node2", "annotations": CHASSIS}})
    assert less.standing(node().info) == model.NodeInfo("node2", "c2", ("192.0.2.2",))


def namespace(**notes: str) -> objects.Namespace:
    meta = {"name": "one", "uid": "u", "labels": {"team": "a"}, "annotations": notes}
    return objects.namespace({"metadata": meta, "status": {"phase": "Active"}})


def test_a_namespace_is_its_labels_and_what_is_to_be_logged() -> None:
    read = namespace(**{names.ACL_LOGGING: '{"allow": "info", "deny": "alert"}', "other": "x"})
    assert read == objects.Namespace({"team": "a"}, netpolicy.Logging("info", "alert"))


@pytest.mark.parametrize("text", ["{", "[]", '{"deny": "shout"}'])
def test_what_is_wrong_logs_nothing(text: str) -> None:
    assert namespace(**{names.ACL_LOGGING: text}) == objects.Namespace({"team": "a"})


def pod(*, primary: bool = False, phase: str = "Running", **changes: Any) -> pods.Pod:
    notes = {names.NETWORKS: "blue"}
    return pods.read(
        {
            "metadata": {"name": "web", "namespace": "default", "uid": "u1", "annotations": notes},
            "spec": {"nodeName": "node1", **changes},
            "status": {"phase": phase},
        },
        primary=primary,
    )


def test_a_pod_with_its_allocations() -> None:
    read = pod()
    assert objects.allocated(read, BLUE) == objects.AllocatedPod(read, BLUE)


@pytest.mark.parametrize(
    "read",
    [
        pod(nodeName=""),
        pod(hostNetwork=True),
        pod(phase="Succeeded"),
        pod(phase="Failed"),
    ],
)
def test_a_pod_that_holds_no_ports(read: pods.Pod) -> None:
    assert objects.allocated(read, BLUE) is None
    assert objects.allocated(pod(), {}) is None


def test_the_default_network_counts_only_where_weft_serves_it() -> None:
    own = {names.DEFAULT_NETWORK: GIVEN}
    assert objects.allocated(pod(), own) is None
    both = objects.allocated(pod(), {**own, **BLUE})
    assert both is not None
    assert both.allocations == BLUE
    served = objects.allocated(pod(primary=True), own)
    assert served is not None
    assert served.allocations == own


def test_a_status_makes_no_two_states_of_a_pod_differ() -> None:
    one = objects.AllocatedPod(pod(), BLUE)
    assert one.is_alike(objects.AllocatedPod(pod(), dict(BLUE)))
    assert not one.is_alike(objects.AllocatedPod(pod(phase="Pending"), BLUE))
    assert not one.is_alike(objects.AllocatedPod(pod(), {}))
