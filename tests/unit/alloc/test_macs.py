"""MACs by the field's rule, then by hash."""

from __future__ import annotations

from ipaddress import ip_interface
from itertools import islice

import pytest

from weft.alloc import macs
from weft.api import notation


@pytest.mark.parametrize(
    ("addresses", "mac"),
    [
        (("10.100.200.5/24",), "0a:58:0a:64:c8:05"),
        (("fd00::5/64", "10.100.200.5/24"), "0a:58:0a:64:c8:05"),
        (("fd00::5/64",), "0a:58:67:cc:13:6b"),
    ],
)
def test_from_the_address(addresses: tuple[str, ...], mac: str) -> None:
    read = tuple(ip_interface(text) for text in addresses)
    assert next(macs.candidates(read, "shop/blue/uid")) == mac


def test_without_address_from_the_owner() -> None:
    first = next(macs.candidates((), "shop/blue/uid-1"))
    assert first == next(macs.candidates((), "shop/blue/uid-1"))
    assert first != next(macs.candidates((), "shop/blue/uid-2"))


def test_candidates_are_many_and_usable() -> None:
    found = list(islice(macs.candidates((), "shop/blue/uid"), 100))
    assert len(set(found)) == 100
    assert all(notation.mac(mac) == mac for mac in found)
