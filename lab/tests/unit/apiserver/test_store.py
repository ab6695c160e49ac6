from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft_lab.apiserver import (
    store,
)


def item(name: str, revision: int, namespace: str = "a", owner: str = "") -> store.Item:
    owners = (owner,) if owner else ()
    return store.Item((namespace, name), f"uid-{name}", revision, b"{}", {}, {}, owners, False, {})


def change(kind: str, found: store.Item, before: store.Item | None = None) -> store.Change:
    return store.Change(found.revision, kind, "things", found, before)


def test_lists_are_in_order_and_by_namespace() -> None:
    world = store.Store()
    for place, (namespace, name) in enumerate([("b", "x"), ("a", "z"), ("a", "y"), ("aa", "w")]):
        world.record(change("ADDED", item(name, place + 2, namespace=namespace)))
    things = world.collection("things")
    assert ["/".join(one.key) for one in things.select("")] == ["a/y", "a/z", "aa/w", "b/x"]
    assert [one.key[1] for one in things.select("a")] == ["y", "z"]
    assert things.select("c") == []


def test_history_is_reported_from_any_point_that_is_kept() -> None:
    world = store.Store(revision=5)
    first, second = item("x", 6), item("x", 7)
    world.record(change("ADDED", first))
    world.record(change("MODIFIED", second, first))
    things = world.collection("things")
    assert [one.revision for one in things.since(5) or []] == [6, 7]
    assert [one.revision for one in things.since(6) or []] == [7]
    assert things.since(7) == []
    assert things.since(4) is None


def test_old_history_is_forgotten() -> None:
    world = store.Store()
    before = None
    for revision in range(2, store.HISTORY + 12):
        found = item("x", revision)
        world.record(change("MODIFIED" if before else "ADDED", found, before))
        before = found
    things = world.collection("things")
    assert len(things.history) == store.HISTORY
    assert things.since(5) is None
    kept = things.since(things.oldest)
    assert kept is not None
    assert len(kept) == store.HISTORY


def test_owners_are_indexed_and_forgotten() -> None:
    world = store.Store()
    owned = item("child", 2, owner="uid-owner")
    world.record(change("ADDED", owned))
    assert world.dependents["uid-owner"] == {("things", ("a", "child"))}
    free = item("child", 3)
    world.record(change("MODIFIED", free, owned))
    assert not world.dependents["uid-owner"]
    world.record(change("DELETED", item("child", 4), free))
    assert world.by_uid == {}


names = st.sampled_from("abcd")


@given(st.lists(st.tuples(names, st.booleans())))
def test_the_store_holds_what_a_dict_would(steps: list[tuple[str, bool]]) -> None:
    world = store.Store()
    world.collection("things")
    model: dict[str, store.Item] = {}
    for name, keep in steps:
        before = model.get(name)
        found = item(name, world.next_revision())
        if keep:
            world.record(change("MODIFIED" if before else "ADDED", found, before))
            model[name] = found
        elif before:
            world.record(change("DELETED", found, before))
            del model[name]
    things = world.collection("things")
    assert {one.key[1]: one for one in things.select("")} == model
    assert set(world.by_uid) == {one.uid for one in model.values()}
    seen: dict[str, store.Item] = {}
    for one in things.since(things.oldest) or []:
        if one.kind == "DELETED":
            del seen[one.item.key[1]]
        else:
            seen[one.item.key[1]] = one.item
    assert seen == model


def item_of(revision: int, size: int) -> store.Item:
    return store.Item(("a", "x"), "u", revision, b"x" * size, {}, {}, (), False, {})


def test_history_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "HISTORY_SIZE", 1000)
    world, before = store.Store(), None
    for revision in range(2, 40):
        found = item_of(revision, 300)
        kind = "MODIFIED" if before else "ADDED"
        world.record(store.Change(revision, kind, "things", found, before))
        before = found
    things = world.collection("things")
    assert [change.revision for change in things.history] == [37, 38, 39]
    assert things.since(35) is None
