"""Agents know pods of other nodes by their PodEndpoints alone, as on a large cluster."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from lab.tests.support import labs as support
from lab.tests.support.lab_pods import Kubectl, pinging, pod
from tests.support.objects import nad, policy
from tests.support.patience import PATIENCE
from weft.app import settings

pytestmark = pytest.mark.lab

Object = dict[str, Any]
NO_FRIEND, FRIEND = {"app": "other"}, {"app": "friend"}


def guard() -> Object:
    """Only pods labelled `friend` come in to `guarded`."""
    friends = {"podSelector": {"matchLabels": FRIEND}, "namespaceSelector": {}}
    return policy(app="guarded", policyTypes=["Ingress"], ingress=[{"from": [friends]}])


def up(labs: support.LabHouse, monkeypatch: pytest.MonkeyPatch) -> tuple[Object, Kubectl]:
    monkeypatch.setenv(settings.POD_ENDPOINTS.env, "1")
    labs.names.append("far")
    found = labs.json("lab", "up", "--name", "far", "--nodes", "2")
    return found, Kubectl(labs, found["kubeconfig"])


def pid(found: Object, service: str) -> str:
    (one,) = [each["pid"] for each in found["services"] if each["name"] == service]
    return str(one)


def has_row(labs: support.LabHouse, node: str, name: str) -> bool:
    argv = ("ovn-nbctl", "--bare", "--columns=name", "list", "Logical_Switch_Port")
    return f"default.blue_default_{name}" in labs.run(node, *argv).stdout.split()


def await_no_row(labs: support.LabHouse, node: str, name: str) -> None:
    end = time.monotonic() + PATIENCE
    while has_row(labs, node, name):
        assert time.monotonic() < end, f"{node} keeps the row of {name}"


def test_labels_of_a_pod_of_another_node_count(
    labs: support.LabHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, kubectl = up(labs, monkeypatch)
    kubectl.run_pods(
        nad("blue", "10.9.0.0/24"),
        guard(),
        pod("guarded", "node2", networks="blue", labels={"app": "guarded"}),
        pod("guest", "node1", networks="blue", labels=NO_FRIEND),
    )
    address = kubectl.address("guarded", "net1")
    found = json.loads(kubectl("get", "podendpoints", "-o", "json"))["items"]
    assert {each["metadata"]["name"]: each["spec"]["node"] for each in found} == {
        "guarded": "node2",
        "guest": "node1",
    }
    assert labs.is_deaf("default/guest", address)
    kubectl("label", "--overwrite", "pod", "guest", "app=friend")
    labs.reach("default/guest", address)


def test_agents_that_begin_while_no_manager_runs_keep_the_traffic_of_what_runs(
    labs: support.LabHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, kubectl = up(labs, monkeypatch)
    kubectl.run_pods(
        nad("blue", "10.9.0.0/24"),
        pod("here", "node1", networks="blue"),
        *(pod(name, "node2", networks="blue") for name in ("there", "ends")),
    )
    labs.reach("default/here", kubectl.address("ends", "net1"))
    assert has_row(labs, "node1", "ends")
    with pinging(labs, "here", kubectl.address("there", "net1")) as counted:
        manager = pid(found, "lab/cluster-manager")
        labs.run("lab", "busybox", "kill", "-STOP", manager)
        labs.run("lab", "busybox", "kill", "-9", pid(found, "node1/agent"))
        kubectl("delete", "pod", "ends", "--grace-period=1")
        # Kubernetes removes the endpoint of a pod that is gone; the new agent follows.
        kubectl("wait", "--for=delete", "podendpoint/ends", "--timeout=60s")
        await_no_row(labs, "node1", "ends")
        labs.run("lab", "busybox", "kill", "-CONT", manager)
        kubectl.run_pods(pod("new", "node2", networks="blue"))
        labs.reach("default/here", kubectl.address("new", "net1"))
    assert counted.sent > 20
    assert not counted.is_cut, counted.lost
    assert has_row(labs, "node1", "there")
