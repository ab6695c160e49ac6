"""Rows of zones become one picture: what spans zones is one thing, and parts know their place."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import topology as rows
from weft import model
from weft import rows as weft_rows
from weft.observe import graph, topology
from weft.observe.graph import DatapathRole, Graph, PortKind
from weft.observe.snapshot import Snapshot
from weft.ovn import ports


def picture(made: list[rows.Zone]) -> Graph:
    return topology.build(rows.snapshots(made))


def three_zones() -> list[rows.Zone]:
    made = rows.zones(3)
    rows.add_layer3(
        made, "default", {1: [("shop", "web")], 2: [("shop", "virt-launcher-db-x1y2z")]}
    )
    rows.add_layer3(made, "tenant", {2: [("shop", "web")]}, cidr="10.140")
    rows.add_layer2(
        made, "blue", {1: [("shop", "web", "10.5.0.1")], 3: [("shop", "cart", "10.5.0.3")]}
    )
    return made


def test_a_layer2_switch_of_several_zones_is_one() -> None:
    shown = picture(three_zones())
    (switch,) = shown.of("blue")
    assert (switch.role, switch.zones, switch.spans) == (
        DatapathRole.LAYER2,
        ("node1", "node3"),
        True,
    )
    assert {port.label: port.zone for port in switch.ports} == {"web": "node1", "cart": "node3"}
    assert all(port.seen == ("node1", "node3") for port in switch.ports)
    assert all(port.up for port in switch.ports)


def test_the_default_network_is_reported_from_its_structure() -> None:
    made = three_zones()
    for zone in made:  # names are of no matter
        for table in ("Logical_Switch", "Logical_Router"):
            for row in zone.tables[table].values():
                if not row["external_ids"] and not row.get("other_config", {}).get("interconn-ts"):
                    row["name"] = f"renamed {row['name']}"
    shown = picture(made)
    roles = {switch.name.removeprefix("renamed "): switch.role for switch in shown.switches}
    assert roles["ext_node1"] is DatapathRole.EXTERNAL
    assert roles["join"] is DatapathRole.JOIN
    assert roles["node2"] is DatapathRole.NODE
    assert roles["transit_switch"] is DatapathRole.TRANSIT
    routers = {router.name.removeprefix("renamed "): router.role for router in shown.routers}
    assert routers["GR_node3"] is DatapathRole.GATEWAY
    assert routers["ovn_cluster_router"] is DatapathRole.CLUSTER


def test_networks_are_named_and_ordered() -> None:
    shown = picture(three_zones())
    told = [(one.name, one.topology, one.primary, one.subnets) for one in shown.networks]
    assert told == [
        ("default", "layer3", True, ("10.128.0.0/14",)),
        ("blue", "layer2", False, ()),
        ("tenant", "layer3", False, ()),
    ]


def test_links_carry_the_routers_addresses() -> None:
    shown = picture(three_zones())
    names = {one.id: one.name for one in shown.switches}
    names |= {one.id: one.name for one in shown.routers}
    linked = {
        (names[link.switch], names[link.router], link.addresses)
        for link in shown.links
        if link.zone == "node2"
    }
    assert linked >= {
        ("transit_switch", "ovn_cluster_router", ("100.88.0.3/16",)),
        ("join", "GR_node2", ("100.64.0.3/16",)),
        ("ext_node2", "GR_node2", ("172.31.1.12/24",)),
        ("tenant_node2", "tenant_ovn_cluster_router", ("10.140.2.1/24",)),
    }


def test_a_machine_is_known_by_its_own_name() -> None:
    shown = picture(three_zones())
    owners = {port.owner for switch in shown.of("default") for port in switch.ports if port.owner}
    assert graph.PortPod("shop", "virt-launcher-db-x1y2z", "db") in owners
    assert graph.PortPod("shop", "web") in owners


def test_rows_of_ovn_kubernetes_are_read_too() -> None:
    made = rows.zones(1)
    ids: dict[str, Any] = {"namespace": "shop", "pod": "true", "k8s.ovn.org__network": "blue"}
    port = made[0].port("blue_shop_web-0", "0a:58:0a:00:00:05 10.0.0.5", **ids)
    switch = made[0].switch("blue_ovn_layer2_switch", [port], interconn_ts="blue_ovn_layer2_switch")
    made[0].tables["Logical_Switch"][switch]["external_ids"] = {"k8s.ovn.org/network": "blue"}
    (found,) = picture(made).of("blue")
    assert found.ports[0].owner == graph.PortPod("shop", "web-0")
    assert found.ports[0].addresses == ("10.0.0.5",)


def test_one_zone_shows_the_others_as_it_knows_them() -> None:
    shown = topology.build([three_zones()[0].snapshot()])
    assert [(zone.name, zone.read) for zone in shown.zones] == [
        ("node1", True),
        ("node2", False),
        ("node3", False),
    ]
    (switch,) = shown.of("blue")
    cart = next(port for port in switch.ports if port.label == "cart")
    assert (cart.zone, cart.up, cart.seen) == ("node3", None, ("node1",))


@pytest.mark.parametrize("remote", ["remote", ""])
def test_a_router_that_was_not_read_is_known_by_its_port(remote: str) -> None:
    made = rows.zones(3)
    rows.add_layer3(made, "default", {1: [("shop", "web")]}, remote=remote)
    shown = topology.build([made[0].snapshot()])
    (transit,) = [one for one in shown.switches if one.name == "transit_switch"]
    kinds = {port.zone: port.kind for port in transit.ports}
    assert kinds == {"node1": PortKind.ROUTER, "node2": PortKind.REMOTE, "node3": PortKind.REMOTE}
    whole = picture(made)
    (transit,) = [one for one in whole.switches if one.name == "transit_switch"]
    assert {port.kind for port in transit.ports} == {PortKind.ROUTER}


def test_a_zone_that_cannot_be_read_is_known_from_its_neighbours() -> None:
    made = rows.snapshots(three_zones())
    made[1] = Snapshot("node2", trouble="gone")
    zone = topology.build(made).zones[1]
    assert (zone.name, zone.read, zone.trouble) == ("node2", False, "gone")
    assert (zone.chassis, zone.addresses) == (rows.chassis("node2"), ("172.31.1.12",))


def test_a_row_that_a_zone_lacks_is_noticed() -> None:
    made = three_zones()
    switch = next(row for row in made[2].tables["Logical_Switch"].values() if "blue" in row["name"])
    switch["ports"] = frozenset(
        uuid
        for uuid in switch["ports"]
        if made[2].tables["Logical_Switch_Port"][uuid]["name"] != "blue_shop_web"
    )
    (blue,) = picture(made).of("blue")
    missing = {port.label: graph.missing_from(blue, port) for port in blue.ports}
    assert missing == {"web": ("node3",), "cart": ()}


def test_ports_of_a_chassis_that_is_gone_stay_visible() -> None:
    made = rows.zones(1)
    port = made[0].pod_port("blue", "shop", "ghost", "10.0.0.9", at="node7")
    made[0].switch("blue_ovn_layer2_switch", [port], network="blue", interconn_ts="blue")
    shown = picture(made)
    assert [zone.name for zone in shown.zones] == ["node1", "unknown chassis chassis-"]
    assert shown.of("blue")[0].ports[0].zone == "unknown chassis chassis-"


def test_subnets_come_from_what_dhcp_serves() -> None:
    made = rows.zones(1)
    port = made[0].pod_port("blue", "shop", "web", "10.5.0.1")
    dhcp = made[0].add("DHCP_Options", cidr="10.5.0.0/24")
    made[0].tables["Logical_Switch_Port"][port]["dhcpv4_options"] = dhcp
    made[0].switch("blue_ovn_layer2_switch", [port], network="blue", interconn_ts="blue")
    assert picture(made).networks[0].subnets == ("10.5.0.0/24",)


@given(st.permutations(range(3)))
def test_the_order_of_reading_is_of_no_matter(order: list[int]) -> None:
    made = rows.snapshots(three_zones())
    assert topology.build([made[place] for place in order]) == topology.build(made)


def test_nodes_are_in_the_order_in_which_people_count() -> None:
    shown = picture(rows.zones(11))
    assert [zone.name for zone in shown.zones][-3:] == ["node9", "node10", "node11"]


def test_a_port_that_stands_in_for_a_waiting_machine_is_not_shown() -> None:
    """No other zone has it, and none misses it."""
    made = rows.zones(2)
    pods = {1: [("shop", "web", "10.5.0.1")], 2: [("shop", "vm", "10.5.0.2")]}
    rows.add_layer2(made, "blue", pods)
    place = model.PodRef(model.ObjectKey("shop", "vm"), "u")
    nic = model.Allocation("0a:58:00:00:00:01", tunnel_id=10)
    port = model.Port(place, "shop/blue", model.ObjectKey("shop", "blue"), "blue", "node2", nic)
    row = ports.stand_in(
        weft_rows.Ref("Logical_Switch", "blue"), port, rows.chassis("node1"), 30720
    )
    (switch,) = made[1].tables["Logical_Switch"].values()
    switch["ports"] |= {made[1].add(row.table, **row.columns, up=True)}
    (shown,) = picture(made).of("blue")
    assert sorted(each.label for each in shown.ports) == ["vm", "web"]
    assert not any(graph.missing_from(shown, each) for each in shown.ports)
