"""Guests really boot, follow their cloud-init data, and reach each other over their bridges."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support import scenario
from weft_lab.runtime import toolchain as toolchains

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def seen(
    toolchain: toolchains.Toolchain, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What the scenario of lab/tests/support/guests.py saw in namespaces of its own."""
    return scenario.run("lab/tests/support/guests.py", tmp_path_factory.mktemp("guests"), 600)


def test_a_lease_brings_address_and_mtu_and_no_default_route(seen: dict[str, Any]) -> None:
    assert "10.9.0.1" in seen["lease"]
    assert "mtu 1300" in seen["link"]
    assert "default" not in seen["routes"]


def test_the_guest_has_the_mac_of_the_pods_interface(seen: dict[str, Any]) -> None:
    assert "0a:58:0a:09:00:0a" in seen["link"]
    assert "0a:58:0a:09:00:0a" in seen["interfaces"][0]
    assert seen["left on the pod"] == 0


def test_user_data_takes_effect(seen: dict[str, Any]) -> None:
    assert seen["hostname"] == "first"
    assert seen["note"] == "hello 640"
    assert seen["boot"] == "early"
    assert "10.9.0." in seen["ran"], "runcmd runs after the network is there"


def test_the_password_opens_the_serial_console(seen: dict[str, Any]) -> None:
    assert "fedora" in seen["console"]


def test_network_data_takes_effect(seen: dict[str, Any]) -> None:
    assert "172.16.9.9/24" in seen["static"]
    assert "fd09::30/64" in seen["static"]
    assert "search x.example\nnameserver 10.9.9.9" in seen["static"]


def test_addresses_and_routes_stand_beside_a_lease(seen: dict[str, Any]) -> None:
    assert re.search(r"inet 10\.9\.0\.(1\d|20)/24", seen["static"])
    assert "172.16.9.9/24" in seen["static"]
    assert "10.77.0.0/16 via 10.9.0.1 dev lan0" in seen["static"]


def test_a_router_advertisement_starts_dhcpv6_and_brings_the_prefix(seen: dict[str, Any]) -> None:
    assert "fd09::/64 dev eth0" in seen["dhcp6"]
    assert "default" not in seen["dhcp6"]


def test_guests_reach_each_other(seen: dict[str, Any]) -> None:
    assert "2 packets received" in seen["ping"]
    assert seen["curl"] == "page"


def test_a_signal_shuts_the_guests_down_in_order(seen: dict[str, Any]) -> None:
    assert seen["ends"] == [0, 0]


def test_ping_and_su_work_for_every_user(seen: dict[str, Any]) -> None:
    assert "1 packets received" in seen["user"]
    assert seen["user"].splitlines()[-2:] == ["fedora", "root"]
