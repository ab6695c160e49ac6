"""Guests behind the addresses of their pods: whom they reach, and who reaches them.

Addresses 10.9.0.5 and 10.9.0.6 are those of pods; 10.9.0.1 is another's.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import scenario
from weft_lab.runtime import toolchain as toolchains

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def seen(
    toolchain: toolchains.Toolchain, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What the scenario of lab/tests/support/masquerade.py saw in namespaces of its own."""
    folder = tmp_path_factory.mktemp("masquerade")
    return scenario.run("lab/tests/support/masquerade.py", folder, 240)


def test_without_ports_every_port_is_the_guests(seen: dict[str, Any]) -> None:
    assert seen["open"]["web"] == {
        "10.9.0.5 80": "10.9.0.1",
        "10.9.0.5 8080": "10.9.0.1",
        "fd09::5 80": "fd09::1",
        "fd09::5 8080": "fd09::1",
    }, "the guest sees who asks"


def test_with_ports_these_alone_are_the_guests(seen: dict[str, Any]) -> None:
    assert seen["closed"]["web"] == {
        "10.9.0.6 80": "10.9.0.1",
        "10.9.0.6 8080": "ConnectionRefusedError",
        "fd09::6 80": "fd09::1",
        "fd09::6 8080": "ConnectionRefusedError",
    }


def test_datagrams_are_let_in_likewise(seen: dict[str, Any]) -> None:
    """Of three; what is written to a guest's own address comes to none."""
    inside = {"inside 9998": 0, "inside 9999": 0}
    every = {f"{at} {port}": 3 for at in ("10.9.0.5", "fd09::5") for port in (9998, 9999)}
    assert seen["open"]["udp"] == {**every, **inside}
    named = {f"{at} 9999": 3 for at in ("10.9.0.6", "fd09::6")}
    others = {f"{at} 9998": 0 for at in ("10.9.0.6", "fd09::6")}
    assert seen["closed"]["udp"] == {**named, **others, **inside}


def test_a_guest_goes_out_under_its_pods_address(seen: dict[str, Any]) -> None:
    for name, four, six in (("open", "10.9.0.5", "fd09::5"), ("closed", "10.9.0.6", "fd09::6")):
        assert (seen[name]["outside"], seen[name]["outside6"]) == (four, six)


def test_a_guest_has_address_router_mtu_and_resolver(seen: dict[str, Any]) -> None:
    for name, network, length in (("open", "10.0.2", 120), ("closed", "10.77.0", 128)):
        view = seen[name]["view"]
        assert f"inet {network}.2/24" in view
        assert f"default via {network}.1 dev eth0" in view
        assert f"inet6 fd10:0:2::2/{length}" in view
        assert "mtu 1400" in view
        assert "search one.example two.example\nnameserver 192.0.2.53" in view
    assert "192.0.2.77" in seen["open"]["named"], "a name server beyond the pod answers"


def test_the_pods_own_processes_reach_the_guest(seen: dict[str, Any]) -> None:
    assert seen["open"]["pod"] == {
        "127.0.0.1": "10.0.2.1",
        "::1": "ConnectionRefusedError",
        "10.9.0.5": "10.9.0.5",
        "fd09::5": "fd09::5",
    }


def test_a_guest_does_not_reach_its_pods_loopback(seen: dict[str, Any]) -> None:
    assert "via 10.0.2.1" in seen["open"]["way to the loopback"]
    assert seen["local"] == ["after", "before"], "what it asked at the pod's other addresses"


def test_a_card_without_its_cable_never_had_one(seen: dict[str, Any]) -> None:
    assert seen["closed"]["cut"].split() == ["0", "0"]
