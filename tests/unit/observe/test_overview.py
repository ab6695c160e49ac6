"""A graph folds into networks, workloads and members; what is wrong is never folded away."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.support import topology as rows
from weft.observe import overview, topology
from weft.observe.graph import Graph, Port
from weft.observe.overview import Overview


def graph() -> Graph:
    made = rows.zones(3)
    web = [("shop", f"web-7d9f8b6c5-bcd{end}") for end in ("fg", "hj", "kl")]
    rows.add_layer3(made, "default", {1: web[:1], 2: web[1:], 3: [("ops", "probe")]})
    rows.add_layer2(
        made,
        "blue",
        {
            1: [(*web[0], "10.5.0.1")],
            2: [(*web[1], "10.5.0.2"), (*web[2], "10.5.0.3")],
            3: [("shop", "virt-launcher-db-x1y2z", "10.5.0.4")],
        },
    )
    return topology.build(rows.snapshots(made))


def changed(graph: Graph, pod: str, **facts: Any) -> Graph:
    def port(one: Port) -> Port:
        return replace(one, **facts) if one.owner and one.owner.pod == pod else one

    switches = (replace(switch, ports=tuple(map(port, switch.ports))) for switch in graph.switches)
    return replace(graph, switches=tuple(switches))


def faults(folded: Overview) -> list[tuple[str, tuple[str, ...]]]:
    return [
        (member.name, member.faults)
        for section in folded.sections
        for group in section.groups
        for member in group.members
        if member.faults
    ]


def test_user_networks_come_before_the_clusters_own() -> None:
    folded = overview.fold(graph())
    assert [section.network.name for section in folded.sections] == ["blue", "default"]
    assert folded.size == 5


def test_members_are_grouped_by_workload() -> None:
    blue = overview.fold(graph()).sections[0]
    told = [(str(group.workload), group.counted, group.nodes) for group in blue.groups]
    assert told == [("shop/db", "VM", ("node3",)), ("shop/web", "3 pods", ("node1", "node2"))]
    assert blue.by_node == {"node1": 1, "node2": 2, "node3": 1}


def test_other_networks_are_reported_but_not_the_one_that_every_pod_is_on() -> None:
    blue, default = overview.fold(graph()).sections
    assert [group.others for group in blue.groups] == [(), ()]
    assert {group.name: group.others for group in default.groups}["web"] == ("blue",)


def test_routers_and_ports_of_switches_are_no_members() -> None:
    names = {
        member.port.kind
        for section in overview.fold(graph()).sections
        for group in section.groups
        for member in group.members
    }
    assert names == {"pod"}


def test_what_is_wrong_with_a_member_is_reported() -> None:
    made = changed(graph(), "virt-launcher-db-x1y2z", up=False, reported=("10.5.0.9",))
    (found,) = faults(overview.fold(made))
    assert found == ("db", ("not up", "guest has 10.5.0.9"))


def test_an_mtu_that_is_not_the_networks_is_reported() -> None:
    made = changed(graph(), "web-7d9f8b6c5-bcdfg", mtu=1500)
    networks = tuple(replace(network, mtu=1400) for network in made.networks)
    found = faults(overview.fold(replace(made, networks=networks)))
    assert {mark for _, each in found for mark in each} == {"MTU 1500"}


def test_what_is_wrong_comes_first_in_its_workload() -> None:
    made = changed(graph(), "web-7d9f8b6c5-bcdkl", up=False)
    group = overview.fold(made).sections[0].groups[1]
    assert [bool(member.faults) for member in group.members] == [True, False, False]
    assert overview.fold(made).sections[0].faulty == {"node2"}


@given(st.permutations(range(3)))
def test_the_order_of_zones_is_of_no_matter(order: list[int]) -> None:
    made = rows.zones(3)
    rows.add_layer2(made, "blue", {n: [("a", f"p{n}", f"10.0.0.{n}")] for n in (1, 2, 3)})
    snapshots = rows.snapshots(made)
    folded = [
        overview.fold(topology.build(one)) for one in (snapshots, [snapshots[at] for at in order])
    ]
    assert folded[0] == folded[1]
