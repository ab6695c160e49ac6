"""A node whose network cannot take pods says so, and takes them again when it can."""

from __future__ import annotations

import json

import pytest

from lab.tests.support import labs as support
from lab.tests.support.lab_pods import Kubectl, pod

pytestmark = pytest.mark.lab


def test_a_node_whose_database_hangs_is_not_ready(labs: support.LabHouse) -> None:
    labs.names.append("ready")
    found = labs.json("lab", "up", "--name", "ready", "--nodes", "1")
    kubectl = Kubectl(labs, found["kubeconfig"])
    (nb,) = [str(one["pid"]) for one in found["services"] if one["name"] == "node1/nb"]
    labs.run("lab", "busybox", "kill", "-STOP", nb)
    kubectl("wait", "--for=condition=Ready=False", "node/node1", "--timeout=120s")
    (ready,) = [
        one
        for one in json.loads(kubectl("get", "node", "node1", "-o", "json"))["status"]["conditions"]
        if one["type"] == "Ready"
    ]
    assert "NetworkPluginNotReady" in ready["message"]
    late = pod("late", "node1")
    del late["spec"]["nodeName"]
    kubectl.apply(late)
    assert "1 node(s) were not ready" in kubectl.event("late", "FailedScheduling")
    labs.run("lab", "busybox", "kill", "-CONT", nb)
    kubectl("wait", "--for=condition=Ready", "node/node1", "pod/late", "--timeout=120s")
