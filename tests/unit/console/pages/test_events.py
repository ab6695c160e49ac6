"""Which Events a filter chooses."""

from __future__ import annotations

from typing import Any

from tests.support import consoled
from tests.support import objects as made
from weft.console import paging
from weft.console.pages import events
from weft.kube import resources


def listed(**query: str) -> events.Events:
    def one(name: str, kind: str, type_: str) -> dict[str, Any]:
        about = {"kind": kind, "namespace": "shop", "name": name}
        return {**made.named(resources.EVENTS, name), "involvedObject": about, "type": type_}

    every = [
        one("web1", "Pod", "Normal"),
        one("web2", "Pod", "Warning"),
        one("n", "Node", "Normal"),
    ]
    return events.view(consoled.read({resources.EVENTS: every}), consoled.asked(query))


def names(found: events.Events) -> list[str]:
    return sorted(one.name for one in found.part.rows)


def test_a_filter_by_object_kind_and_type() -> None:
    assert names(listed()) == ["n", "web1", "web2"]
    assert names(listed(about="SHOP/WEB")) == ["web1", "web2"]
    assert names(listed(kind="Node")) == ["n"]
    assert names(listed(type="Warning", about="web")) == ["web2"]
    assert listed(kind="Gone").kinds == ("Gone", "Node", "Pod")


def test_a_page_has_a_bounded_number() -> None:
    about = {"kind": "Pod", "name": "a"}
    many = [
        {**made.named(resources.EVENTS, str(number)), "involvedObject": about}
        for number in range(paging.SIZE + 7)
    ]
    found = events.view(consoled.read({resources.EVENTS: many}), consoled.asked())
    assert (len(found.part.rows), found.part.total) == (paging.SIZE, paging.SIZE + 7)
