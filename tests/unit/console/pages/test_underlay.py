"""The picture of nodes: it is sent when it has changed, and a click leads to what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from typing import cast

import pytest

from tests.support import consoled
from tests.support import topology as rows
from tests.support.memory_api import MemoryApi
from weft import names
from weft.console.page import JobAccess, Nodes
from weft.console.pages import underlay
from weft.observe.snapshot import Snapshot


class Looked:
    """Nodes whose databases hold one after the other of what is given."""

    def __init__(self, found: Sequence[Sequence[Snapshot]]) -> None:
        self.looks, self._found = 0, list(found)

    async def snapshots(self) -> tuple[Snapshot, ...]:
        self.looks += 1
        return tuple(self._found.pop(0) if len(self._found) > 1 else self._found[0])


def zones(*pods: str, nodes: int = 2) -> list[Snapshot]:
    made = rows.zones(nodes)
    for number, pod in enumerate(pods):
        external = {names.OWNER: f"Pod/default/{pod}", "iface-id": pod}
        made[0].bridge(
            f"br-{number}", [made[0].interface(f"wp{number}", "", external_ids=external)]
        )
    return rows.snapshots(made)


async def test_a_picture_is_sent_when_it_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(underlay, "_EVERY", 0.0)
    nodes = Looked([zones(), zones(), zones(), zones("web"), zones("web")])
    access = JobAccess(MemoryApi(), nodes=cast(Nodes, nodes))
    async with aclosing(underlay.look(access, consoled.asked())) as pictures:
        first = str(await anext(pictures))
        assert "default/web" not in first
        assert nodes.looks == 1
        assert "default/web" in str(await anext(pictures))
        assert nodes.looks == 4, "two that were the same are not sent"


def test_a_click_leads_to_the_node_the_machine_and_the_pods_events() -> None:
    picture = str(underlay._drawn(zones("a&b", "virt-launcher-db-abcde")))
    assert '<a href="/nodes#node-node1">' in picture
    assert '<a href="/machines/default/db">' in picture
    assert '<a href="/events?namespace=default&amp;about=a%26b">' in picture
    assert ">default/a&amp;b<" in picture
    assert 'role="group"' in picture, "a screen reader finds links in it"


def test_a_click_on_one_of_many_nodes_leads_to_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weft.observe.tunnelhealth.MANY", 2)
    assert '<a href="/nodes#node-node2">' in str(underlay._drawn(zones()))
