"""A node's place on the joints between routers follows from its id."""

from __future__ import annotations

from ipaddress import ip_interface, ip_network

from weft import ranges


def test_addresses_of_a_node() -> None:
    assert ranges.transit(2) == (ip_interface("100.88.0.2/16"), ip_interface("fd97::2/64"))
    assert ranges.join(300) == (ip_interface("100.64.1.44/16"), ip_interface("fd98::12c/64"))


def test_router_of_a_node_subnet() -> None:
    assert ranges.router(ip_network("10.128.2.0/23")) == ip_interface("10.128.2.1/23")


def test_the_last_node_has_its_place() -> None:
    last = ranges.FIRST_NODE_ID + ranges.MAX_NODES - 1
    for found, subnet in zip(ranges.transit(last), ranges.TRANSIT, strict=True):
        assert found.network == subnet
