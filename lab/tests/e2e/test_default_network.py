"""The default network as pods meet it: every node, the outside, and nobody from there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lab.tests.support import labs as support
from lab.tests.support.lab_pods import Kubectl, pod
from tests.support.objects import nad

pytestmark = pytest.mark.lab

OUTSIDE = "172.31.1.1"
GATEWAYS = {"node1": "172.31.1.101", "node2": "172.31.1.102"}
DUAL = "10.128.0.0/14/23,fd00:10:128::/48/64"


@pytest.fixture
def lab(labs: support.LabHouse) -> Kubectl:
    labs.names.append("own")
    made = labs.json("lab", "up", "--name", "own", "--nodes", "2", "--cluster-subnets", DUAL)
    return Kubectl(labs, made["kubeconfig"])


def echoes(labs: support.LabHouse, target: str) -> int:
    """Echo requests that a pod has received."""
    text = labs.run(target, "cat", "/proc/net/snmp").stdout
    names, values = (line.split() for line in text.splitlines() if line.startswith("Icmp:"))
    return int(values[names.index("InEchos")])


def test_pods_reach_each_other_and_the_outside_and_nobody_comes_in(
    labs: support.LabHouse, lab: Kubectl
) -> None:
    lab.run_pods(pod("a", "node1"), pod("b", "node1"), pod("c", "node2"))
    ips = {name: [one["ip"] for one in lab.pod(name)["status"]["podIPs"]] for name in "abc"}
    for target in ("b", "c"):
        for address in ips[target]:
            labs.reach("default/a", address, "-s", "1352")
    for name, node in (("a", "node1"), ("c", "node2")):
        page = labs.run(
            f"default/{name}", "wget", "-T", "60", "-q", "-O", "-", f"http://{OUTSIDE}/"
        )
        assert page.stdout == f"hello from outside, {GATEWAYS[node]}\n"
        six = ("wget", "-T", "60", "-q", "-O", "-", "http://[fd00:172:31:1::1]/")
        assert "hello from outside, fd00:172:31:1::6" in labs.run(f"default/{name}", *six).stdout
    labs.reach("default/a", OUTSIDE)

    # The outside knows the way now, and is not let in; the nodes' gateways do not answer for pods.
    received = echoes(labs, "default/a"), echoes(labs, "default/c")
    labs.run("outside", "busybox", "ip", "route", "add", "10.128.0.0/14", "via", GATEWAYS["node1"])
    for name in ("a", "c"):
        knock = ("busybox", "ping", "-c", "2", "-W", "1", ips[name][0])
        assert labs.run("outside", *knock, check=False).returncode != 0
    assert (echoes(labs, "default/a"), echoes(labs, "default/c")) == received
    labs.reach("default/a", OUTSIDE)


def test_much_comes_from_outside(labs: support.LabHouse, lab: Kubectl, tmp_path: Path) -> None:
    """In segments as large as a wire carries, else the gateway takes them for too large."""
    (tmp_path / "much").write_text("hello from outside\n" * 200_000)
    labs.run("outside", "busybox", "httpd", "-p", "8080", "-h", str(tmp_path))
    lab.run_pods(pod("a", "node1"))
    for host in (OUTSIDE, "[fd00:172:31:1::1]"):
        fetch = ("wget", "-T", "60", "-q", "-O", "-", f"http://{host}:8080/much")
        assert labs.run("default/a", *fetch).stdout == (tmp_path / "much").read_text()


def test_the_workflow_of_a_pods_networks(labs: support.LabHouse, lab: Kubectl) -> None:
    plain = pod("plain", "node1", networks="blue, red")
    plain["spec"]["containers"][0]["securityContext"] = {"capabilities": {"add": ["NET_ADMIN"]}}
    lab.run_pods(
        nad("blue", "10.9.0.0/24"),
        nad("both", "10.19.0.0/24,fd00:19::/64"),
        nad("red", "10.8.0.0/16/24", topology="layer3"),
        plain,
        pod("chosen", "node2", default_network="default/blue", networks="red"),
        pod(
            "moved",
            "node1",
            networks=json.dumps([{"name": "blue", "default-route": ["10.9.0.1"]}]),
        ),
        pod(
            "moved-both",
            "node1",
            networks=json.dumps([{"name": "both", "default-route": ["10.19.0.1", "fe80::1"]}]),
        ),
    )
    check_status(lab)
    labs.reach("default/plain", lab.address("chosen"))
    labs.reach("default/plain", lab.address("chosen", "net1"))
    six = lab.status("plain")[0]["gateway"][1]
    assert default_routes(labs, "moved") == ["via 10.9.0.1 dev net1", f"via {six} dev eth0"]
    both = ["via 10.19.0.1 dev net1", "via fe80::1 dev net1"]
    assert default_routes(labs, "moved-both") == both
    # The rest of the cluster stays reachable through eth0.
    labs.reach("default/moved", lab.address("plain"))

    # A secondary network leads to its own nodes alone, though a pod sends the rest there too.
    router = lab.address("plain", "net2").rsplit(".", 1)[0] + ".1"
    labs.run("default/plain", "ip", "route", "add", OUTSIDE, "via", router, "dev", "net2")
    astray = labs.run("default/plain", "ping", "-c", "2", "-W", "1", OUTSIDE, check=False)
    assert "100% packet loss" in astray.stdout
    labs.run("default/plain", "ip", "route", "del", OUTSIDE, "via", router, "dev", "net2")
    labs.reach("default/plain", OUTSIDE)

    lab("annotate", "--overwrite", "pod", "chosen", "v1.multus-cni.io/default-network-")
    message = lab.event("chosen", "NetworksChangeRefused")
    assert "v1.multus-cni.io/default-network: was changed" in message
    labs.reach("default/plain", lab.address("chosen"))


def default_routes(labs: support.LabHouse, name: str) -> list[str]:
    """Where a pod sends what it knows no other way for, IPv4 first."""
    lines: list[str] = []
    for family in ("-4", "-6"):
        lines += labs.run(f"default/{name}", "ip", family, "route").stdout.splitlines()
    return [" ".join(line.split()[1:5]) for line in lines if line.startswith("default")]


def check_status(lab: Kubectl) -> None:
    """Each pod's interfaces, the first one first, with all that a reader wants of them."""
    expected: dict[str, list[tuple[str, str, bool]]] = {
        "plain": [
            ("ovn-kubernetes", "eth0", True),
            ("default/blue", "net1", False),
            ("default/red", "net2", False),
        ],
        "chosen": [("default/blue", "eth0", True), ("default/red", "net1", False)],
        # The default network is the default, also where the default route is another's.
        "moved": [("ovn-kubernetes", "eth0", True), ("default/blue", "net1", False)],
        "moved-both": [("ovn-kubernetes", "eth0", True), ("default/both", "net1", False)],
    }
    for name, interfaces in expected.items():
        seen: list[dict[str, Any]] = lab.status(name)
        found = [(one["name"], one["interface"], one.get("default", False)) for one in seen]
        assert found == interfaces
        assert all(one["mac"] and one["mtu"] == 1400 and one["ips"] for one in seen)
    gateways = {name: [one.get("gateway", []) for one in lab.status(name)] for name in expected}
    assert [each.split(":")[0].split(".")[0] for each in gateways["plain"][0]] == ["10", "fd00"]
    assert gateways["moved"] == [gateways["plain"][0][1:], ["10.9.0.1"]]
    assert gateways["moved-both"] == [[], ["10.19.0.1", "fe80::1"]]
    assert gateways["chosen"] == [[], []]
