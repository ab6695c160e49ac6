"""A routed network, and two nodes with their parts of it."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network

import pytest

from weft import model, ranges


@pytest.fixture(params=["default", "blue"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def network(name: str) -> model.Network:
    subnets = (ip_network("10.128.0.0/14"), ip_network("fd00:10::/48"))
    spec = model.NetworkSpec(name, model.Topology.LAYER3, 1400, subnets, host_prefix=(23, 64))
    return model.Network(spec, 0 if name == "default" else 3)


def node(
    name: str, number: int, *, networks: tuple[str, ...] = ("blue", "default")
) -> model.NodeInfo:
    parts = (
        ip_network(f"10.{128 + number // 128}.{2 * (number % 128)}.0/23"),
        ip_network(f"fd00:10:0:{number}::/64"),
    )
    return model.NodeInfo(
        name,
        f"chassis-{name}",
        (f"192.0.2.{number}",),
        id=number,
        transit=ranges.transit(number),
        subnets=tuple((network, parts) for network in networks),
        gateway=model.Gateway(
            mac="0a:58:c0:00:02:65",
            addresses=(ip_interface("192.0.2.101/24"), ip_interface("fd00:2::65/64")),
            next_hops=(ip_address("192.0.2.254"),),
            interface_id=f"physnet_{name}",
        ),
    )


@pytest.fixture
def own() -> model.NodeInfo:
    return node("node1", 2)


@pytest.fixture
def far() -> model.NodeInfo:
    return node("node2", 300)
