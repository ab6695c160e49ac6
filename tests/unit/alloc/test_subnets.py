"""Which addresses may be given, against sets of addresses."""

from __future__ import annotations

from ipaddress import IPv4Network, ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from weft.alloc import subnets

SUBNET = IPv4Network("10.1.0.0/24")
PARTS = st.builds(
    lambda value, length: IPv4Network((int(SUBNET.network_address) + value, length), strict=False),
    st.integers(0, 255),
    st.integers(24, 32),
)


@given(st.lists(PARTS, max_size=6))
def test_as_sets_would(withheld: list[IPv4Network]) -> None:
    left = [int(host) for host in SUBNET.hosts() if not any(host in part for part in withheld)]
    ranges = subnets.available(SUBNET, withheld)
    assert ranges.count == len(left)
    assert [ranges.at(number) for number in range(ranges.count)] == left
    for value in range(int(SUBNET[0]) - 1, int(SUBNET[-1]) + 2):
        assert ranges.number(value) == (left.index(value) if value in left else None)


def test_ipv6_gives_the_first_65536_in_turn() -> None:
    ranges = subnets.available(ip_network("fd00::/64"), ())
    assert ranges.count == 65536
    assert ip_address(ranges.at(0)) == ip_address("fd00::1")
    assert ip_address(ranges.at(65535)) == ip_address("fd00::1:0")


def test_ipv6_goes_on_behind_what_is_excluded() -> None:
    ranges = subnets.available(ip_network("fd00::/64"), (ip_network("fd00::/96"),))
    assert ranges.count == 65536
    assert ip_address(ranges.at(0)) == ip_address("fd00::1:0:0")


def test_other_families_are_ignored() -> None:
    assert subnets.available(SUBNET, (ip_network("::/0"),)).count == 254
