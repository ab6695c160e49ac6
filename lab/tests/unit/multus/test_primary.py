"""Addresses of the lab's own first network."""

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft import errors
from weft_lab.controllers import main
from weft_lab.multus import primary

SUBNET = IPv4Network("10.244.1.0/28")


@given(st.sets(st.integers(0, 15)))
def test_the_lowest_free_address(taken: set[int]) -> None:
    used = [SUBNET[number] for number in taken]
    free = [a for a in list(SUBNET.hosts())[1:] if a not in used]
    if free:
        assert primary.choose(SUBNET, used) == free[0]
    else:
        with pytest.raises(errors.Exhausted, match="pod range"):
            primary.choose(SUBNET, used)


def test_the_gateway_is_never_handed_out() -> None:
    assert primary.choose(SUBNET, []) == IPv4Address("10.244.1.2")


def test_ranges_of_nodes() -> None:
    first = main.choose_range([])
    assert first == "10.244.1.0/24"
    assert main.choose_range([first, "", "10.244.3.0/24"]) == "10.244.2.0/24"
