"""Subnets of a NAD: what they give, or which rule they break."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from tests.support.declared import GOOD, nad_object, nets, only_problem, parsed, refused
from weft.api import nad


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({"subnets": "10.1.0.0/24"}, "subnets", nets("10.1.0.0/24")),
        ({"subnets": " 10.1.0.9/24 , fd00::/64 "}, "subnets", nets("10.1.0.0/24", "fd00::/64")),
        ({"subnets": "fd00::/64,10.1.0.0/30"}, "subnets", nets("fd00::/64", "10.1.0.0/30")),
        ({"subnets": ""}, "subnets", ()),
        (
            {"subnets": "10.1.0.0/24", "excludeSubnets": "10.1.0.0/28,10.1.0.99/32"},
            "exclude_subnets",
            nets("10.1.0.0/28", "10.1.0.99/32"),
        ),
        (
            {
                "subnets": "10.1.0.0/24",
                "reservedSubnets": "10.1.0.0/28",
                "infrastructureSubnets": "10.1.0.16/28",
            },
            "reserved_subnets",
            nets("10.1.0.0/28", "10.1.0.16/28"),
        ),
        (
            {"topology": "layer3", "subnets": "10.128.0.0/14/23,fd00::/48"},
            "host_prefix",
            (23, 64),
        ),
        ({"topology": "layer3", "subnets": "10.128.0.0/14"}, "host_prefix", (24,)),
        (
            {"topology": "layer3", "subnets": "10.0.0.0/16/24,10.1.0.0/16"},
            "subnets",
            nets("10.0.0.0/16", "10.1.0.0/16"),
        ),
    ],
)
def test_accepted(changes: dict[str, object], field: str, value: object) -> None:
    assert getattr(parsed(**changes), field) == value


@pytest.mark.parametrize(
    ("changes", "field", "rule"),
    [
        ({"subnets": ["10.1.0.0/24"]}, "subnets", "must be a string"),
        ({"subnets": "10.1.0.0"}, "subnets", "must be a subnet"),
        ({"subnets": "10.1.0.0/24,"}, "subnets", "empty item"),
        ({"subnets": "10.1.0.0/24;fd00::/64"}, "subnets", "must be a subnet"),
        ({"subnets": "10.1.0.0/16/24"}, "subnets", "only topology layer3"),
        ({"subnets": "10.1.0.0/24,10.1.0.0/25"}, "subnets", "second IPv4 subnet"),
        ({"subnets": "fd00::/64,fd01::/64"}, "subnets", "second IPv6 subnet"),
        ({"subnets": "10.1.0.0/31"}, "subnets", "too small"),
        ({"subnets": "fd00::1/128"}, "subnets", "too small"),
        ({"subnets": "224.1.0.0/24"}, "subnets", "multicast"),
        ({"excludeSubnets": "10.1.0.0/28"}, "excludeSubnets", "there are none"),
        (
            {"subnets": "10.1.0.0/24", "excludeSubnets": "10.2.0.0/28"},
            "excludeSubnets",
            "outside of subnets 10.1.0.0/24",
        ),
        (
            {"subnets": "10.1.0.0/24", "excludeSubnets": "10.1.0.0/16"},
            "excludeSubnets",
            "outside of subnets",
        ),
        (
            {"subnets": "10.1.0.0/24", "excludeSubnets": "10.1.0.0/24"},
            "excludeSubnets",
            "no address",
        ),
        (
            {"subnets": "10.1.0.0/24", "excludeSubnets": "10.1.0.1"},
            "excludeSubnets",
            "must be a subnet",
        ),
        (
            {"topology": "layer3", "subnets": "10.1.0.0/16", "excludeSubnets": "10.1.0.0/28"},
            "excludeSubnets",
            "only on topology layer2 and localnet",
        ),
        (
            {"topology": "localnet", "subnets": "10.1.0.0/16", "reservedSubnets": "10.1.0.0/28"},
            "reservedSubnets",
            "only on topology layer2",
        ),
        ({"topology": "layer3"}, "subnets", "missing"),
        ({"topology": "layer3", "subnets": "10.1.0.0/24/24"}, "subnets", "longer than the /24"),
        ({"topology": "layer3", "subnets": "10.1.0.0/24"}, "subnets", "longer than the /24"),
        ({"topology": "layer3", "subnets": "10.1.0.0/16/31"}, "subnets", "/29 is the smallest"),
        ({"topology": "layer3", "subnets": "10.1.0.0/16/x"}, "subnets", "a number"),
        ({"topology": "layer3", "subnets": "fd00::/48/80"}, "subnets", "not a /64"),
        (
            {"topology": "layer3", "subnets": "10.1.0.0/16/24,10.2.0.0/16/25"},
            "subnets",
            "one length",
        ),
        (
            {"topology": "layer3", "subnets": "10.1.0.0/16,10.1.8.0/21"},
            "subnets",
            "overlaps 10.1.0.0/16 of the same network",
        ),
        # Its router is on one of them, too.
        ({"topology": "layer3", "subnets": "100.88.0.0/16"}, "subnets", "weft's transit switches"),
        ({"topology": "layer3", "subnets": "fd97::/32"}, "subnets", "weft's transit switches"),
    ],
)
def test_refused(changes: dict[str, object], field: str, rule: str) -> None:
    error = only_problem(**changes)
    assert error.field == f"spec.config.{field}"
    assert rule in error.rule


def test_a_flat_network_meets_no_router() -> None:
    assert parsed(topology="layer2", subnets="100.88.0.0/16,fd97::/64").subnets


def test_overlap_of_many() -> None:
    some = [f"10.{high}.0.0/20/24" for high in range(200)]
    assert len(parsed(topology="layer3", subnets=",".join(some)).subnets) == 200
    error = only_problem(topology="layer3", subnets=",".join([*some, "10.77.8.0/21/24"]))
    assert error.rule == "overlaps 10.77.0.0/20 of the same network"


def test_reserved_ranges() -> None:
    reserved = (("the cluster's pods", ip_network("10.244.0.0/16")),)
    error = refused(nad_object(GOOD, subnets="10.244.8.0/24"), reserved=reserved)
    assert "overlaps 10.244.0.0/16, the cluster's pods" in error.rule
    assert nad.parse(nad_object(GOOD, subnets="10.245.8.0/24"), reserved=reserved)
    localnet = nad_object(GOOD, subnets="10.244.8.0/24", topology="localnet")
    assert nad.parse(localnet, reserved=reserved)
