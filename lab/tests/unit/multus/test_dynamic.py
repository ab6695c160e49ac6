"""Which interfaces of a running pod are removed and made when its selection was edited."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.objects import pod
from weft_lab.multus import dynamic

ETH0 = {"name": "ovn-kubernetes", "interface": "eth0"}


def entry(name: str, interface: str, **more: Any) -> dict[str, Any]:
    return {"name": f"default/{name}", "interface": interface, **more}


def decided(networks: str, *entries: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The interfaces to remove and to make."""
    record = [ETH0, *entries]
    asked = dynamic.requested(pod("p", networks), record, primary=True)
    found = dynamic.interface_changes(asked, record)
    removed = [f"{each['name'].partition('/')[2]}@{each['interface']}" for each in found.removed]
    return removed, [f"{each.nad and each.nad.name}@{each.interface}" for each in found.added]


BLUE, RED = entry("blue", "net1"), entry("red", "net2")


@pytest.mark.parametrize(
    ("networks", "entries", "removed", "added"),
    [
        ("blue, red", [BLUE, RED], [], []),
        ("blue, red", [BLUE], [], ["red@net2"]),
        ("blue", [BLUE, RED], ["red@net2"], []),
        ("", [BLUE, RED], ["blue@net1", "red@net2"], []),
        # Who names no interface keeps what it has, wherever it stands in the list now.
        ("red", [BLUE, RED], ["blue@net1"], []),
        ("red, blue", [BLUE], [], ["red@net2"]),
        ("green, blue, red", [BLUE, RED], [], ["green@net3"]),
        # Another name is another interface, and another NAD under a name too.
        ("blue@data0", [BLUE], ["blue@net1"], ["blue@data0"]),
        ("red@net1", [BLUE], ["blue@net1"], ["red@net1"]),
        # What a kubelet left unfinished is undone, and made again.
        ("blue, red", [BLUE, {**RED, "unfinished": True}], ["red@net2"], ["red@net2"]),
        ("blue", [BLUE, {**RED, "unfinished": True}], ["red@net2"], []),
    ],
)
def test_what_is_removed_and_made(
    networks: str, entries: list[dict[str, Any]], removed: list[str], added: list[str]
) -> None:
    assert decided(networks, *entries) == (removed, added)
