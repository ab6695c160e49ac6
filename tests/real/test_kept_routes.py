"""The routes of a pod's two interfaces on one network, whatever becomes of one of its devices.

tests/support/keptroutes.py says what each scenario does.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import scenario

pytestmark = pytest.mark.real
BOTH = {"IPv4": ["net1", "net2"], "IPv6": ["net1", "net2"]}
FIRST = {"IPv4": ["net1"], "IPv6": ["net1"]}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return scenario.run("tests/support/keptroutes.py", tmp_path_factory.mktemp("routes"), 240)


def test_a_device_that_is_made_again_takes_no_route_from_the_other(seen: dict[str, Any]) -> None:
    """With the old device, the kernel drops all of the IPv4 route that both share."""
    assert seen["replaced"] == [BOTH, BOTH]


def test_an_interface_that_leaves_takes_no_route_from_the_other(seen: dict[str, Any]) -> None:
    assert seen["unplugged"] == FIRST
    assert seen["deleted"] == FIRST


def test_a_link_that_was_down_during_a_call_gets_its_routes_back(seen: dict[str, Any]) -> None:
    during, after = seen["busy"]
    assert during == {"IPv4": [], "IPv6": []}
    assert after == BOTH


def test_what_the_kernel_refuses_is_tried_again_and_stops_no_other_route(
    seen: dict[str, Any],
) -> None:
    without, after = seen["refused"]
    assert without == {"IPv4": ["net1", "net2"], "IPv6": []}
    assert after == {"IPv4": ["net1", "net2"], "IPv6": ["net1"]}


def test_what_a_pod_deletes_stays_deleted_while_its_links_are_up(seen: dict[str, Any]) -> None:
    assert seen["own"] == {"IPv4": [], "IPv6": ["net1", "net2"]}


def test_a_route_of_a_device_that_vanishes_is_not_taken_for_anothers(seen: dict[str, Any]) -> None:
    """Else the second interface would never join the route that the first makes again."""
    assert seen["vanished"] == {"IPv4": ["net2"], "IPv6": ["net2"]}
