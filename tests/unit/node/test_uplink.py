"""What weft reads of the interface that a userspace switch takes."""

from __future__ import annotations

import socket

from weft.host import linkconfig
from weft.node import uplink


def device(*addresses: tuple[int, str, int]) -> linkconfig.Device:
    return linkconfig.Device("eth1", "0a:58:00:00:00:01", 1500, True, True, 0, addresses, (), ())


def test_its_link_has_the_subnets_of_its_addresses() -> None:
    found = device(
        (socket.AF_INET, "192.0.2.7", 24),
        (socket.AF_INET, "192.0.2.8", 24),
        (socket.AF_INET6, "fd00::7", 64),
    )
    assert uplink.links(found) == ("192.0.2.0/24", "fd00::/64")
    assert uplink.links(device()) == ()
