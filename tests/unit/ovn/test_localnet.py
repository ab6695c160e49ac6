"""Rows of a localnet network: a switch for each zone, joined to the physical network."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface, ip_network

import pytest

from tests.support.columns import mapping
from weft import model, names, rows
from weft.ovn import localnet

SPEC = model.NetworkSpec(
    "vlan20",
    model.Topology.LOCALNET,
    1500,
    (ip_network("192.168.20.0/24"),),
    vlan_id=20,
    physical_network="rack",
)
NETWORK = model.Network(SPEC, 3)
PORT = model.Port(
    pod=model.PodRef(model.ObjectKey("default", "web"), "uid-1"),
    key="default/vlan20",
    nad=model.ObjectKey("default", "vlan20"),
    network="vlan20",
    node="node1",
    allocation=model.Allocation("0a:58:c0:a8:14:05", (ip_interface("192.168.20.5/24"),), 11),
)


def test_the_switch_joins_no_other_zones() -> None:
    switch = localnet.own(NETWORK)[0]
    assert switch.key == "vlan20_ovn_localnet_switch"
    assert switch.columns["other_config"] == {
        "mcast_snoop": "false",
        "requested-tnl-key": "16711686",
    }


@pytest.mark.parametrize(("vlan", "tag"), [(20, 20), (None, frozenset())])
def test_the_localnet_port_names_the_physical_network_and_the_tag(
    vlan: int | None, tag: rows.Value
) -> None:
    """An untagged one empties the column, as after an edit."""
    port = localnet.own(replace(NETWORK, spec=replace(SPEC, vlan_id=vlan)))[1]
    assert (port.key, port.columns["type"]) == ("vlan20_ovn_localnet_port", "localnet")
    assert mapping(port.columns["options"])["network_name"] == "rack"
    assert port.columns["addresses"] == {"unknown"}
    assert (port.columns["tag_request"], port.columns["tag"]) == (tag, tag)


def test_tunnels_are_guarded_above_all_policies() -> None:
    guard = localnet.own(NETWORK)[2]
    assert guard.columns["match"] == 'outport == "vlan20_ovn_localnet_port" && udp.dst == 6081'
    assert (guard.columns["direction"], guard.columns["action"]) == ("to-lport", "drop")
    assert guard.columns["priority"] == 2000


@pytest.mark.parametrize(
    ("subnets", "is_enabled", "is_kept"),
    [
        (("192.168.20.0/24", "fd00:20::/64"), True, True),
        (("192.168.20.0/24", "fd00:20::/64"), False, False),
        (("192.168.20.0/24",), True, False),
        ((), True, False),
    ],
)
def test_requests_for_dhcpv6_are_kept_from_the_wire_where_weft_serves(
    subnets: tuple[str, ...], is_enabled: bool, is_kept: bool
) -> None:
    spec = replace(
        SPEC, subnets=tuple(map(ip_network, subnets)), dhcp=model.Dhcp(enabled=is_enabled)
    )
    found = [str(row.columns["match"]) for row in localnet.own(replace(NETWORK, spec=spec))[3:]]
    port = 'outport == "vlan20_ovn_localnet_port"'
    request = "ip6.dst == ff02::1:2 && udp.src == 546 && udp.dst == 547"
    assert found == ([f"{port} && {request}"] if is_kept else [])


@pytest.mark.parametrize("is_enabled", [True, False])
def test_a_pods_port_is_served_where_dhcp_is_on(is_enabled: bool) -> None:
    spec = replace(SPEC, dhcp=model.Dhcp(enabled=is_enabled))
    port = localnet.pod_port(replace(NETWORK, spec=spec), PORT, "c1")
    assert port.parent == rows.Ref("Logical_Switch", names.localnet_switch("vlan20"))
    assert mapping(port.columns["options"])["requested-chassis"] == "c1"
    assert bool(port.columns["dhcpv4_options"]) is is_enabled
    assert port.columns["port_security"] == {"0a:58:c0:a8:14:05 192.168.20.5/24"}


@pytest.mark.parametrize("security", [*model.PortSecurity])
def test_a_port_that_waits_lets_nothing_in_and_gets_nothing(security: model.PortSecurity) -> None:
    """What comes from a group's MAC OVN drops on every port."""
    network = replace(NETWORK, spec=replace(SPEC, nic=model.NicOptions(port_security=security)))
    port = localnet.pod_port(network, PORT, "c1", waits=True)
    assert port.columns["port_security"] == {"01:00:00:00:00:00"}
    assert port.columns["addresses"] == frozenset()
    runs = localnet.pod_port(network, PORT, "c1")
    assert port.columns.keys() == runs.columns.keys(), "all that differs is put right"
    assert runs.columns["port_security"] != port.columns["port_security"]


@pytest.mark.parametrize(
    ("trunk", "match"),
    [
        ((10, 20), "!vlan.present || (vlan.present && vlan.vid != {10, 20})"),
        ((0, 10), "vlan.present && vlan.vid != {10}"),
        ((0,), "vlan.present"),
        ((), ""),
    ],
)
def test_a_trunk_passes_the_tags_that_it_lists(trunk: tuple[int, ...], match: str) -> None:
    made = localnet.own(replace(NETWORK, spec=replace(SPEC, vlan_id=None, trunk=trunk)))
    assert mapping(made[0].columns["other_config"])["vlan-passthru"] == "true"
    assert made[1].columns["tag_request"] == frozenset()
    assert [row.columns["match"] for row in made[3:]] == ([match] if match else [])
    assert "vlan-passthru" not in mapping(localnet.own(NETWORK)[0].columns["other_config"])
