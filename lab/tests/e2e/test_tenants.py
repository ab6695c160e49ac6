"""Two tenants on one cluster: neither gets into the other's network but where it is let in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lab.tests.support import lab_pods
from lab.tests.support.lab_pods import Kubectl
from lab.tests.support.labs import LabHouse
from tests.support import objects
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.lab
LAB = "tenants"
READY = ("--for=condition=Ready", f"--timeout={PATIENCE:g}s")


def nad(namespace: str, name: str, **more: Any) -> objects.Object:
    """Of the network blue, whoever declares it."""
    config = {"subnets": "10.9.0.0/24", "name": "blue", **more}
    return objects.nad(name, namespace=namespace, **config)


def pod(namespace: str, name: str, node: str, networks: str) -> objects.Object:
    return lab_pods.pod(name, node, networks, namespace=namespace)


def address(kubectl: Kubectl, namespace: str, name: str) -> str:
    path = r"jsonpath={.metadata.annotations.k8s\.v1\.cni\.cncf\.io/network-status}"
    listed = json.loads(kubectl("get", "pod", "-n", namespace, name, "-o", path))
    (entry,) = [one for one in listed if one["interface"] == "net1"]
    return str(entry["ips"][0])


def ports(labs: LabHouse) -> str:
    argv = ("ovn-nbctl", "--bare", "--columns=name", "list", "Logical_Switch_Port")
    return "".join(labs.run(node, *argv).stdout for node in ("node1", "node2"))


def served(labs: LabHouse) -> str:
    """What DHCP serves on node1, and which of it each port is served by."""
    options = ("ovn-nbctl", "--bare", "--columns=_uuid,cidr,options", "find", "DHCP_Options")
    of_ports = ("--columns=name,dhcpv4_options", "list", "Logical_Switch_Port")
    blue = labs.run("node1", *options, "cidr=10.9.0.0/24").stdout
    return blue + labs.run("node1", "ovn-nbctl", "--bare", *of_ports).stdout


def test_a_tenant_gets_into_anothers_network_only_where_it_is_let_in(labs: LabHouse) -> None:
    labs.names.append(LAB)
    found = labs.json("lab", "up", "--name", LAB, "--nodes", "2")
    kubectl = Kubectl(labs, found["kubeconfig"])
    kubectl.apply(objects.namespace("ta"), objects.namespace("tb"))
    kubectl.apply(
        nad("ta", "blue"), pod("ta", "web", "node1", "blue"), pod("ta", "peer", "node2", "blue")
    )
    kubectl("wait", "-n", "ta", "pod/web", "pod/peer", *READY)
    web = address(kubectl, "ta", "web")
    labs.reach("ta/peer", web)

    kubectl.apply(nad("tb", "mine"))
    kubectl.apply(
        pod("tb", "thief1", "node2", "ta/blue"),
        pod("tb", "thief2", "node2", '[{"name": "mine", "ips": ["10.9.0.200"]}]'),
    )
    for reason in ("ErrorAllocatingPod", "FailedCreatePodSandBox"):
        for name in ("thief1", "thief2"):
            told = kubectl.event(name, reason, "tb")
            assert "belongs to namespace ta (NetworkAttachmentDefinition ta/blue)" in told
            assert 'add "tb" to allowedNamespaces' in told
    assert "may not declare network" in kubectl.event("mine", "InvalidConfig", "tb")
    assert "peer" in ports(labs)
    assert "thief" not in ports(labs)

    # Let in, the same pod reaches it: nothing else held it off.
    kubectl.apply(nad("ta", "blue", allowedNamespaces=["tb"]))
    kubectl("wait", "-n", "tb", "pod/thief1", "pod/thief2", *READY)
    labs.reach("tb/thief1", web)
    labs.reach("tb/thief2", web)

    # And not any more: those that run go on, and no other gets in.
    kubectl.apply(nad("ta", "blue"))
    kubectl.apply(pod("tb", "late", "node2", "ta/blue"))
    assert "does not admit namespace tb" in kubectl.event("late", "FailedCreatePodSandBox", "tb")
    labs.reach("tb/thief1", web)
    assert "late" not in ports(labs)

    # An edit under pods that run takes nothing from them, not their server of addresses either.
    before = served(labs)
    assert "lease_time" in before
    kubectl.apply(nad("ta", "blue", subnets="10.10.0.0/24", mtu=1200))
    told = kubectl.event("blue", "EditWaits", "ta")
    assert "subnets" in told
    assert "Pod ta/web" in told
    kubectl.apply(pod("ta", "later", "node1", "blue"))
    kubectl("wait", "-n", "ta", "pod/later", *READY)
    labs.reach("ta/later", web)
    assert set(before.split()) <= set(served(labs).split())
