"""Rows of the way out of a node."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_interface, ip_network
from typing import Any

import pytest

from tests.support.columns import mapping
from weft import model, rows
from weft.ovn import gateway, layer3, ports, router, transit


@pytest.fixture
def name() -> str:
    return "default"


def made(network: model.Network, node: model.NodeInfo) -> dict[tuple[str, str], dict[str, Any]]:
    return {(r.table, r.key): dict(r.columns) for r in gateway.own(network, node, "c1", "wan")}


def routes(listed: Iterable[rows.Row], of: str) -> dict[Any, Any]:
    return {
        row.columns["ip_prefix"]: row.columns["nexthop"]
        for row in listed
        if row.table == "Logical_Router_Static_Route" and row.parent == rows.Ref(router.ROUTER, of)
    }


def test_routers_by_the_fields_names_and_addresses(
    network: model.Network, own: model.NodeInfo
) -> None:
    found = made(network, own)
    ports = {key for table, key in found if table == "Logical_Router_Port"}
    assert ports == {"rtoj-ovn_cluster_router", "rtoj-GR_node1", "rtoe-GR_node1"}
    assert found["Logical_Router", "GR_node1"]["options"]["chassis"] == "c1"
    inner = found["Logical_Router_Port", "rtoj-ovn_cluster_router"]
    assert inner["networks"] == {"100.64.0.1/16", "fd98::1/64"}
    assert found["Logical_Router_Port", "rtoj-GR_node1"]["networks"] == {
        "100.64.0.2/16",
        "fd98::2/64",
    }
    outer = found["Logical_Router_Port", "rtoe-GR_node1"]
    assert outer["mac"] == "0a:58:c0:00:02:65"
    assert outer["networks"] == {"192.0.2.101/24", "fd00:2::65/64"}
    wire = found["Logical_Switch_Port", "physnet_node1"]
    assert (wire["type"], wire["options"]["network_name"]) == ("localnet", "wan")


def test_every_port_has_a_key_of_its_own_on_its_datapath(
    network: model.Network, own: model.NodeInfo
) -> None:
    """So that it is the same whenever northd begins anew."""
    keys: dict[str, set[str]] = {}
    for row in (
        layer3.own(network, own)
        + transit.own(network, own)
        + gateway.own(network, own, "chassis-1", "wan")
    ):
        if row.table in (ports.PORT, router.ROUTER_PORT):
            assert row.parent is not None
            key = str(mapping(row.columns["options"])["requested-tnl-key"])
            there = keys.setdefault(row.parent.key, set())
            assert key not in there
            there.add(key)
    assert len(keys) == 6


def test_what_comes_in_is_no_larger_than_pods_take(
    network: model.Network, own: model.NodeInfo
) -> None:
    found = made(network, own)
    inwards = found["Logical_Router_Port", "rtoj-GR_node1"]
    assert inwards["options"]["gateway_mtu"] == str(network.spec.mtu)
    # Nobody within sends larger ones: nothing to check there, packet by packet.
    assert "gateway_mtu" not in found["Logical_Router_Port", "rtoj-ovn_cluster_router"]["options"]


def test_everything_unknown_goes_out_and_a_part_that_nobody_has_nowhere(
    network: model.Network, own: model.NodeInfo
) -> None:
    listed = gateway.own(network, own, "c1", "wan")
    assert routes(listed, "ovn_cluster_router") == {
        "0.0.0.0/0": "100.64.0.2",
        "::/0": "fd98::2",
        "10.128.0.0/14": "discard",
        "fd00:10::/48": "discard",
    }
    assert routes(listed, "GR_node1") == {
        "0.0.0.0/0": "192.0.2.254",
        "10.128.0.0/14": "100.64.0.1",
        "fd00:10::/48": "fd98::1",
    }


def test_pods_are_hidden_behind_the_gateways_address_of_their_family(
    network: model.Network, own: model.NodeInfo
) -> None:
    found = [row.columns for row in gateway.own(network, own, "c1", "wan") if row.table == "NAT"]
    assert {(nat["logical_ip"], nat["external_ip"]) for nat in found} == {
        ("10.128.0.0/14", "192.0.2.101"),
        ("fd00:10::/48", "fd00:2::65"),
    }


def test_the_wire_reaches_the_gateways_address_alone_and_pods_no_tunnel(
    network: model.Network, own: model.NodeInfo
) -> None:
    matches = {
        str(row.columns["match"])
        for row in gateway.own(network, own, "c1", "wan")
        if row.table == "ACL"
    }
    assert matches == {
        'inport == "physnet_node1" && ip4.dst != {192.0.2.101}',
        'inport == "physnet_node1" && ip6.dst != {fd00:2::65, fe80::/10, ff00::/8}',
        'inport == "etor-GR_node1" && udp.dst == 6081',
    }


def test_a_family_that_the_gateway_lacks_has_no_way_in_or_out(
    network: model.Network, own: model.NodeInfo
) -> None:
    assert own.gateway is not None
    single = replace(own.gateway, addresses=(ip_interface("192.0.2.101/24"),))
    listed = gateway.own(network, replace(own, gateway=single), "c1", "wan")
    assert "::/0" not in routes(listed, "ovn_cluster_router")
    assert [row for row in listed if row.table == "NAT" and ":" in row.key] == []
    (guard,) = (row for row in listed if row.key == "guard/6/default")
    assert "fd00:2" not in str(guard.columns["match"])


def test_every_subnet_of_a_family_counts(network: model.Network, own: model.NodeInfo) -> None:
    wide = replace(network.spec, subnets=(ip_network("10.128.0.0/16"), ip_network("10.9.0.0/16")))
    listed = gateway.own(model.Network(wide, 0), own, "c1", "wan")
    assert len([row for row in listed if row.table == "NAT"]) == 2
    assert len({row.key for row in listed if row.table == "Logical_Router_Static_Route"}) == 7


@pytest.mark.parametrize("change", [{"gateway": None}, {"interface_id": ""}, {"id": 3}])
def test_no_way_out(network: model.Network, own: model.NodeInfo, change: dict[str, Any]) -> None:
    """Without a gateway, without its port's name, or on another network than the cluster's own."""
    if "id" in change:
        network = replace(network, id=3)
    elif "gateway" in change:
        own = replace(own, gateway=None)
    else:
        assert own.gateway is not None
        own = replace(own, gateway=replace(own.gateway, **change))
    assert gateway.own(network, own, "c1", "wan") == ()
