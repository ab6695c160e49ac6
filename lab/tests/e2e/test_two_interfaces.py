"""A pod with two interfaces on one routed network uses both, and sends nothing elsewhere."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable

import pytest

from lab.tests.support import labs as support
from lab.tests.support.lab_pods import Kubectl, pod
from tests.support.objects import nad
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.lab

DUAL = "10.128.0.0/14/23,fd00:10:128::/48/64"
WIDE = "10.60.0.0/16/24,fd60::/48/64"
PRIVATE = "10.60.99.9"  # of the network, and of no node


@pytest.fixture
def lab(labs: support.LabHouse) -> Kubectl:
    labs.names.append("twice")
    labs.json("lab", "up", "--name", "twice", "--nodes", "2", "--cluster-subnets", DUAL)
    kubectl = Kubectl(labs, labs.json("lab", "status", "--name", "twice")["kubeconfig"])
    twice = pod("twice", "node1", networks="wide, wide")
    twice["spec"]["containers"][0]["securityContext"] = {"capabilities": {"add": ["NET_ADMIN"]}}
    several = [{"name": "blue", "default-route": ["10.9.0.1", "10.9.0.2"]}]
    kubectl.run_pods(
        nad("wide", WIDE, topology="layer3"),
        nad("blue", "10.9.0.0/24"),
        twice,
        pod("far", "node2", networks="wide"),
        pod("gateways", "node2", networks=json.dumps(several)),
    )
    return kubectl


def ips(lab: Kubectl, name: str, interface: str) -> list[str]:
    (entry,) = [one for one in lab.status(name) if one["interface"] == interface]
    return list(entry["ips"])


def ways(labs: support.LabHouse, name: str, family: str, addresses: str) -> set[tuple[str, ...]]:
    """Gateways and interfaces by which a pod sends to addresses; `%` stands for a number."""
    each = f"ip {family} route get {addresses.replace('%', '$i')}"
    shown = labs.run(f"default/{name}", "sh", "-c", f"for i in $(seq 32); do {each}; done").stdout
    return set(re.findall(r"via (\S+) dev (\S+)", shown))


def test_both_interfaces_lead_to_the_other_nodes_also_after_their_links_were_down(
    labs: support.LabHouse, lab: Kubectl
) -> None:
    far = ips(lab, "far", "net1")
    both = {"net1", "net2"}
    own = {name: ips(lab, "twice", name) for name in both}

    def check() -> None:
        for each in far:
            labs.reach("default/twice", each)
            for mine in (*own["net1"], *own["net2"]):
                if (":" in mine) == (":" in each):
                    labs.reach("default/twice", each, "-I", mine)
                    labs.reach("default/far", mine)
        for family, addresses in (("-4", "10.60.7.%"), ("-6", "fd60:0:0:7::%")):
            end = time.monotonic() + PATIENCE
            while (used := {each for _, each in ways(labs, "twice", family, addresses)}) != both:
                assert time.monotonic() < end, f"its answers come by {used} alone"

    check()
    assert listeners(labs, "twice") == 1, "one for all of its interfaces"
    for down in (["net1"], ["net1", "net2"]):
        flap(labs, *down)
        check()
    kill(labs, "node1/agent", lambda: flap(labs, "net1"))
    check()
    kill(labs, "node1/vswitchd", lambda: None)
    check()


def listeners(labs: support.LabHouse, name: str) -> int:
    """Sockets in the pod's namespace that hear of its links: netlink(7), protocol and group."""
    listed = labs.run(f"default/{name}", "cat", "/proc/net/netlink").stdout.splitlines()[1:]
    return sum(
        protocol == "0" and bool(int(groups, 16) & 1)
        for _, protocol, _, groups, *_ in map(str.split, listed)
    )


def flap(labs: support.LabHouse, *interfaces: str) -> None:
    """All of them down, then all of them up."""
    for state in ("down", "up"):
        for name in interfaces:
            labs.run("default/twice", "ip", "link", "set", name, state)


def kill(labs: support.LabHouse, service: str, meanwhile: Callable[[], None]) -> None:
    """The service is held while something happens, then killed; its supervisor starts another."""
    listed = labs.json("lab", "status", "--name", "twice")["services"]
    (pid,) = [str(one["pid"]) for one in listed if one["name"] == service]
    labs.run("lab", "busybox", "kill", "-STOP", pid)
    meanwhile()
    labs.run("lab", "busybox", "kill", "-KILL", pid)


def test_a_private_range_does_not_leave_by_the_gateway(
    labs: support.LabHouse, lab: Kubectl
) -> None:
    """The outside has the address: it hears who asks once nothing in the pod ends the range."""
    labs.run("outside", "busybox", "ip", "addr", "add", f"{PRIVATE}/32", "dev", "lo")
    for name in ("net1", "net2"):
        labs.run("default/twice", "ip", "link", "set", name, "down")
    ping = ("ping", "-c", "2", "-W", "1", PRIVATE)
    assert labs.run("default/twice", *ping, check=False).returncode != 0
    ends = ("ip", "route", "del", "unreachable", "10.60.0.0/16")
    labs.run("default/twice", *ends)
    assert labs.run("default/twice", *ping, check=False).returncode == 0


def test_two_gateways_are_one_default_route(labs: support.LabHouse, lab: Kubectl) -> None:
    found = ways(labs, "gateways", "-4", "192.0.2.%")
    assert found == {("10.9.0.1", "net1"), ("10.9.0.2", "net1")}
