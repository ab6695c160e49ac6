"""Whose subnets have an address in common?"""

from ipaddress import ip_network

import pytest

from weft import model
from weft.control.cluster import overlaps


def spec(name: str, *subnets: str) -> model.NetworkSpec:
    return model.NetworkSpec(
        name, model.Topology.LAYER2, 1400, tuple(ip_network(each) for each in subnets)
    )


BLUE = spec("blue", "10.1.0.0/24", "fd01::/64")


@pytest.mark.parametrize(
    ("other", "found"),
    [
        (spec("red", "10.2.0.0/24", "fd02::/64"), ""),
        (spec("red", "10.1.0.0/16"), '10.1.0.0/24 of network "blue" and 10.1.0.0/16 of'),
        (spec("red", "10.2.0.0/24", "fd00::/8"), "fd01::/64 of network"),
        (spec("red"), ""),
        (BLUE, ""),
    ],
)
def test_find(other: model.NetworkSpec, found: str) -> None:
    error = overlaps.find("Pod default/one", [BLUE, other])
    assert (error is not None) == bool(found)
    assert found in str(error)
