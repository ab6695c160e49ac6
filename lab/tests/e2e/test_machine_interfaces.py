"""A virtual machine's interface comes back, whoever deletes its port or its device."""

from __future__ import annotations

import json

import pytest

from lab.tests.support import labs as support
from lab.tests.support.lab_pods import Kubectl, pod
from tests.support.objects import nad, nic, vmi

pytestmark = pytest.mark.lab
CONNECTED = "jsonpath={.status.conditions[?(@.type=='AgentConnected')].status}=True"


def test_ports_and_devices_that_somebody_deletes_come_back(labs: support.LabHouse) -> None:
    labs.names.append("hands")
    found = labs.json("lab", "up", "--name", "hands", "--nodes", "2")
    kubectl = Kubectl(labs, found["kubeconfig"])
    kubectl.run_pods(nad("blue", "10.9.0.0/24"), pod("peer", "node2", networks="blue"))
    kubectl.apply(vmi("one", nic("blue", "blue"), node="node1"))
    kubectl("wait", "vmi/one", f"--for={CONNECTED}", "--timeout=120s")
    (launcher,) = json.loads(kubectl("get", "pods", "-l", "kubevirt.io", "-o", "json"))["items"]
    name = launcher["metadata"]["name"]
    (entry,) = [one for one in kubectl.status(name) if one["name"] == "default/blue"]
    address, interface = entry["ips"][0], entry["interface"]
    labs.reach("default/peer", address)

    found_port = ("--bare", "--columns=name", "find", "Interface")
    wanted = f"external_ids:pod-if-name={interface}"
    device = labs.run("node1", "ovs-vsctl", *found_port, wanted).stdout.strip()
    works = ("--timeout=30", "wait-until", "Interface", device)

    labs.run("node1", "ovs-vsctl", "--no-wait", "del-port", device)
    assert interface in kubectl.event(name, "InterfaceRepaired")
    labs.run("node1", "ovs-vsctl", *works, "external_ids:ovn-installed=true", "ofport>0")
    labs.reach("default/peer", address)

    ping = ("ping", "-c", "1", "-W", "1", address)
    labs.run(f"default/{name}", "busybox", "ip", "link", "set", "dev", interface, "down")
    assert labs.run("default/peer", *ping, check=False).returncode != 0  # it is this one
    labs.run(f"default/{name}", "busybox", "ip", "link", "del", "dev", interface)
    labs.reach("default/peer", address)


def test_a_pod_is_reported_that_it_deleted_its_device(labs: support.LabHouse) -> None:
    """It may want that; weft does not put it back."""
    labs.names.append("own")
    found = labs.json("lab", "up", "--name", "own", "--nodes", "1")
    kubectl = Kubectl(labs, found["kubeconfig"])
    own = pod("p", "node1", networks="blue")
    own["spec"]["containers"][0]["securityContext"] = {"capabilities": {"add": ["NET_ADMIN"]}}
    kubectl.run_pods(nad("blue", "10.9.0.0/24"), own)
    labs.run("default/p", "ip", "link", "del", "dev", "net1")
    assert "net1: its device was deleted" in kubectl.event("p", "InterfaceLost")
    kubectl("wait", "--for=condition=Ready", "node/node1", "--timeout=30s")
