"""One subnet's addresses: in turn, by name, and those that nobody may ask for."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft import model
from weft.alloc import pool


def drained(addresses: pool.Pool) -> list[str]:
    given = []
    while (due := addresses.peek()) is not None:
        assert addresses.take(due, in_turn=True)
        given.append(str(due))
    return given


def test_all_hosts_once() -> None:
    assert drained(pool.Pool(ip_network("10.1.0.0/29"))) == [f"10.1.0.{n}" for n in range(1, 7)]


def test_neither_excluded_nor_reserved_come_in_turn() -> None:
    addresses = pool.Pool(
        ip_network("10.1.0.0/29"), (ip_network("10.1.0.1/32"),), (ip_network("10.1.0.4/31"),)
    )
    assert drained(addresses) == ["10.1.0.2", "10.1.0.3", "10.1.0.6"]


def test_those_besides_are_passed_over_and_keep_their_turn() -> None:
    addresses = pool.Pool(ip_network("10.1.0.0/30"))
    first, second = ip_address("10.1.0.1"), ip_address("10.1.0.2")
    assert addresses.peek({first}) == second
    assert addresses.peek({first, second}) is None
    assert addresses.usage.used == 0
    assert drained(addresses) == ["10.1.0.1", "10.1.0.2"]


def test_reserved_by_name() -> None:
    addresses = pool.Pool(ip_network("10.1.0.0/29"), (), (ip_network("10.1.0.4/31"),))
    requested = ip_address("10.1.0.4")
    assert addresses.objection(requested) is None
    assert addresses.take(requested)
    assert not addresses.take(requested)
    assert addresses.usage == pool.Usage(ip_network("10.1.0.0/29"), total=4, used=1, free=4)
    assert addresses.release(requested)
    assert not addresses.release(requested)
    assert addresses.usage.used == 0


def test_ipv6_by_name_anywhere_in_the_subnet() -> None:
    addresses = pool.Pool(ip_network("fd00::/64"))
    assert addresses.take(ip_address("fd00::ffff:ffff:ffff:ffff"))
    assert str(addresses.peek()) == "fd00::1"


@pytest.mark.parametrize(
    ("address", "rule"),
    [
        ("10.2.0.1", "outside of subnet 10.1.0.0/24"),
        ("fd00::1", "outside of subnet 10.1.0.0/24"),
        ("10.1.0.0", "itself"),
        ("10.1.0.255", "broadcast"),
        ("10.1.0.17", "lies in 10.1.0.16/28, which is in excludeSubnets"),
    ],
)
def test_objections(address: str, rule: str) -> None:
    addresses = pool.Pool(ip_network("10.1.0.0/24"), (ip_network("10.1.0.16/28"),))
    objection = addresses.objection(ip_address(address))
    assert objection is not None
    assert rule in objection[0]
    assert objection[1]


@given(
    st.lists(st.integers(0, 63), max_size=80),
    st.integers(26, 32),
    st.integers(0, 63),
)
def test_none_twice_none_excluded(frees: list[int], length: int, at: int) -> None:
    subnet = ip_network("10.1.0.0/26")
    excluded = ip_network((int(subnet[at]), length), strict=False)
    addresses = pool.Pool(subnet, (excluded,))
    held: set[model.Address] = set()
    for free in frees:
        due = addresses.peek()
        if due is not None:
            assert due not in held
            assert due not in excluded
            assert addresses.objection(due) is None
            addresses.take(due, in_turn=True)
            held.add(due)
        leaving = subnet[free]
        assert addresses.release(leaving) is (leaving in held)
        held.discard(leaving)
        assert addresses.usage.used == len(held)
        assert addresses.usage.free == addresses.usage.total - len(held)
