"""Rows of a layer-2 network: what each must say for OVN to do the right thing."""

from __future__ import annotations

from ipaddress import ip_interface, ip_network

import pytest

from tests.support.columns import mapping
from weft import model, names, rows
from weft.ovn import layer2, ports

NETWORK = model.Network(
    model.NetworkSpec(
        "blue", model.Topology.LAYER2, 1300, (ip_network("10.1.0.0/24"), ip_network("fd00:1::/64"))
    ),
    3,
)


def port(*addresses: str, key: str = "default/blue") -> model.Port:
    return model.Port(
        pod=model.PodRef(model.ObjectKey("default", "web"), "uid-1"),
        key=key,
        nad=model.ObjectKey("default", "blue"),
        network="blue",
        node="node1",
        allocation=model.Allocation(
            "0a:58:0a:01:00:05", tuple(ip_interface(a) for a in addresses), 11
        ),
    )


def test_switch_has_one_key_in_all_zones() -> None:
    row = layer2.switch(NETWORK)
    assert row.columns["other_config"] == {
        "interconn-ts": "blue_ovn_layer2_switch",
        "mcast_snoop": "false",
        "requested-tnl-key": "16711686",
    }
    assert mapping(row.columns["external_ids"])[names.SUBNETS] == "10.1.0.0/24 fd00:1::/64"


def test_local_port_is_bound_here_and_served() -> None:
    row = layer2.local_port(NETWORK, port("10.1.0.5/24", "fd00:1::5/64"), "c1")
    assert row.key == "default.blue_default_web"
    assert row.parent == rows.Ref("Logical_Switch", "blue_ovn_layer2_switch")
    assert row.columns["type"] == ""
    assert row.columns["options"] == {
        "requested-chassis": "c1",
        "iface-id-ver": "uid-1",
        "requested-tnl-key": "11",
    }
    assert row.columns["addresses"] == {"0a:58:0a:01:00:05 10.1.0.5 fd00:1::5"}
    assert row.columns["dhcpv4_options"] == {rows.Ref("DHCP_Options", "dhcp4/blue")}
    assert row.columns["dhcpv6_options"] == frozenset(), "the node agent answers DHCPv6"
    assert row.columns["external_ids"] == {
        names.OWNER: "Pod/default/web",
        names.OWNER_UID: "uid-1",
        names.NETWORK: "blue",
        names.ATTACHMENT: "default/blue",
    }


def test_local_and_remote_write_the_same_columns() -> None:
    """A pod that moves between nodes turns one into the other in place."""
    local = layer2.local_port(NETWORK, port("10.1.0.5/24"), "c1")
    for style in ports.RemotePorts:
        assert layer2.remote_port(NETWORK, port(), "c2", style).columns.keys() == (
            local.columns.keys()
        )


@pytest.mark.parametrize(
    ("style", "type", "chassis"),
    [(ports.RemotePorts.PLAIN, "", "c2,c2"), (ports.RemotePorts.REMOTE, "remote", "c2")],
)
def test_remote_port_is_bound_to_its_chassis_without_dhcp(
    style: ports.RemotePorts, type: str, chassis: str
) -> None:
    row = layer2.remote_port(NETWORK, port("10.1.0.5/24"), "c2", style)
    assert row.columns["type"] == type
    assert row.columns["options"] == {"requested-chassis": chassis, "requested-tnl-key": "11"}
    assert row.columns["dhcpv4_options"] == frozenset()
    assert row.columns["dhcpv6_options"] == frozenset()


@pytest.mark.parametrize(
    ("addresses", "security"),
    [
        ((), "0a:58:0a:01:00:05"),
        (("10.1.0.5/24",), "0a:58:0a:01:00:05 10.1.0.5/24"),
        (("10.1.0.4/31",), "0a:58:0a:01:00:05 10.1.0.4"),
        (("10.1.0.4/32",), "0a:58:0a:01:00:05 10.1.0.4"),
        (("fd00:1::5/64",), "0a:58:0a:01:00:05 fd00:1::5 fe80::/64"),
    ],
)
def test_port_security_names_what_the_port_may_use(
    addresses: tuple[str, ...], security: str
) -> None:
    assert ports.port_security(NETWORK.spec, port(*addresses).allocation) == {security}


def test_second_attachment_has_its_own_port() -> None:
    assert ports.port_key(port(key="default/blue/1")) != ports.port_key(port())
