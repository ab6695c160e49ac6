"""What OVN's DHCPv4 server is told to say, and what there is to lease."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address, ip_address, ip_interface, ip_network
from typing import Any

from tests.support.columns import mapping
from weft import model, names, rows
from weft.ovn import dhcp

SPEC = model.NetworkSpec(
    "blue", model.Topology.LAYER2, 1300, (ip_network("10.1.0.0/24"), ip_network("fd00:1::/64"))
)


def network(**options: Any) -> model.Network:
    return model.Network(replace(SPEC, dhcp=model.Dhcp(**options)), 3)


def by_key(network: model.Network) -> dict[str, rows.Row]:
    return {row.key: row for row in dhcp.options(network)}


def test_lease_address_and_mtu_but_no_router() -> None:
    found = by_key(network())
    assert found["dhcp4/blue"].columns["cidr"] == "10.1.0.0/24"
    assert found["dhcp4/blue"].columns["options"] == {
        "server_id": "169.254.1.1",
        "server_mac": "0a:58:a9:fe:01:01",
        "lease_time": "3600",
        "mtu": "1300",
    }
    assert found.keys() == {"dhcp4/blue"}, "OVN never reads a guest's DHCPv6"


def test_what_is_configured_is_said_in_its_own_family() -> None:
    found = by_key(
        network(
            routers=(ip_address("10.1.0.1"),),
            dns=(ip_address("10.1.0.2"), ip_address("10.1.0.3"), ip_address("fd00:1::2")),
            domain="lab.example",
            lease_seconds=60,
        )
    )
    v4 = mapping(found["dhcp4/blue"].columns["options"])
    assert v4["router"] == "10.1.0.1"
    assert v4["dns_server"] == "{10.1.0.2, 10.1.0.3}"
    assert v4["domain_name"] == '"lab.example"'
    assert v4["lease_time"] == "60"


def test_nothing_where_disabled() -> None:
    off = network(enabled=False)
    assert dhcp.options(off) == ()
    allocation = model.Allocation("0a:58:0a:01:00:05", (ip_interface("10.1.0.5/24"),), 11)
    assert dhcp.options_ref(off.spec, allocation) == frozenset()


def test_a_port_is_served_in_the_families_that_it_has() -> None:
    allocation = model.Allocation("0a:58:0a:01:00:05", (ip_interface("fd00:1::5/64"),), 11)
    assert dhcp.options_ref(SPEC, allocation) == frozenset()
    assert dhcp.lease(SPEC, allocation) == IPv6Address("fd00:1::5")
    both = replace(allocation, addresses=(ip_interface("10.1.0.5/24"), *allocation.addresses))
    assert dhcp.options_ref(SPEC, both) == {rows.Ref("DHCP_Options", "dhcp4/blue")}
    assert dhcp.lease(SPEC, both) == IPv6Address("fd00:1::5")
    assert dhcp.lease(network(enabled=False).spec, both) is None


def test_an_address_outside_of_the_subnet_is_not_offered() -> None:
    allocation = model.Allocation("0a:58:0a:01:00:05", (ip_interface("10.2.0.5/24"),), 11)
    assert dhcp.options_ref(SPEC, allocation) == frozenset()


def test_link_local_address_follows_from_the_mac() -> None:
    """OVN derives it by the same rule (RFC 4291, appendix A)."""
    mac = bytes.fromhex(names.SERVER_MAC.replace(":", ""))
    identifier = bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:]
    expected = IPv6Address(bytes.fromhex("fe80000000000000") + identifier)
    assert IPv6Address(dhcp.SERVER_LINK_LOCAL) == expected
