"""CIDRs of blocks hold just the addresses that the blocks say."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft import model
from weft.policy import blocks, netpolicy

# Few addresses, so that blocks and exceptions meet often.
BASES = {4: int(ip_address("10.0.0.0")), 6: int(ip_address("fd00::"))}


@st.composite
def subnets(draw: st.DrawFn, version: int) -> model.Subnet:
    most = 32 if version == 4 else 128
    length = draw(st.integers(most - 5, most))
    first = BASES[version] + draw(st.integers(0, 31))
    return ip_network((first, length), strict=False)


@st.composite
def some_blocks(draw: st.DrawFn) -> netpolicy.IPBlock:
    version = draw(st.sampled_from((4, 6)))
    excepts = draw(st.lists(subnets(version), max_size=4))
    return netpolicy.IPBlock(draw(subnets(version)), tuple(excepts))


@given(st.lists(some_blocks(), max_size=4))
def test_an_address_is_in_the_cidrs_if_a_block_has_it(found: list[netpolicy.IPBlock]) -> None:
    made = blocks.cidrs(found)
    for base in BASES.values():
        for address in (ip_address(base + number) for number in range(40)):
            is_in_block = any(
                address in block.subnet and not any(address in hole for hole in block.excepts)
                for block in found
            )
            assert sum(address in part for part in made) == is_in_block


def test_a_hole_splits_and_the_parts_are_joined_again() -> None:
    whole, half = ip_network("10.0.0.0/24"), ip_network("10.0.0.128/25")
    holed = netpolicy.IPBlock(whole, (half, ip_network("10.0.0.64/26")))
    assert blocks.cidrs([holed]) == (ip_network("10.0.0.0/26"),)
    assert blocks.cidrs([holed, netpolicy.IPBlock(half)]) == (ip_network("10.0.0.0/26"), half)


@pytest.mark.parametrize("hole", ["10.0.0.0/24", "10.0.0.0/8"])
def test_nothing_is_left_of_what_is_excepted_whole(hole: str) -> None:
    assert blocks.cidrs([netpolicy.IPBlock(ip_network("10.0.0.0/24"), (ip_network(hole),))]) == ()
