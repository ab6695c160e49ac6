"""NetworkQoS in a lab: who may make one, what its status says, and that it follows the pods."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lab.tests.support import lab_pods
from lab.tests.support.lab_pods import Kubectl
from lab.tests.support.labs import LabHouse
from tests.support.patience import PATIENCE
from tests.support.qos import BY_UDN, labelled, networkqos_of

pytestmark = pytest.mark.lab
LAB = "network-qos"
WAIT = f"--timeout={PATIENCE:g}s"
UDN: dict[str, Any] = {
    "apiVersion": "k8s.ovn.org/v1",
    "kind": "UserDefinedNetwork",
    "metadata": {"name": "blue", "namespace": "red"},
    "spec": {
        "topology": "Layer2",
        "layer2": {"role": "Secondary", "subnets": ["10.7.0.0/24", "fd00:7::/64"]},
    },
}


def qos(name: str, *rules: Any, **spec: Any) -> Any:
    given = {"networkSelectors": [BY_UDN], "podSelector": labelled(app="voice"), **spec}
    return networkqos_of(name, *rules, namespace="red", **given)


def pod(name: str, node: str) -> Any:
    made = lab_pods.pod(name, node, "blue", namespace="red")
    made["metadata"].setdefault("labels", {})["app"] = name
    return made


def until(kubectl: Kubectl, what: str, jsonpath: str, value: str = "") -> None:
    form = f"--for=jsonpath={{{jsonpath}}}" + (f"={value}" if value else "")
    kubectl("wait", form, what, "-n", "red", WAIT)


def zones(kubectl: Kubectl, name: str) -> list[str]:
    found = json.loads(kubectl("get", "networkqos", name, "-n", "red", "-o", "json"))
    listed = found.get("status", {}).get("conditions", [])
    return sorted(f"{each['type']} {each['status']}" for each in listed)


def test_a_tenants_networkqos(labs: LabHouse) -> None:
    labs.names.append(LAB)
    kubectl = Kubectl(labs, labs.json("lab", "up", "--name", LAB, "--nodes", "2")["kubeconfig"])
    kubectl("create", "namespace", "red")
    kubectl("create", "rolebinding", "t", "--clusterrole=edit", "--user=ann", "-n", "red")
    kubectl("create", "rolebinding", "v", "--clusterrole=view", "--user=bob", "-n", "red")
    for user, verb, expected in (("ann", "create", "yes"), ("bob", "get", "yes")):
        asked = "auth", "can-i", verb, "networkqoses.k8s.ovn.org", f"--as={user}", "-n", "red"
        assert kubectl(*asked).strip() == expected
    kubectl.apply(UDN)
    kubectl.apply(pod("voice", "node1"), pod("far", "node2"))
    for each in ("pod/voice", "pod/far"):
        kubectl("wait", "--for=condition=Ready", each, "-n", "red", WAIT)

    # One zone has a pod that it selects, and says so.
    kubectl.apply(qos("calls", {"dscp": 46, "bandwidth": {"rate": 100_000}}))
    applied = "NetworkQoS Destinations applied"
    until(kubectl, "networkqos/calls", ".status.status", applied)
    assert zones(kubectl, "calls") == ["Ready-In-Zone-node1 True"]
    assert applied in kubectl("get", "networkqos", "calls", "-n", "red")
    (address, *_) = json.loads(
        kubectl("get", "pod", "far", "-n", "red", "-o", "json"),
    )["metadata"]["annotations"]["k8s.v1.cni.cncf.io/network-status"].split("10.7.0.")[1:]
    labs.reach("red/voice", f"10.7.0.{address.split(chr(34))[0]}")

    # Labels are followed: the other zone has the only one now.
    kubectl("label", "pod", "voice", "-n", "red", "--overwrite", "app=none")
    kubectl("label", "pod", "far", "-n", "red", "--overwrite", "app=voice")
    kubectl("wait", "--for=condition=Ready-In-Zone-node2", "networkqos/calls", "-n", "red", WAIT)
    gone = ".status.conditions[0].type"
    until(kubectl, "networkqos/calls", gone, "Ready-In-Zone-node2")
    assert zones(kubectl, "calls") == ["Ready-In-Zone-node2 True"]

    # Nobody is selected, or the object is wrong: the sentence says so.
    kubectl("label", "pod", "far", "-n", "red", "--overwrite", "app=none")
    nobody = "no pod that it selects is on a network that it selects"
    until(kubectl, "networkqos/calls", ".status.status", nobody)
    kubectl.apply(qos("wrong", {"dscp": 1, "bandwidth": {"burst": 5}}))
    until(kubectl, "networkqos/wrong", ".status.status")
    told = kubectl("get", "networkqos", "wrong", "-n", "red")
    assert "spec.egress[0].bandwidth.burst" in told
    assert "has no effect without rate" in told
