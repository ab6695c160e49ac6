"""A dead underlay between two nodes is seen within seconds, and so is its end."""

from __future__ import annotations

import json

import pytest

from lab.tests.support import labs as support
from lab.tests.support.lab_pods import Kubectl, pod
from tests.support.objects import nad
from weft import names
from weft_lab.runtime import daemons

pytestmark = pytest.mark.lab

CUT = "priority=60000"


def shows(kubectl: Kubectl, node: str, status: str) -> None:
    """Returns when the Node's condition has this status."""
    wanted = f"--for=condition={names.TUNNELS_CONDITION}={status}"
    kubectl("wait", wanted, f"node/{node}", "--timeout=90s")


def state(labs: support.LabHouse) -> str:
    (tunnel,) = labs.json("topology", "--physical", "--lab", "cut")["tunnels"]
    return str(tunnel["state"])


def test_a_cut_underlay_and_its_mend(labs: support.LabHouse) -> None:
    labs.names.append("cut")
    found = labs.json("lab", "up", "--name", "cut", "--nodes", "2")
    kubectl = Kubectl(labs, found["kubeconfig"])
    kubectl.run_pods(
        nad("flat", "10.9.0.0/24"), *(pod(f"p{n}", f"node{n}", networks="flat") for n in (1, 2))
    )
    far = kubectl.address("p2", "net1")
    labs.reach("default/p1", far)
    for node in ("node1", "node2"):
        shows(kubectl, node, "True")
    assert state(labs) == "whole"

    bridge = daemons.UNDERLAY_BRIDGE
    labs.run("node2", "ovs-ofctl", "add-flow", bridge, f"{CUT},actions=drop")
    for node in ("node1", "node2"):
        shows(kubectl, node, "False")
    assert labs.is_deaf("default/p1", far), "the underlay is not cut"
    assert state(labs) == "none"
    events = json.loads(kubectl("get", "events", "-A", "-o", "json"))["items"]
    told = [each["message"] for each in events if each["reason"] == "TunnelsDown"]
    assert any("node2 is not answering over the underlay" in each for each in told), told

    labs.run("node2", "ovs-ofctl", "--strict", "del-flows", bridge, CUT)
    for node in ("node1", "node2"):
        shows(kubectl, node, "True")
    labs.reach("default/p1", far)
    assert state(labs) == "whole"
