"""Nodes come, go and lose their power; traffic between the others never stops."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations

import pytest

from lab.tests.support import labs as support
from lab.tests.support.lab_pods import Kubectl, pinging, pod
from tests.support.objects import nad
from weft_lab import spec

pytestmark = pytest.mark.lab


def rows(labs: support.LabHouse, node: str, tool: str, table: str, column: str) -> str:
    return labs.run(node, tool, "--bare", f"--columns={column}", "list", table).stdout


def test_nodes_added_rebooted_and_removed_under_traffic(labs: support.LabHouse) -> None:
    labs.names.append("life")
    found = labs.json("lab", "up", "--name", "life", "--nodes", "3")
    kubectl = Kubectl(labs, found["kubeconfig"])
    kubectl.run_pods(
        nad("flat", "10.9.0.0/24"),
        nad("routed", "10.8.0.0/16/24", topology="layer3"),
        *(pod(f"p{n}", f"node{n}", networks="flat, routed") for n in (1, 2, 3)),
    )
    far = {name: kubectl.address("p3", name) for name in ("eth0", "net1", "net2")}
    before = kubectl.pod("p2")["metadata"]["annotations"]["k8s.ovn.org/pod-networks"]

    with (
        pinging(labs, "p1", far["eth0"]) as own,
        pinging(labs, "p1", far["net1"]) as flat,
        pinging(labs, "p1", far["net2"]) as routed,
    ):
        labs.weft("lab", "up", "--name", "life", "--nodes", "4")
        kubectl.run_pods(pod("p4", "node4", networks="flat, routed"))
        for interface in ("eth0", "net1", "net2"):
            for one, other in (("p1", "p4"), ("p4", "p2")):
                labs.reach(f"default/{one}", kubectl.address(other, interface))
        assert "node4" in rows(labs, "node1", "ovn-nbctl", "Logical_Switch_Port", "name")

        labs.weft("lab", "reboot", "node2", "--name", "life")
        again = "--for=jsonpath={.status.containerStatuses[0].restartCount}=1"
        kubectl("wait", again, "pod/p2", "--timeout=60s")
        kubectl("wait", "--for=condition=Ready", "pod/p2", "--timeout=60s")
        for interface in ("eth0", "net1", "net2"):
            for one, other in (("p1", "p2"), ("p2", "p3")):
                labs.reach(f"default/{one}", kubectl.address(other, interface))

        labs.weft("lab", "up", "--name", "life", "--nodes", "3")

    for counted in (own, flat, routed):
        assert counted.sent > 50
        assert not counted.lost
    after = kubectl.pod("p2")["metadata"]["annotations"]["k8s.ovn.org/pod-networks"]
    assert json.loads(after) == json.loads(before), "a reboot changes no address"
    stay = ["node1", "node2", "node3"]
    nodes = json.loads(kubectl("get", "nodes", "-o", "json"))["items"]
    assert [one["metadata"]["name"] for one in nodes] == stay
    pods = json.loads(kubectl("get", "pods", "-o", "json"))["items"]
    assert [one["metadata"]["name"] for one in pods] == ["p1", "p2", "p3"]
    assert "node4" not in rows(labs, "node1", "ovn-nbctl", "Logical_Switch_Port", "name")
    assert sorted(rows(labs, "node1", "ovn-sbctl", "Chassis", "hostname").split()) == stay


def test_an_agent_dies_while_a_node_comes_and_that_node_is_reported_another_chassis(
    labs: support.LabHouse,
) -> None:
    labs.names.append("odd")
    found = labs.json("lab", "up", "--name", "odd", "--nodes", "2")
    kubectl = Kubectl(labs, found["kubeconfig"])
    kubectl.run_pods(
        nad("flat", "10.9.0.0/24"),
        nad("routed", "10.8.0.0/16/24", topology="layer3"),
        *(pod(f"p{n}", f"node{n}", networks="flat, routed") for n in (1, 2)),
    )
    (agent,) = [one["pid"] for one in found["services"] if one["name"] == "node1/agent"]
    with ThreadPoolExecutor() as beside:
        growing = beside.submit(labs.weft, "lab", "up", "--name", "odd", "--nodes", "3")
        kubectl("wait", "--for=create", "node/node3", "--timeout=60s")
        labs.run("lab", "busybox", "kill", "-9", str(agent))
        growing.result()
    kubectl.run_pods(pod("p3", "node3", networks="flat, routed"))
    reach_each_other(labs, kubectl)

    # The identity of a lab's node follows from the lab's spec, and is written again.
    own = spec.Node("odd", 3).chassis
    new = "external_ids:system-id=5f0c7e4a-8d1b-4f6e-9a53-3d2b1c0e7f64"
    labs.run("node3", "ovs-vsctl", "--no-wait", "set", "Open_vSwitch", ".", new)
    again = ("wait-until", "Open_vSwitch", ".", f"external_ids:system-id={own}")
    labs.run("node3", "ovs-vsctl", "--timeout=60", *again)
    for node in ("node1", "node2", "node3"):
        labs.run(node, *("ovn-sbctl", "--timeout=60", "wait-until", "Chassis", own))
        labs.run(node, *("ovn-nbctl", "--timeout=60", "--wait=hv", "sync"))
        hostnames = rows(labs, node, "ovn-sbctl", "Chassis", "hostname").split()
        assert sorted(hostnames) == ["node1", "node2", "node3"]
    reach_each_other(labs, kubectl)


def reach_each_other(labs: support.LabHouse, kubectl: Kubectl) -> None:
    for interface in ("eth0", "net1", "net2"):
        for one, other in permutations(("p1", "p2", "p3"), 2):
            labs.reach(f"default/{one}", kubectl.address(other, interface))
