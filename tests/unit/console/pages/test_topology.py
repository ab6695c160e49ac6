"""The picture of networks: where clicks lead, and that names stay text."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import consoled
from tests.support import objects as made
from tests.unit.observe.test_machines import launcher
from tests.unit.observe.test_members import nad
from weft.console.pages import topology
from weft.kube import resources

NETWORK = {**made.named(resources.NETWORKS, "blue-1"), "status": {"network": "blue"}}


def drawn(*machines: str) -> str:
    objects: dict[Any, list[Any]] = {
        resources.NADS: [nad("blue", "blue")],
        resources.NETWORKS: [NETWORK],
        resources.NODES: [{"metadata": {"name": "node1"}}],
        resources.PODS: [launcher(name) for name in machines],
    }
    found = topology.view(consoled.read(objects), consoled.asked())
    assert not found.hidden
    return str(found.svg)


def test_a_click_leads_to_the_network_and_the_machine() -> None:
    picture = drawn("db")
    assert '<a href="/networks/blue-1">' in picture
    assert '<a href="/machines/default/db">' in picture


def test_machines_that_are_alike_lead_to_their_list() -> None:
    assert '<a href="/machines?namespace=default&amp;about=db">' in drawn("db1", "db2")


def test_a_name_with_markup_stays_text() -> None:
    picture = drawn('<script>"x"')
    assert "<script" not in picture
    assert "&lt;script&gt;" in picture


def test_too_many_members_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topology, "MOST", 0)
    objects: dict[Any, list[Any]] = {
        resources.NADS: [nad("blue", "blue")],
        resources.PODS: [launcher("db")],
    }
    read = consoled.read(objects)
    found = topology.view(read, consoled.asked())
    assert (found.hidden, str(found.svg)) == (1, "")
    assert len(read.memo) == 0, "nothing is kept for a picture that is not there"


def test_a_large_networks_workloads_unfold_at_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topology, "MOST_CARDS", 3)
    objects: dict[Any, list[Any]] = {
        resources.NADS: [nad("blue", "blue")],
        resources.PODS: [launcher(f"{each}db") for each in "abcdefgh"],
    }
    picture = str(topology.view(consoled.read(objects), consoled.asked(namespace="default")).svg)
    assert "and 5 more workloads" in picture
    link = '<a href="/topology?namespace=default&amp;network=blue#network-blue">'
    assert link in picture
    assert ' id="network-blue"' in picture
    asked = consoled.asked({"network": "blue"}, namespace="default")
    whole = str(topology.view(consoled.read(objects), asked).svg)
    assert "more workloads" not in whole
    assert "hdb" in whole
    assert ">hdb<" not in picture
