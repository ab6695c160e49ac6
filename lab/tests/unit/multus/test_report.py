"""What network-status says of an interface, from the plugin's result and the pod's selection."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from weft import model
from weft.model import ObjectKey
from weft_lab.multus import report

ETH0: dict[str, Any] = {
    "interfaces": [
        {"name": "vethx"},
        {"name": "eth0", "mac": "0a:58:0a:80:00:03", "sandbox": "/run/netns/x", "mtu": 1400},
    ],
    "ips": [
        {"address": "10.128.0.3/23", "gateway": "10.128.0.1", "interface": 1},
        {"address": "fd00:10:128::3/64", "gateway": "fd00:10:128::1", "interface": 1},
    ],
    "routes": [
        {"dst": "0.0.0.0/0", "gw": "10.128.0.1"},
        {"dst": "::/0", "gw": "fd00:10:128::1"},
        {"dst": "10.128.0.0/14", "gw": "10.128.0.1"},
    ],
    "dns": {"nameservers": ["10.0.0.10"]},
}
NET1: dict[str, Any] = {
    "interfaces": [{"name": "net1", "mac": "0a:58:0a:09:00:02", "sandbox": "/run/netns/x"}],
    "ips": [{"address": "10.9.0.2/24", "interface": 0}],
    "routes": [],
}


def asking(*gateways: str) -> model.Attachment:
    return model.Attachment(
        nad=ObjectKey("default", "blue"),
        key="default/blue",
        interface="net1",
        default_route=tuple(ip_address(each) for each in gateways),
    )


@pytest.mark.parametrize(
    ("gateways", "eth0", "net1"),
    [
        ((), ("10.128.0.1", "fd00:10:128::1"), ()),
        (("10.9.0.1",), ("fd00:10:128::1",), ("10.9.0.1",)),
        (("10.9.0.1", "fd00:9::1"), (), ("10.9.0.1", "fd00:9::1")),
    ],
)
def test_gateways_are_those_of_the_pods_default_routes(
    gateways: tuple[str, ...], eth0: tuple[str, ...], net1: tuple[str, ...]
) -> None:
    leading = asking(*gateways)
    assert report.entry("ovn-kubernetes", "eth0", ETH0, leading).gateway == eth0
    assert report.entry("default/blue", "net1", NET1, leading).gateway == net1


def test_a_default_route_without_gateway_has_that_of_its_address() -> None:
    bare = {**ETH0, "routes": [{"dst": "0.0.0.0/0"}]}
    assert report.entry("ovn-kubernetes", "eth0", bare, None).gateway == ("10.128.0.1",)


def test_the_clusters_network_is_the_default_wherever_the_route_leads() -> None:
    """The multi-network specification, 5.3.5: the attachment of the cluster-wide default."""
    for leading in (None, asking("10.9.0.1")):
        assert report.entry("ovn-kubernetes", "eth0", ETH0, leading).default
        assert not report.entry("default/blue", "net1", NET1, leading).default


def test_everything_that_a_reader_wants() -> None:
    entry = report.entry("ovn-kubernetes", "eth0", ETH0, None)
    assert entry.ips == (ip_address("10.128.0.3"), ip_address("fd00:10:128::3"))
    assert (entry.mac, entry.mtu) == ("0a:58:0a:80:00:03", 1400)
    assert entry.dns == {"nameservers": ["10.0.0.10"]}
