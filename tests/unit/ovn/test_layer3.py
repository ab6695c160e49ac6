"""Rows of a node's own part of a routed network."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface

from tests.support.columns import mapping
from weft import model, rows, tunnelkeys
from weft.ovn import layer3

PREFIX = {"default": "", "blue": "blue_"}


def test_switch_and_router_by_the_fields_names(
    network: model.Network, own: model.NodeInfo, name: str
) -> None:
    found = {(row.table, row.key): row for row in layer3.own(network, own)}
    p = PREFIX[name]
    assert set(found) == {
        ("Logical_Router", f"{p}ovn_cluster_router"),
        ("Logical_Switch", f"{p}node1"),
        ("Logical_Router_Port", f"rtos-{p}node1"),
        ("Logical_Switch_Port", f"stor-{p}node1"),
        ("DHCP_Options", f"dhcp4/{name}"),
        ("Logical_Switch_Port", f"{p}:advertiser"),
    }
    towards = found["Logical_Router_Port", f"rtos-{p}node1"]
    assert towards.columns["mac"] == "0a:58:0a:80:04:01"
    assert towards.columns["networks"] == {"10.128.4.1/23", "fd00:10:0:2::1/64"}
    assert towards.parent == rows.Ref("Logical_Router", f"{p}ovn_cluster_router")
    other = found["Logical_Switch_Port", f"stor-{p}node1"]
    options = {"router-port": f"rtos-{p}node1", "requested-tnl-key": "2"}
    assert other.columns["options"] == options
    assert (other.columns["type"], other.columns["addresses"]) == ("router", {"router"})


def test_a_zones_own_switch_and_router_have_keys_of_their_own(
    network: model.Network, own: model.NodeInfo
) -> None:
    found = {row.table: row for row in layer3.own(network, own)}
    switch = mapping(found["Logical_Switch"].columns["other_config"])["requested-tnl-key"]
    router = mapping(found["Logical_Router"].columns["options"])["requested-tnl-key"]
    assert int(str(switch)) < int(str(router)) < tunnelkeys.datapath_key(0)


def test_a_pods_key_follows_from_its_address(
    network: model.Network, own: model.NodeInfo, name: str
) -> None:
    for text, key in (
        ("10.128.4.5/23", "15"),
        ("10.128.5.254/23", "520"),
        ("fd00:10:0:2::7/64", "17"),
        ("10.128.4.5/8", None),
    ):
        allocation = model.Allocation("0a:58:0a:80:04:05", (ip_interface(text),))
        port = model.Port(
            model.PodRef(model.ObjectKey("shop", "web"), "u"),
            "shop/blue",
            model.ObjectKey("shop", "blue"),
            name,
            "n1",
            allocation,
        )
        row = layer3.pod_port(network, port, own, "c1")
        assert mapping(row.columns["options"]).get("requested-tnl-key") == key


def test_a_pods_port_is_on_its_nodes_switch(
    network: model.Network, own: model.NodeInfo, name: str
) -> None:
    addresses = ip_interface("10.128.4.5/23"), ip_interface("fd00:10:0:2::5/64")
    allocation = model.Allocation("0a:58:0a:80:04:05", addresses)
    key = "default" if name == "default" else "shop/blue"
    ref = model.PodRef(model.ObjectKey("shop", "web"), "uid-1")
    port = model.Port(ref, key, model.ObjectKey.parse(key), name, "node1", allocation)
    row = layer3.pod_port(network, port, own, "c1")
    assert row.key == ("shop_web" if name == "default" else "shop.blue_shop_web")
    assert row.parent == rows.Ref("Logical_Switch", f"{PREFIX[name]}node1")
    assert row.columns["options"] == {
        "requested-chassis": "c1",
        "iface-id-ver": "uid-1",
        "requested-tnl-key": "15",
    }
    assert row.columns["dhcpv4_options"] == {rows.Ref("DHCP_Options", f"dhcp4/{name}")}
    assert row.columns["dhcpv6_options"] == frozenset(), "the node agent answers DHCPv6"


def test_dhcp_leads_out_or_to_the_other_nodes_only(
    network: model.Network, own: model.NodeInfo, name: str
) -> None:
    (row,) = (row for row in layer3.own(network, own) if row.table == "DHCP_Options")
    assert row.columns["cidr"] == "10.128.4.0/23"
    options = mapping(row.columns["options"])
    if name == "default":
        assert options["router"] == "10.128.4.1"
    else:
        assert "router" not in options
        assert options["classless_static_route"] == "{10.128.0.0/14,10.128.4.1}"


def test_a_router_that_is_configured_stands_among_the_ways(
    network: model.Network, own: model.NodeInfo, name: str
) -> None:
    configured = replace(network.spec, dhcp=model.Dhcp(routers=(ip_address("10.128.4.9"),)))
    found = layer3.own(replace(network, spec=configured), own)
    (row,) = (row for row in found if row.table == "DHCP_Options")
    if name == "blue":
        assert mapping(row.columns["options"])["classless_static_route"] == (
            "{10.128.0.0/14,10.128.4.1, 0.0.0.0/0,10.128.4.9}"
        )
