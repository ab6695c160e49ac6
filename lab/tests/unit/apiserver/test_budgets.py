"""What a small request may cost the server: refused at a bound, and nothing is changed by it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import orjson
import pytest

from lab.tests.support.memory_cluster import World, config, crd, pod
from weft.decode.budget import Exceeded
from weft_lab.apiserver import (
    cluster,
    patches,
    status,
    store,
    strategies,
    structural,
    watch,
    writes,
)
from weft_lab.apiserver.patch import apply, fields, operations, ownership, strategic
from weft_lab.apiserver.schemas import definitions

POD = structural.Compiler(cluster.definition).compile(
    definitions.reference(f"{definitions.CORE}.Pod")
)
OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


@pytest.fixture
async def world() -> World:
    found = await World.begin()
    found.create("customresourcedefinitions", crd(OPEN))
    await found.settle()
    found.create("widgets", {"metadata": {"name": "w"}, "spec": {"o": {"a": "x"}}})
    return found


def refused(world: World, media: str, body: Any, code: int, said: str) -> None:
    before = world.get("widgets", "w")
    with pytest.raises(status.ApiError, match=said) as caught:
        world.patch("widgets", "w", media, body)
    assert caught.value.code == code
    assert world.get("widgets", "w") == before


async def test_copies_that_double_are_counted_before_they_are_made(world: World) -> None:
    double = [{"op": "copy", "from": "/spec/o", "path": f"/spec/o/c{n}"} for n in range(30)]
    refused(world, patches.JSON, double, 413, "the copy operations of the patch")
    assert world.patch("widgets", "w", patches.JSON, double[:3])["spec"]["o"]["c2"]["c1"]["c0"]


async def test_a_patch_has_so_many_operations(world: World) -> None:
    test = {"op": "test", "path": "/spec/o/a", "value": "x"}
    refused(world, patches.JSON, [test] * (operations.MOST + 1), 413, "allowed maximum operations")


async def test_copies_that_nest_are_refused_at_a_depth(world: World) -> None:
    deep: list[Any] = [{"op": "add", "path": "/spec/o", "value": {}}]
    path = "/spec/o"
    for _ in range(9):
        deep.append({"op": "copy", "from": "/spec/o", "path": path + "/c"})
        path = path + path.removeprefix("/spec/o") + "/c"
    with pytest.raises(Exceeded, match="deep"):
        world.patch("widgets", "w", patches.JSON, deep)


async def test_defaults_of_list_elements_do_not_multiply() -> None:
    items = {"type": "object", "properties": {"s": {"type": "string", "default": "x" * 100_000}}}
    node = structural.Compiler(cluster.definition).compile({"type": "array", "items": items})
    some: list[dict[str, str]] = [{}, {}]
    structural.apply_defaults(node, some)
    assert [len(one["s"]) for one in some] == [100_000, 100_000]
    with pytest.raises(Exceeded, match="bytes of defaults"):
        structural.apply_defaults(node, [{} for _ in range(10_000)])


async def test_an_object_is_no_larger_than_etcd_keeps_it(world: World) -> None:
    revision = world.cluster.store.revision
    large = {"metadata": {"name": "large"}, "spec": {"o": "x" * writes.OBJECT_LIMIT}}
    with pytest.raises(status.ApiError, match="at most 1572864 are kept") as caught:
        world.create("widgets", large)
    assert caught.value.code == 413
    assert world.cluster.store.revision == revision
    refused(world, patches.MERGE, {"spec": large["spec"]}, 413, "at most 1572864 are kept")


async def test_configuration_holds_a_mebibyte(world: World) -> None:
    large = {**config("large"), "data": {"a": "x" * (strategies.DATA_LIMIT + 1)}}
    with pytest.raises(status.ApiError, match="Too long: may not be more than 1048576 bytes"):
        world.create("configmaps", large)
    with pytest.raises(status.ApiError, match="Too long: may not be more than 1048576 bytes"):
        world.create("secrets", {"metadata": {"name": "large"}, "stringData": large["data"]})


def item(revision: int, size: int) -> store.Item:
    return store.Item(("a", "x"), "u", revision, b"x" * size, {}, {}, (), False, {})


def test_history_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "HISTORY_SIZE", 1000)
    world, before = store.Store(), None
    for revision in range(2, 40):
        found = item(revision, 300)
        kind = "MODIFIED" if before else "ADDED"
        world.record(store.Change(revision, kind, "things", found, before))
        before = found
    things = world.collection("things")
    assert [change.revision for change in things.history] == [37, 38, 39]
    assert things.since(35) is None


async def test_a_watch_that_nobody_reads_is_bounded_in_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "SIZE_LIMIT", 1000)
    watcher = watch.Watcher("", None, None, lambda one: one.body)
    watcher.offer(store.Change(2, "ADDED", "things", item(2, 600), None))
    assert not watcher.ended
    watcher.offer(store.Change(3, "MODIFIED", "things", item(3, 600), item(2, 600)))
    assert watcher.ended
    assert watcher.take() == b""


def test_managers_that_only_update_are_at_most_ten() -> None:
    entries: list[ownership.Entry] = []
    for number in range(40):
        manager = ownership.Manager(f"m{number}", "Update", "v1")
        path = ("f:data", f"f:k{number}")
        entries = ownership.after_update(
            entries, {path}, set(), manager, f"2026-01-01T00:00:{number}Z"
        )
    assert len(entries) <= ownership.MOST
    assert entries[0]["manager"] == ownership.ANCIENT
    held = set().union(*(ownership.paths(entry) for entry in entries))
    assert held == {("f:data", f"f:k{number}") for number in range(40)}


def test_deep_and_wide_objects_have_no_end_of_field_names() -> None:
    wide: Any = {f"k{n}": 1 for n in range(3000)}
    for _ in range(180):
        wide = {"a": wide}
    with pytest.raises(Exceeded, match="400000 steps"):
        fields.owned(structural.ANYTHING, wide)


def containers(count: int, first: int = 0) -> dict[str, Any]:
    named = [{"name": f"c{n}", "image": "x"} for n in range(first, first + count)]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": named},
    }


def steps_of_apply(monkeypatch: pytest.MonkeyPatch, count: int) -> int:
    """How many list elements are named when all of them are applied, changed and let go."""
    calls: Counter[str] = Counter()
    step = fields.key_step

    def counting(node: structural.Node, element: Any) -> str:
        calls["steps"] += 1
        return step(node, element)

    monkeypatch.setattr(fields, "key_step", counting)
    manager = ownership.Manager("me", "Apply", "v1")
    live: Any = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "uid": "u"}}
    for wanted in (containers(count), containers(count), containers(1, first=count)):
        live = apply.apply(POD, live, wanted, manager, force=False, now="now").obj
    assert [one["name"] for one in live["spec"]["containers"]] == [f"c{count}"]
    monkeypatch.undo()
    return calls["steps"]


def test_applying_long_lists_takes_linear_work(monkeypatch: pytest.MonkeyPatch) -> None:
    assert steps_of_apply(monkeypatch, 400) <= 5 * steps_of_apply(monkeypatch, 100)


def test_strategic_merges_of_long_lists_take_linear_work(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Counter[str] = Counter()

    class Counting:
        @staticmethod
        def dumps(value: Any) -> bytes:
            calls["dumps"] += 1
            return orjson.dumps(value)

    monkeypatch.setattr(strategic, "orjson", Counting)
    found = strategic.merge(POD, containers(500), containers(1000))
    assert [one["name"] for one in found["spec"]["containers"]] == [f"c{n}" for n in range(1000)]
    assert calls["dumps"] <= 2000


async def test_strict_validation_knows_what_stands_twice(world: World) -> None:
    twice = {"duplicates": ('duplicate field "data.a"',)}
    with pytest.raises(status.ApiError) as caught:
        world.create("configmaps", config("c"), validation="Strict", **twice)
    assert caught.value.code == 400
    assert str(caught.value) == (
        'ConfigMap in version "v1" cannot be handled as a ConfigMap:'
        ' strict decoding error: duplicate field "data.a"'
    )
    target = world.target("configmaps")
    writes.create(world.cluster, target, config("c"), writes.Options(**twice))
    assert target.warnings == ['duplicate field "data.a"']
    target = world.target("configmaps")
    ignored = writes.Options(validation="Ignore", **twice)
    writes.create(world.cluster, target, config("d"), ignored)
    assert target.warnings == []


@pytest.mark.parametrize("media", [patches.MERGE, patches.STRATEGIC, patches.JSON])
async def test_a_strict_patch_is_refused_as_a_whole(world: World, media: str) -> None:
    world.create("pods", pod("web"))
    spec = {"restartPolcy": "Never"}
    body: Any = {"spec": spec}
    if media == patches.JSON:
        body = [{"op": "add", "path": "/spec/restartPolcy", "value": "Never"}]
    with pytest.raises(status.ApiError) as caught:
        world.patch("pods", "web", media, body, validation="Strict")
    assert caught.value.code == 422
    assert "is invalid: patch: Invalid value: " in str(caught.value)
    assert 'strict decoding error: unknown field "spec.restartPolcy"' in str(caught.value)
    assert "restartPolcy" not in world.patch("pods", "web", media, body)["spec"]


@pytest.mark.parametrize(
    "patch",
    [
        {"$retainKeys": 5},
        {"$setElementOrder/finalizers": "x"},
        {"$deleteFromPrimitiveList/finalizers": {}},
        {"finalizers": ["a"], "$setElementOrder/finalizers": [{"a": []}]},
    ],
)
async def test_directives_of_another_type_are_no_errors_of_the_server(
    world: World, patch: dict[str, Any]
) -> None:
    world.create("pods", pod("web"))
    refusals = []
    try:
        world.patch("pods", "web", patches.STRATEGIC, {"metadata": patch})
    except status.ApiError as error:
        refusals.append(error.code)
    assert refusals in ([], [400], [422])
