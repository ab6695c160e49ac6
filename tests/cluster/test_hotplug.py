"""NICs of running pods come and go by Multus' dynamic-networks contract, on stock Kubernetes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import spec
from tests.cluster.cluster import until
from tests.cluster.dynamic import Controller, Refused
from tests.cluster.room import Room
from weft import names

pytestmark = pytest.mark.cluster
BLUE, RED = {"name": "blue", "interface": "net1"}, {"name": "red", "interface": "net2"}


@pytest.fixture(scope="module")
def pods(here: Room) -> Iterator[Room]:
    """`one` is on blue, and gets a NIC on red; `peer`, on another node, is on both."""
    own = here.access.machines("speaks to Multus on a node")
    if own.spec.multus is not spec.Multus.THICK:
        pytest.skip("thin Multus has no daemon that plugs: MULTUS=thick")
    nodes = here.access.nodes()
    here.apply(here.nad("blue", "10.91.0.0/24"), here.nad("red", "10.92.0.0/24,fd92::/64"))
    here.run(
        here.pod("one", [BLUE], node=nodes[0]),
        here.pod("peer", [BLUE, RED], node=nodes[-1]),
        here.pod("alone", [BLUE], node=nodes[0]),
    )
    edit(here, "alone", BLUE, RED)
    yield here
    here.delete("one", "peer", "alone")


def edit(room: Room, name: str, *elements: dict[str, Any]) -> None:
    networks = f"{names.NETWORKS}={json.dumps(elements)}"
    room.kubectl("annotate", "--overwrite", "pod", name, networks)


def allocations(room: Room, name: str) -> dict[str, Any]:
    found = room.access.get("-n", room.namespace, "pod", name)["metadata"]["annotations"]
    return dict(json.loads(found.get(names.POD_NETWORKS, "{}")))


def test_a_nic_comes_with_packets_and_goes_with_its_address(pods: Room) -> None:
    controller, red = Controller(pods), f"{pods.namespace}/red"
    four, six = pods.addresses("peer", "net2")
    assert not pods.reaches("one", four)
    before = pods.addresses("one")
    edit(pods, "one", BLUE, RED)
    controller.reconcile("one")
    given = allocations(pods, "one")[red]
    (status,) = [each for each in pods.status("one") if each["interface"] == "net2"]
    assert [f"{each}/{size}" for each, size in zip(status["ips"], (24, 64), strict=True)] == given[
        "ip_addresses"
    ]
    assert given["mac_address"] == status["mac"]
    assert status["mac"] in pods.inside("one", "ip", "link", "show", "net2")
    pods.answers("one", four)
    pods.answers("one", six)
    pods.answers("peer", status["ips"][0])

    edit(pods, "one", BLUE)
    controller.reconcile("one")
    assert "net2" not in pods.inside("one", "ip", "link")
    assert [each["interface"] for each in pods.status("one")] == ["eth0", "net1"]
    until(lambda: red not in allocations(pods, "one"), "the allocation to go")
    assert not pods.reaches("peer", status["ips"][0])
    assert pods.addresses("one") == before
    pods.answers("one", pods.addresses("peer")[0])
    heir = {**RED, "ips": given["ip_addresses"]}  # the address is free
    pods.run(pods.pod("heir", [heir]))
    assert pods.addresses("heir", "net2") == status["ips"]
    pods.answers("peer", status["ips"][0])
    pods.delete("heir")


def test_an_address_that_is_asked_for_is_plugged(pods: Room) -> None:
    controller = Controller(pods)
    edit(pods, "one", BLUE, {**RED, "interface": "data0", "ips": ["10.92.0.77/24"]})
    controller.reconcile("one")
    assert "10.92.0.77" in pods.addresses("one", "data0")
    pods.answers("peer", "10.92.0.77")
    edit(pods, "one", BLUE)
    controller.reconcile("one")
    assert "data0" not in pods.inside("one", "ip", "link")


def test_what_cannot_be_plugged_leaves_the_rest_and_says_why(pods: Room) -> None:
    """Multus' controller undoes a failed ADD by a DEL of the same interface."""
    taken = pods.addresses("peer", "net2")[0]
    edit(pods, "one", BLUE, {**RED, "ips": [f"{taken}/24"]})
    assert taken in pods.event("one", "ErrorAllocatingPod", "Pod")
    edit(pods, "one", BLUE)
    with pytest.raises(Refused, match="has no element for"):
        Controller(pods).reconcile("one", stale=[BLUE, RED])
    assert "net2" not in pods.inside("one", "ip", "link")
    pods.answers("one", pods.addresses("peer")[0])


def test_where_no_controller_plugs_the_pod_says_so(pods: Room) -> None:
    """It was edited before the tests above, which take longer than a controller may."""
    told = pods.event("alone", "NicNotPlugged", "Pod")
    assert "names net2 since the pod runs" in told
    assert "net2" not in pods.inside("alone", "ip", "link")
    events = pods.kubectl("get", "events", "--field-selector=reason=NicNotPlugged", "-o", "name")
    assert len(events.split()) == 1, "a NIC that is plugged in time gets none"
