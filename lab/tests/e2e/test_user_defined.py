"""Networks from UserDefinedNetworks: packets on two nodes, and who shares them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lab.tests.support import lab_pods
from lab.tests.support.lab_pods import Kubectl
from lab.tests.support.labs import ROOT, LabHouse
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.lab
LAB = "user-defined"
WAIT = f"--timeout={PATIENCE:g}s"
EXAMPLES: Path = ROOT / "examples/user-defined"
PRIMARY: dict[str, Any] = {
    "apiVersion": "k8s.ovn.org/v1",
    "kind": "UserDefinedNetwork",
    "metadata": {"name": "blue-network", "namespace": "blue"},
    "spec": {
        "topology": "Layer3",
        "layer3": {
            "role": "Primary",
            "subnets": [{"cidr": "103.103.0.0/16", "hostSubnet": 24}],
        },
    },
}


def pod(name: str, namespace: str, node: str, networks: Any) -> dict[str, Any]:
    return lab_pods.pod(name, node, networks, namespace=namespace)


def up(labs: LabHouse) -> Kubectl:
    labs.names.append(LAB)
    kubectl = Kubectl(labs, labs.json("lab", "up", "--name", LAB, "--nodes", "2")["kubeconfig"])
    for name, team in (("red", ""), ("blue", ""), ("shop", "payments"), ("bank", "payments")):
        kubectl("create", "namespace", name)
        if team:
            kubectl("label", "namespace", name, f"team={team}")
    return kubectl


def run(kubectl: Kubectl, *pods: dict[str, Any]) -> None:
    kubectl.apply(*pods)
    for each in pods:
        meta = each["metadata"]
        ready = f"pod/{meta['name']}"
        kubectl("wait", "--for=condition=Ready", ready, "-n", meta["namespace"], WAIT)


def addresses(kubectl: Kubectl, name: str, namespace: str) -> list[str]:
    found = json.loads(kubectl("get", "pod", name, "-n", namespace, "-o", "json"))
    listed = json.loads(found["metadata"]["annotations"]["k8s.v1.cni.cncf.io/network-status"])
    (entry,) = [each for each in listed if each["interface"] == "net1"]
    return [str(each) for each in entry["ips"]]


def created(kubectl: Kubectl, what: str, value: str = "True", namespace: str = "red") -> str:
    kubectl("wait", f"--for=condition=NetworkCreated={value}", what, "-n", namespace, WAIT)
    form = "jsonpath={.status.conditions[?(@.type=='NetworkCreated')].message}"
    return kubectl("get", what, "-n", namespace, "-o", form)


def test_networks_of_namespaces_and_of_teams(labs: LabHouse) -> None:
    kubectl = up(labs)
    kubectl("apply", "-f", str(EXAMPLES))
    kubectl.apply(PRIMARY)
    created(kubectl, "udn/db-net")
    created(kubectl, "udn/routed")
    primary = created(kubectl, "udn/blue-network", "False", "blue")
    assert "primary network belongs to the cluster's primary CNI" in primary
    assert "bank, shop" in created(kubectl, "cudn/shared-flat")

    # One segment over both nodes, in both families; a routed network.
    run(
        kubectl,
        pod("db1", "red", "node1", "db-net"),
        pod("db2", "red", "node2", "db-net"),
        pod("far1", "red", "node1", "routed"),
        pod("far2", "red", "node2", "routed"),
    )
    found = addresses(kubectl, "db2", "red")
    assert [each.rpartition(":" if ":" in each else ".")[0] for each in found] == [
        "10.100.50",
        "fd00:50:",
    ]
    for address in (*found, *addresses(kubectl, "far2", "red")):
        source, other = "red/db1", "red/far1"
        if address.startswith("10.150."):
            source, other = other, source
        labs.reach(source, address)
        assert labs.run(other, "ping", "-c", "2", "-W", "1", address, check=False).returncode

    # Another namespace has no part in it.
    kubectl.apply(pod("thief", "blue", "node1", "red/db-net"))
    assert "does not admit namespace blue" in kubectl.event(
        "thief", "FailedCreatePodSandBox", "blue"
    )

    # One network of both namespaces of the team, with addresses of the pods' own.
    for name, namespace, node in (("s", "shop", "node1"), ("k", "bank", "node2")):
        number = 1 if name == "s" else 2
        own = {"name": "shared-flat", "ips": [f"192.168.7.{number}/24", f"fd77::{number}/64"]}
        run(kubectl, pod(name, namespace, node, [own]))
    for address in ("192.168.7.2", "fd77::2"):
        labs.reach("shop/s", address)

    # A namespace that leaves keeps its network while a pod uses it, and says which.
    kubectl("label", "namespace", "shop", "team-")
    assert "Pod shop/s" in created(kubectl, "cudn/shared-flat", "False")
    labs.reach("shop/s", "192.168.7.2")
    kubectl("delete", "pod", "s", "-n", "shop")
    kubectl("wait", "--for=delete", "net-attach-def/shared-flat", "-n", "shop", WAIT)
    created(kubectl, "cudn/shared-flat")

    # A deletion waits for pods, and names them.
    kubectl("delete", "udn", "db-net", "-n", "red", "--wait=false")
    assert "Pod red/db1" in kubectl.event("db-net", "DeletionWaits", "red")
    labs.reach("red/db1", found[0])
    kubectl("delete", "pod", "db1", "db2", "-n", "red")
    kubectl("wait", "--for=delete", "udn/db-net", "-n", "red", WAIT)
    kubectl("wait", "--for=delete", "net-attach-def/db-net", "-n", "red", WAIT)
    shown = labs.weft("networks", "--lab", LAB).stdout
    assert "red_routed" in shown
    assert "cluster_udn_shared-flat" in shown
