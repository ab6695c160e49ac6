"""The settings that say how a node's pods leave the cluster."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface

import pytest

from weft import errors, model
from weft.api import gateway


def test_dual_stack() -> None:
    made = gateway.parse(
        "node1",
        addresses="fd00:2::65/64, 172.31.1.101/24",
        next_hops="172.31.1.1",
        physical_network="wan",
    )
    assert made == model.Gateway(
        mac="0a:58:ac:1f:01:65",
        addresses=(ip_interface("fd00:2::65/64"), ip_interface("172.31.1.101/24")),
        next_hops=(ip_address("172.31.1.1"),),
        interface_id="wan_node1",
    )


def test_a_node_without_address_has_no_way_out() -> None:
    assert gateway.parse("node1", addresses="") is None


@pytest.mark.parametrize(
    ("addresses", "next_hops", "network", "rule"),
    [
        ("172.31.1.101", "", "wan", "with a prefix length"),
        ("172.31.1.101/24,172.31.2.1/24", "", "wan", "second IPv4"),
        ("", "172.31.1.1", "wan", "without --gateway-address"),
        ("172.31.1.101/24", "172.31.2.1", "wan", "not on the network"),
        ("172.31.1.101/24", "fd00::1", "wan", "not on the network"),
        ("172.31.1.101/24", "", "", "--physical-network"),
    ],
)
def test_refused(addresses: str, next_hops: str, network: str, rule: str) -> None:
    with pytest.raises(errors.InvalidInput, match=rule):
        gateway.parse("n", addresses=addresses, next_hops=next_hops, physical_network=network)


def test_a_tunnel_endpoint_is_no_gateway() -> None:
    given = {"addresses": "172.31.1.101/24,fd00:2::65/64"}
    with pytest.raises(errors.InvalidInput, match=r"172.31.1.101/24.*tunnel endpoint"):
        gateway.parse("n", **given, endpoints=("172.31.1.101",))
    assert gateway.parse("n", **given, endpoints=("172.31.1.11",)) is not None
