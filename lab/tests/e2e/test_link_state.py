"""Interfaces that their owner cut off: one without its cable, one that is not there at all."""

from __future__ import annotations

import json

import pytest

from lab.tests.support import labs as support
from lab.tests.support.lab_pods import Kubectl, pod
from tests.support.objects import Object, nad, nic, vmi

pytestmark = pytest.mark.lab
CONNECTED = "jsonpath={.status.conditions[?(@.type=='AgentConnected')].status}=True"


def machine() -> Object:
    """With three interfaces on one network: up, down and absent."""
    states = {"plugged": "up", "cut": "down", "none": "absent"}
    return vmi("quarantined", *(nic(name, "red", state=state) for name, state in states.items()))


def test_what_is_cut_off_hears_and_sends_nothing(labs: support.LabHouse) -> None:
    labs.names.append("cut")
    found = labs.json("lab", "up", "--name", "cut", "--nodes", "1")
    kubectl = Kubectl(labs, found["kubeconfig"])
    kubectl.run_pods(nad("red", "10.50.0.0/24"), pod("peer", "node1", networks="red"))
    kubectl.apply(machine())
    kubectl("wait", "vmi/quarantined", f"--for={CONNECTED}", "--timeout=120s")

    status = json.loads(kubectl("get", "vmi", "quarantined", "-o", "json"))["status"]
    shown = {one["name"]: one.get("linkState") for one in status["interfaces"]}
    assert shown == {"plugged": None, "cut": "down"}
    (launcher,) = json.loads(kubectl("get", "pods", "-l", "kubevirt.io", "-o", "json"))["items"]
    attached = kubectl.status(launcher["metadata"]["name"])
    plugged, cut = [one["ips"][0] for one in attached if one["name"] == "default/red"]

    labs.reach("default/peer", plugged)  # the control: it has its lease, and answers
    ping = ("ping", "-c", "3", "-W", "1", cut)
    assert labs.run("default/peer", *ping, check=False).returncode != 0
    neighbours = labs.run("default/peer", "cat", "/proc/net/arp").stdout
    entries = {line.split()[0]: line.split()[3] for line in neighbours.splitlines()[1:]}
    assert entries[plugged] != "00:00:00:00:00:00"
