from __future__ import annotations

from typing import Any

import orjson
import pytest

from weft_lab.apiserver import store, watch


def item(revision: int, namespace: str = "a", **labels: str) -> store.Item:
    body = b'{"metadata":{"resourceVersion":"%d"},"is":%d}' % (revision, revision)
    return store.Item((namespace, "x"), "u", revision, body, labels, labels, (), False, {})


def change(kind: str, found: store.Item, before: store.Item | None) -> store.Change:
    return store.Change(found.revision, kind, "things", found, before)


def events(watcher: watch.Watcher) -> list[tuple[str, Any]]:
    lines = [orjson.loads(line) for line in watcher.take().splitlines()]
    return [(line["type"], int(line["object"]["metadata"]["resourceVersion"])) for line in lines]


def chosen(namespace: str = "", **labels: str) -> watch.Watcher:
    def matches(found: Any) -> bool:
        return all(found.get(key) == value for key, value in labels.items())

    return watch.Watcher(namespace, matches if labels else None, None, lambda one: one.body)


async def test_objects_that_begin_or_cease_to_match_come_and_go() -> None:
    watcher = chosen(x="1")
    one, two, three, four = item(1), item(2, x="1"), item(3, x="1"), item(4)
    for found in (
        change("ADDED", one, None),
        change("MODIFIED", two, one),
        change("MODIFIED", three, two),
        change("MODIFIED", four, three),
        change("DELETED", item(5), four),
    ):
        watcher.offer(found)
    assert events(watcher) == [("ADDED", 2), ("MODIFIED", 3), ("DELETED", 4)]
    assert not watcher.wake.is_set()


async def test_what_ceases_to_match_is_reported_as_it_matched() -> None:
    watcher = chosen(x="1")
    watcher.offer(change("MODIFIED", item(4), item(3, x="1")))
    (line,) = (orjson.loads(line) for line in watcher.take().splitlines())
    assert line["type"] == "DELETED"
    assert line["object"] == {"metadata": {"resourceVersion": "4"}, "is": 3}


async def test_other_namespaces_are_not_reported() -> None:
    watcher = chosen("a")
    watcher.offer(change("ADDED", item(1, "b"), None))
    watcher.offer(change("ADDED", item(2, "a"), None))
    assert events(watcher) == [("ADDED", 2)]


async def test_nothing_is_reported_twice() -> None:
    watcher = chosen()
    watcher.revision = 3
    watcher.offer(change("ADDED", item(3), None))
    watcher.offer(change("MODIFIED", item(4), item(3)))
    assert events(watcher) == [("MODIFIED", 4)]


async def test_a_watcher_that_does_not_keep_up_is_ended() -> None:
    watcher = chosen()
    for revision in range(1, watch.LIMIT + 1):
        watcher.offer(change("ADDED", item(revision), None))
    assert not watcher.ended
    for revision in range(watch.LIMIT + 1, watch.LIMIT + 9):
        watcher.offer(change("ADDED", item(revision), None))
    assert watcher.ended
    assert watcher.take() == b""  # its client lists again


async def test_an_object_that_cannot_be_shown_ends_the_watches_that_would_show_it() -> None:
    def refuse(one: store.Item) -> bytes:
        raise KeyError("conditionType")

    hub = watch.Hub()
    shown, other = watch.Watcher("", None, None, refuse), chosen()
    for watcher in (shown, other):
        hub.add("things", watcher)
    hub.publish(change("ADDED", item(1), None))
    assert shown.ended
    assert not other.ended
    assert events(other) == [("ADDED", 1)]


async def test_an_event_is_encoded_once_for_all() -> None:
    calls = []

    def encode(one: store.Item) -> bytes:
        calls.append(one.revision)
        return one.body

    hub = watch.Hub()
    watchers = [watch.Watcher("", None, None, encode, "v1") for _ in range(5)]
    for watcher in watchers:
        hub.add("things", watcher)
    hub.publish(change("ADDED", item(1), None))
    assert calls == [1]
    assert [events(watcher) for watcher in watchers] == [[("ADDED", 1)]] * 5
    hub.end_all()
    assert all(watcher.ended for watcher in watchers)


def item_of(revision: int, size: int) -> store.Item:
    return store.Item(("a", "x"), "u", revision, b"x" * size, {}, {}, (), False, {})


async def test_a_watch_that_nobody_reads_is_bounded_in_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "SIZE_LIMIT", 1000)
    watcher = watch.Watcher("", None, None, lambda one: one.body)
    watcher.offer(store.Change(2, "ADDED", "things", item_of(2, 600), None))
    assert not watcher.ended
    watcher.offer(store.Change(3, "MODIFIED", "things", item_of(3, 600), item_of(2, 600)))
    assert watcher.ended
    assert watcher.take() == b""
