"""NICs of running pods come and go in a lab: packets, policies, rows, and what was there before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from lab.tests.support import labs
from lab.tests.support.lab_pods import Kubectl, pinging, pod
from tests.support.objects import nad, policy
from tests.support.patience import PATIENCE, await_true
from weft import names
from weft_lab.runtime import toolchain

pytestmark = pytest.mark.lab
NAME = "hotplug"


class Hotplug:
    """The lab, and edits of its pods."""

    def __init__(self, house: labs.LabHouse, kubeconfig: str) -> None:
        self.house, self.kubectl = house, Kubectl(house, kubeconfig)

    def edit(self, name: str, networks: str) -> None:
        self.kubectl("annotate", "--overwrite", "pod", name, f"{names.NETWORKS}={networks}")

    def interfaces(self, name: str) -> list[str]:
        return [each["interface"] for each in self.kubectl.status(name)]

    def has(self, name: str, *interfaces: str) -> None:
        """Returns when network-status has these interfaces and no others."""
        await_true(lambda: self.interfaces(name) == list(interfaces), f"{name}: {interfaces}")

    def allocations(self, name: str) -> dict[str, Any]:
        """Of its networks but the default one."""
        notes = self.kubectl.pod(name)["metadata"]["annotations"]
        found: dict[str, Any] = json.loads(notes.get(names.POD_NETWORKS, "{}"))
        return {key: found[key] for key in found if key != names.DEFAULT_NETWORK}

    def rows(self, node: str, nad_name: str, name: str) -> list[str]:
        """The logical ports of a pod on a NAD that a zone has."""
        argv = ("ovn-nbctl", "--bare", "--columns=name", "list", "Logical_Switch_Port")
        found = self.house.run(node, *argv).stdout.split()
        return [each for each in found if nad_name in each and each.endswith(f"_{name}")]

    def devices(self, name: str) -> str:
        return self.house.run(f"default/{name}", "ip", "-o", "link").stdout


@pytest.fixture(scope="module")
def lab(
    toolchain: toolchain.Toolchain, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hotplug]:
    with labs.running(NAME, 2, tmp_path_factory.mktemp("state"), toolchain) as (house, kubeconfig):
        yield Hotplug(house, kubeconfig)


def test_a_nic_comes_and_goes_and_the_other_loses_no_packet(lab: Hotplug) -> None:
    friends = {"podSelector": {"matchLabels": {"app": "friend"}}}
    guard = policy(
        networks="red", app="one", policyTypes=["Ingress"], ingress=[{"from": [friends]}]
    )
    lab.kubectl.run_pods(
        nad("blue", "10.9.0.0/24"),
        nad("red", "10.8.0.0/24"),
        guard,
        pod("one", "node1", "blue", labels={"app": "one"}),
        pod("friend", "node2", "blue, red", labels={"app": "friend"}),
        pod("other", "node2", "red", labels={"app": "other"}),
    )
    friend = lab.kubectl.address("friend", "net2")
    blue = lab.kubectl.address("friend", "net1")
    lab.house.reach("default/one", blue)
    with pinging(lab.house, "one", blue) as pings:
        lab.edit("one", "blue, red")
        lab.has("one", "eth0", "net1", "net2")
        red = lab.kubectl.address("one", "net2")
        assert lab.allocations("one")["default/red"]["ip_address"] == f"{red}/24"
        lab.house.reach("default/one", friend)
        lab.house.reach("default/friend", red)
        assert lab.house.is_deaf("default/other", red), "the policy forbids it"
        lab.house.reach("default/other", friend)  # the control: others it reaches
        assert lab.rows("node2", "red", "one")

        lab.edit("one", "blue")
        lab.has("one", "eth0", "net1")
        assert "net2" not in lab.devices("one")
        nodes = ("node1", "node2")
        await_true(lambda: not any(lab.rows(each, "red", "one") for each in nodes), "no rows")
        assert set(lab.allocations("one")) == {"default/blue"}
        ports = lab.house.run("node1", "ovs-vsctl", "--bare", "--columns=external_ids", "list",
                              "Interface").stdout  # fmt: skip
        assert "default/red" not in ports.replace(names.POD_NETWORKS, "")
    assert pings.sent > 20
    assert not pings.is_cut, pings.lost
    asking = json.dumps([{"name": "red", "ips": [red]}])
    lab.kubectl.run_pods(pod("heir", "node1", asking))  # the address is free


def test_what_is_edited_twice_ends_as_it_was_asked_last(lab: Hotplug) -> None:
    lab.kubectl.run_pods(nad("green", "10.7.0.0/24"), pod("twice", "node1", "green"))
    for _ in range(3):
        lab.edit("twice", "green, green@data0")
        lab.edit("twice", "green")
    lab.edit("twice", "green@data0")
    lab.has("twice", "eth0", "data0")
    await_true(lambda: len(lab.allocations("twice")) == 1, "one allocation")
    (given,) = lab.allocations("twice").values()
    await_true(lambda: given["mac_address"] in lab.devices("twice"), "its NIC")
    lab.kubectl.run_pods(pod("peer", "node2", "green"))
    lab.house.reach("default/peer", lab.kubectl.address("twice", "data0"))


def test_an_edit_while_the_pod_starts_is_followed(lab: Hotplug) -> None:
    lab.kubectl.apply(nad("white", "10.6.0.0/24"), pod("early", "node1", "white"))
    lab.edit("early", "white, blue")
    lab.kubectl("wait", "--for=condition=Ready", "pod/early", f"--timeout={PATIENCE:g}s")
    lab.has("early", "eth0", "net1", "net2")


@pytest.mark.parametrize("service", ["node1/agent", "node1/kubelet", "lab/cluster-manager"])
def test_whoever_dies_in_between_it_ends_as_asked(lab: Hotplug, service: str) -> None:
    name = f"survivor-{service.rpartition('/')[2]}"
    lab.kubectl.run_pods(pod(name, "node1", "blue"))
    listed = lab.house.json("lab", "status", "--name", NAME)["services"]
    (pid,) = [one["pid"] for one in listed if one["name"] == service]
    lab.edit(name, "blue, blue@data0")
    lab.house.run("lab", "busybox", "kill", "-9", str(pid))
    lab.has(name, "eth0", "net1", "data0")
    lab.house.reach("default/friend", lab.kubectl.address(name, "data0"))
    listed = lab.house.json("lab", "status", "--name", NAME)["services"]
    (pid,) = [one["pid"] for one in listed if one["name"] == service]
    lab.edit(name, "blue")
    lab.house.run("lab", "busybox", "kill", "-9", str(pid))
    lab.has(name, "eth0", "net1")
    await_true(lambda: len(lab.allocations(name)) == 1, "the address is free")
    assert "data0" not in lab.devices(name)


def test_a_network_that_cannot_be_had_gets_an_event_and_the_rest_works(lab: Hotplug) -> None:
    lab.kubectl.run_pods(pod("partly", "node1", "blue"))
    lab.edit("partly", "blue, nowhere, green@data0")
    message = lab.kubectl.event("partly", "FailedAddingInterface")
    assert "nowhere" in message
    lab.has("partly", "eth0", "net1", "data0")
    lab.edit("partly", "blue, green@data0")
    lab.has("partly", "eth0", "net1", "data0")
