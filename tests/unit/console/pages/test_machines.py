"""The page of all virtual machines: who is listed, and the filters."""

from __future__ import annotations

import pytest

from tests.support import consoled
from tests.unit.observe.test_machines import instance, launcher, report, vm
from weft.console import paging
from weft.console.page import Object
from weft.console.pages import machines
from weft.kube import resources
from weft.kube.resources import Resource

RUNNING = vm()
OBJECTS: dict[Resource, list[Object]] = {
    resources.VMS: [RUNNING, vm("web", status="Stopped")],
    resources.VMIS: [instance(RUNNING, report("10.9.0.2"))],
    resources.PODS: [launcher("db")],
}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({}, ["db", "web"]),
        ({"about": "DB"}, ["db"]),
        ({"about": "default/w"}, ["web"]),
        ({"state": "Stopped"}, ["web"]),
        ({"state": "Paused"}, []),
    ],
)
def test_the_query_chooses(query: dict[str, str], names: list[str]) -> None:
    found = machines.view(consoled.read(OBJECTS), consoled.asked(query))
    assert [each.key.name for each in found.part.rows] == names
    assert found.states == (("Running", 1), ("Stopped", 1))


def test_many_machines_are_shown_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "SIZE", 1)
    parts = [machines.view(consoled.read(OBJECTS), consoled.asked({"part": n})).part for n in "12"]
    assert [(len(each.rows), each.total) for each in parts] == [(1, 2), (1, 2)]
    assert parts[0].rows != parts[1].rows
