"""Parts of a node end and come back: running pods keep their traffic, and new ones start."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.cluster.chart import NAMESPACE
from tests.cluster.cluster import Cluster, until
from tests.cluster.room import Room

pytestmark = pytest.mark.cluster
ONE_SECOND = 5  # pings: a busy machine may lose one, a part that takes traffic along many


@pytest.fixture(scope="module")
def own(here: Room) -> Cluster:
    return here.access.machines()


@pytest.fixture(scope="module")
def pair(here: Room, own: Cluster) -> Iterator[Room]:
    """Two pods of a network, on two nodes, which the nodes advertise."""
    here.apply(here.nad("steady", "10.70.0.0/24,fd00:70::/64"))
    here.run(here.pod("left", "steady", node="node1"), here.pod("right", "steady", node="node2"))
    yield here
    here.delete("left", "right")


def starts(room: Room, node: str) -> None:
    """A new pod there gets its network, and its packets arrive."""
    room.run(room.pod("fresh", "steady", node=node))
    assert room.reaches("fresh", room.addresses("left")[0])
    room.delete("fresh")


def replaced(room: Room, component: str, node: str = "") -> None:
    """Delete weft's pods of a component, on one node or all; their successors are ready."""
    label = f"app.kubernetes.io/component={component}"
    chosen = ["-l", label, *(["--field-selector", f"spec.nodeName={node}"] if node else [])]

    def there() -> set[str]:
        listed = room.access.get("-n", NAMESPACE, "pods", *chosen)["items"]
        return {each["metadata"]["uid"] for each in listed}

    before = there()
    assert before, "a selection of nobody would delete nothing"
    room.access.kubectl("-n", NAMESPACE, "delete", "pod", "--wait", *chosen)
    until(lambda: len(there() - before) == len(before), "the successors to be made")
    room.access.wait("condition=Ready", "pod", "-l", label, namespace=NAMESPACE)


@pytest.mark.parametrize("service", ["kubelet", "containerd", "multus", "kube-proxy"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["ended", "killed"])
def test_a_nodes_own_service_comes_back(
    pair: Room, own: Cluster, service: str, number: signal.Signals
) -> None:
    if service not in own.machine("node2").running():
        pytest.skip(f"{service} is no service of this cluster's nodes")
    with pair.pinging("left", pair.addresses("right")[0]) as pings:
        own.restart("node2", service, number)
        pair.access.wait("condition=Ready", "node/node2")
        starts(pair, "node2")
    assert pings.gap <= ONE_SECOND


def test_wefts_node_pod_is_replaced(pair: Room) -> None:
    with pair.pinging("left", pair.addresses("right")[0]) as pings:
        replaced(pair, "node", "node2")
        starts(pair, "node2")
    assert pings.gap <= ONE_SECOND


def test_the_cluster_managers_are_replaced(pair: Room) -> None:
    with pair.pinging("left", pair.addresses("right")[0]) as pings:
        replaced(pair, "cluster-manager")
        starts(pair, "node2")
    assert pings.gap <= ONE_SECOND


def test_traffic_comes_back_with_the_switch(pair: Room) -> None:
    address = pair.addresses("right")[0]
    assert pair.reaches("left", address)
    replaced(pair, "openvswitch", "node2")
    until(lambda: pair.reaches("left", address), "the switch to carry packets again")
    starts(pair, "node2")


@pytest.mark.parametrize(
    "command",
    ["ip link set br-weft down", "ip address flush dev br-weft"],
    ids=["set down", "without an address"],
)
def test_traffic_comes_back_with_the_tunnels_bridge(pair: Room, own: Cluster, command: str) -> None:
    """weft's own switch sends its tunnels by this bridge, which has the uplink's addresses."""
    if "br-weft" not in _devices(own):
        pytest.skip("the hosts' switch carries the tunnels")
    address = pair.addresses("right")[0]
    assert pair.reaches("left", address)
    own.machine("node2").run(*command.split())
    until(lambda: pair.reaches("left", address), "the bridge to be configured again")


def test_pods_deleted_while_kubelet_was_down_are_cleaned_up(pair: Room, own: Cluster) -> None:
    """Their addresses are free again, and their devices gone."""
    node = own.machine("node2")
    before = _devices(own)
    requested = [{"name": "steady", "ips": ["10.70.0.99/24"]}]
    pair.run(pair.pod("doomed", requested, node="node2"))
    assert _devices(own) - before, "a running pod has devices on the node"
    node.stop("kubelet", signal.SIGKILL)
    pair.kubectl("delete", "pod", "doomed", "--wait=false")
    own.start("node2", "kubelet")
    pair.wait("delete", "pod/doomed")
    until(lambda: _devices(own) <= before, "the pod's devices to go")
    pair.run(pair.pod("heir", requested, node="node2"))
    assert pair.reaches("left", "10.70.0.99")
    pair.delete("heir")


def _devices(own: Cluster) -> set[str]:
    return set(own.machine("node2").run("ls", "/sys/class/net").stdout.decode().split())


def test_the_api_server_comes_back(pair: Room, own: Cluster) -> None:
    with pair.pinging("left", pair.addresses("right")[0]) as pings:
        own.restart("control", "kube-apiserver", signal.SIGKILL)
        until(lambda: _answers(pair), "the API server to answer")
        starts(pair, "node2")
    assert pings.gap <= ONE_SECOND


def _answers(room: Room) -> bool:
    return "ok" in room.access.machines().kubectl("get", "--raw", "/readyz", check=False)
