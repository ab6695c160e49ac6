"""Networks on stock Kubernetes, from the NAD to packets between nodes, and away again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.cluster import until
from tests.cluster.room import Room

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def nodes(here: Room) -> tuple[str, str]:
    found = here.access.nodes()
    if len(found) < 2:
        pytest.skip("needs two nodes")
    return found[0], found[1]


@pytest.fixture(scope="module")
def blue(here: Room, nodes: tuple[str, str]) -> Iterator[Room]:
    """Two pods of a network on two nodes, and one of another with the same subnet."""
    here.apply(
        here.nad("blue", "10.9.0.0/24,fd09::/64", mtu=1300),
        here.nad("red", "10.9.0.0/24,fd09::/64", mtu=1300),
    )
    here.run(
        here.pod("a", "blue", node=nodes[0]),
        here.pod("b", "blue", node=nodes[1]),
        here.pod("other", "red", node=nodes[1]),
    )
    yield here
    here.delete("a", "b", "other")


def test_what_runs_says_its_addresses(blue: Room) -> None:
    for name in ("a", "b"):
        first, second = blue.status(name)
        assert (first["interface"], first["default"]) == ("eth0", True)
        assert second["name"] == f"{blue.namespace}/blue"
        four, six = blue.addresses(name)
        assert four.startswith("10.9.0.")
        assert six.startswith("fd09:")
        assert four in blue.inside(name, "ip", "address", "show", "net1")
        added = blue.event(name, "AddedInterface", "Pod")
        assert "eth0" in added or "net1" in added
    assert set(blue.addresses("a")).isdisjoint(blue.addresses("b"))


def test_packets_pass_between_nodes_and_stay_in_their_network(blue: Room) -> None:
    for address in blue.addresses("b"):
        assert blue.reaches("a", address, size=1200)
    free = "10.9.0.200"  # nobody's: the same question without an answer
    assert not blue.reaches("a", free)
    # Networks with one subnet are two networks: the same address is another pod in each.
    stranger = blue.addresses("other")[0]
    there = {blue.addresses("a")[0], blue.addresses("b")[0]}
    if stranger not in there:
        assert not blue.reaches("a", stranger)
    for address in there - {stranger}:
        assert not blue.reaches("other", address)


def test_http_passes_between_nodes(blue: Room) -> None:
    blue.inside(
        "b", "sh", "-c", "mkdir -p /www; echo hello from b >/www/index.html; httpd -p 8080 -h /www"
    )
    address = blue.addresses("b")[0]
    assert "hello from b" in blue.inside("a", "wget", "-q", "-O", "-", f"http://{address}:8080/")


def test_the_primary_network_and_services_stay_as_they_are(blue: Room) -> None:
    address, *_ = blue.addresses("b", "eth0")
    assert blue.reaches("a", address)
    assert "eth0" in blue.inside("a", "ip", "route", "show", "default")
    script = "nc -w 5 $KUBERNETES_SERVICE_HOST $KUBERNETES_SERVICE_PORT </dev/null && echo open"
    assert "open" in blue.inside("a", "sh", "-c", script)


def test_an_address_that_is_asked_for_is_given(blue: Room, nodes: tuple[str, str]) -> None:
    requested = [
        {"name": "blue", "ips": ["10.9.0.77/24", "fd09::77/64"], "mac": "0a:58:0a:09:00:77"}
    ]
    blue.run(blue.pod("fixed", requested, node=nodes[1]))
    assert blue.addresses("fixed") == ["10.9.0.77", "fd09::77"]
    assert "0a:58:0a:09:00:77" in blue.inside("fixed", "ip", "link", "show", "net1")
    assert blue.reaches("a", "10.9.0.77")
    blue.apply(blue.pod("late", requested, node=nodes[0]))
    assert "10.9.0.77" in blue.event("late", "ErrorAllocatingPod", "Pod")
    blue.delete("fixed")
    blue.ready("late")
    assert blue.addresses("late") == ["10.9.0.77", "fd09::77"]
    blue.delete("late")


def test_a_routed_network_has_a_subnet_for_each_node(here: Room, nodes: tuple[str, str]) -> None:
    here.apply(here.nad("routed", "10.20.0.0/16/24", topology="layer3"))
    here.run(
        here.pod("one", "routed", node=nodes[0]),
        here.pod("two", "routed", node=nodes[1]),
    )
    first, second = (here.addresses(name)[0] for name in ("one", "two"))
    assert first.rpartition(".")[0] != second.rpartition(".")[0]
    assert here.reaches("one", second)
    assert here.reaches("two", first)
    here.delete("one", "two")


def test_a_pod_waits_for_its_nad(here: Room) -> None:
    here.apply(here.pod("early", "later"))
    here.event("early", "FailedCreatePodSandBox", "Pod")
    here.apply(here.nad("later", "10.30.0.0/24"))
    here.ready("early")
    assert here.addresses("early")[0].startswith("10.30.0.")
    here.delete("early")


@pytest.mark.parametrize("way", [(), ("--server-side",)], ids=["client", "server"])
def test_a_bad_nad_is_refused_and_says_why(here: Room, way: tuple[str, ...]) -> None:
    odd, mended = here.nad("odd", "10.40.0.0/33"), here.nad("odd", "10.40.0.0/24")
    output = here.kubectl("apply", *way, "-f", "-", data=odd, ok=False)
    assert 'spec.config.subnets "10.40.0.0/33": must be a subnet' in output
    here.kubectl("apply", *way, "-f", "-", data=mended)
    here.run(here.pod("patient", "odd"))
    here.delete("patient")
    here.kubectl("delete", "nad", "odd")


def test_a_nad_in_use_goes_when_its_last_pod_has_gone(here: Room) -> None:
    here.apply(here.nad("held", "10.50.0.0/24"))
    here.run(here.pod("holder", "held"))
    here.kubectl("delete", "nad", "held", "--wait=false")
    assert "holder" in here.event("held", "NetworkInUse", "NetworkAttachmentDefinition")
    here.kubectl("get", "nad", "held")
    here.delete("holder")
    here.wait("delete", "nad/held")


def test_pods_that_have_gone_leave_nothing(blue: Room, nodes: tuple[str, str]) -> None:
    own = blue.access.machines()

    def devices() -> set[str]:
        return set(own.machine(nodes[0]).run("ls", "/sys/class/net").stdout.decode().split())

    before = devices()
    many = [f"many{number}" for number in range(3)]
    blue.run(*(blue.pod(name, "blue", node=nodes[0]) for name in many))
    assert devices() > before
    blue.delete(*many)
    until(lambda: devices() <= before, "the pods' devices to go")
    blue.run(blue.pod("again", "blue", node=nodes[0]))  # the addresses are free again
    blue.delete("again")
