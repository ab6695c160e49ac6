"""Attachments of running pods, against hands in the switch's database and agents that die.

Each fault is made where the agent cannot prevent it; that it is one is shown while no agent runs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from lab.tests.support import cni
from lab.tests.support.cni import BLUE, Runtime
from tests.support import objects
from tests.support.patience import PATIENCE
from weft import names
from weft.kube import resources

pytestmark = pytest.mark.real
NOTHING: dict[str, list[str]] = {"ports": [], "devices": []}
TRIES = 30  # pings of a second each, at most


@dataclass
class Pair:
    """A pod whose port is meddled with, and another one that pings it."""

    node: Runtime
    pod: cni.Pod
    peer: cni.Pod
    address: str

    @property
    def device(self) -> str:
        return names.host_device(self.pod.sandbox, "net1")

    @property
    def port(self) -> str:
        return names.logical_port("default/blue", "default", self.pod.name)

    def vsctl(self, *args: str) -> str:
        return str(self.node.order("vsctl", args=list(args)))

    def reaches(self, tries: int = TRIES) -> bool:
        asked = {"name": self.peer.sandbox, "address": self.address, "tries": tries}
        return bool(self.node.order("reaches", **asked))


@pytest.fixture(scope="module")
def network(cni_lab: Any) -> Any:
    with cni.runtime(cni_lab, "internal") as made:
        made.api(lambda api: api.create(resources.NADS, cni.nad_object(BLUE)))
        made.api(lambda api: api.create(resources.NODES, objects.node("node1")))
    return cni_lab


@pytest.fixture(scope="module", params=["internal", "veth"])
def node(request: pytest.FixtureRequest, network: Any) -> Iterator[Runtime]:
    with cni.runtime(network, request.param) as made:
        yield made


@pytest.fixture(scope="module")
def pair(node: Runtime) -> Iterator[Pair]:
    pods = [node.pod(), node.pod()]
    results = [node.call("ADD", pod) for pod in pods]
    assert [made["status"] for made in results] == [0, 0], results
    address = results[0]["answer"]["ips"][0]["address"].partition("/")[0]
    made = Pair(node, pods[0], pods[1], address)
    assert made.reaches()
    yield made
    for pod in pods:
        assert node.call("DEL", pod)["status"] == 0
    assert node.left() == NOTHING
    assert node.order("remembered") == []


FAULTS: dict[str, tuple[str, ...]] = {
    "all ids wiped": ("clear", "Interface", "{device}", "external_ids"),
    "another's iface-id": ("set", "Interface", "{device}", "external_ids:iface-id=blue_default_x"),
    "another incarnation": ("set", "Interface", "{device}", "external_ids:iface-id-ver=x"),
    "another MAC": ("set", "Interface", "{device}", "external_ids:attached_mac=02:00:00:00:00:01"),
    "no sandbox": ("remove", "Interface", "{device}", "external_ids", "sandbox"),
    "another owner": ("set", "Interface", "{device}", "external_ids:weft/owner=Pod/default/x"),
    "deleted": ("del-port", "{device}"),
    "stolen": (
        *("add-port", "br-int", "thief", "--", "set", "Interface", "thief", "type=internal"),
        *("external_ids:iface-id={port}", "external_ids:iface-id-ver={uid}"),
    ),
    "in another bridge": (
        *("add-br", "other", "--", "set", "Bridge", "other", "datapath_type=netdev", "--"),
        *("--id=@port", "get", "Port", "{device}", "--", "add", "Bridge", "other", "ports"),
        *("@port", "--", "remove", "Bridge", "br-int", "ports", "@port"),
    ),
    "another type": ("set", "Interface", "{device}", "type=patch"),
    "a VLAN": ("set", "Port", "{device}", "tag=7"),
    "another MTU": ("set", "Interface", "{device}", "mtu_request=900"),
    "the bridge deleted": ("del-br", "br-int"),
}
# What nobody else cleans up.
BENEFITS = {
    "stolen": ("del-port", "thief"),
    "in another bridge": ("del-br", "other"),
}


def is_again(pair: Pair, before: Any) -> bool:
    """Whether the interface becomes what it was: a new bridge may make its device twice."""
    end = time.monotonic() + PATIENCE
    while pair.node.look(pair.pod) != before:
        if time.monotonic() > end:
            return False
    return True


def meddle(pair: Pair, fault: str) -> None:
    known = {"device": pair.device, "port": pair.port, "uid": pair.pod.uid}
    pair.vsctl(*(word.format(**known) for word in FAULTS[fault]))


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_altered_is_written_again_and_traffic_flows(pair: Pair, fault: str) -> None:
    before = pair.node.look(pair.pod)
    meddle(pair, fault)
    pair.node.order("works", device=pair.device)
    assert pair.reaches()
    assert is_again(pair, before)
    if fault in BENEFITS:
        pair.vsctl(*BENEFITS[fault])


@pytest.mark.parametrize("fault", ["all ids wiped", "deleted", "stolen"])
def test_a_restarted_agent_mends_what_it_finds(pair: Pair, fault: str) -> None:
    before = pair.node.look(pair.pod)
    pair.node.order("agent", runs=False)
    try:
        meddle(pair, fault)
        assert any(not pair.reaches(1) for _ in range(TRIES)), "this fault is none"
    finally:
        pair.node.order("agent", runs=True)
    pair.node.order("works", device=pair.device)
    assert pair.reaches()
    assert is_again(pair, before)
    if fault in BENEFITS:
        pair.vsctl(*BENEFITS[fault])


def test_a_port_that_the_switch_is_slow_to_make_is_made_once(pair: Pair) -> None:
    """Made again meanwhile, the pod would lose its device, and its traffic, a second time."""
    before = pair.node.look(pair.pod)
    assert pair.node.order("lose", device=pair.device) == 1
    assert pair.reaches()
    assert is_again(pair, before)


def test_it_is_said_until_it_works_again(pair: Pair) -> None:
    pair.node.order("pause", program="ovn-controller", stop=True)
    try:
        meddle(pair, "deleted")
        (reason,) = pair.node.order("troubled")
        assert pair.pod.name in reason
        assert "deleted" in reason
    finally:
        pair.node.order("pause", program="ovn-controller", stop=False)
    assert pair.node.order("works", device=pair.device) == []
    assert pair.node.call("STATUS", pair.pod)["status"] == 0


def test_what_an_older_agent_made_is_kept_and_remembered(pair: Pair) -> None:
    pair.node.order("agent", runs=False)
    pair.node.order("forget_records")
    pair.node.order("agent", runs=True)
    assert pair.reaches()
    pair.vsctl("--timeout=60", "wait-until", "Interface", pair.device, "ofport>0")
    meddle(pair, "deleted")
    pair.node.order("works", device=pair.device)
    assert pair.reaches()


def test_a_namespace_that_is_gone_is_reported_and_its_port_goes(node: Runtime, pair: Pair) -> None:
    pod = node.pod()
    assert node.call("ADD", pod)["status"] == 0
    device = names.host_device(pod.sandbox, "net1")
    node.order("netns", name=pod.sandbox, make=False)
    pair.vsctl("--if-exists", "del-port", device)
    node.order("forgotten", device=device)
    assert device not in node.left()["ports"]
    assert pair.reaches()
