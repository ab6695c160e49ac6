from __future__ import annotations

from collections import Counter
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft_lab.apiserver import (
    cluster,
    structural,
)
from weft_lab.apiserver.patch import apply, fields, ownership
from weft_lab.apiserver.schemas import definitions

POD = structural.Compiler(cluster.definition).compile(
    definitions.reference(f"{definitions.CORE}.Pod")
)


LIVE: dict[str, Any] = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "uid": "u"}}


def run(live: Any, wanted: Any, name: str = "me", *, force: bool = False) -> apply.Result:
    manager = ownership.Manager(name, "Apply", "v1")
    applied = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, **wanted}
    return apply.apply(POD, live, applied, manager, force=force, now="now")


def labels(**found: str) -> dict[str, Any]:
    return {"metadata": {"name": "p", "labels": found}}


def containers(*found: Any) -> dict[str, Any]:
    return {"spec": {"containers": list(found)}}


def test_two_managers_share_an_object() -> None:
    first = run(LIVE, labels(a="1"), "one").obj
    second = run(first, labels(b="2"), "two").obj
    assert second["metadata"]["labels"] == {"a": "1", "b": "2"}
    assert [one["manager"] for one in second["metadata"]["managedFields"]] == ["one", "two"]


def test_a_field_that_is_no_longer_applied_goes() -> None:
    first = run(LIVE, labels(a="1", b="2")).obj
    second = run(first, labels(a="1")).obj
    assert second["metadata"]["labels"] == {"a": "1"}
    third = run(second, {}).obj
    assert "labels" not in third["metadata"]


def test_a_field_that_somebody_else_also_owns_stays() -> None:
    shared = run(run(LIVE, labels(a="1"), "one").obj, labels(a="1"), "two").obj
    left = run(shared, {}, "one").obj
    assert left["metadata"]["labels"] == {"a": "1"}


def test_another_value_is_a_conflict_unless_forced() -> None:
    first = run(LIVE, labels(a="1"), "one").obj
    result = run(first, labels(a="2"), "two")
    assert result.conflicts == (apply.Conflict('"one"', ".metadata.labels.a"),)
    forced = run(first, labels(a="2"), "two", force=True).obj
    assert forced["metadata"]["labels"] == {"a": "2"}
    assert [one["manager"] for one in forced["metadata"]["managedFields"]] == ["two"]


def test_what_was_there_before_the_first_apply_is_owned() -> None:
    live = {**LIVE, "metadata": {**LIVE["metadata"], "labels": {"a": "1"}}}
    result = run(live, labels(a="2"))
    assert [one.manager for one in result.conflicts] == ['"before-first-apply" using v1']


def test_kubectl_takes_over_what_it_applied_from_the_client_side() -> None:
    text = '{"metadata":{"labels":{"a":"1"}}}'
    meta = {**LIVE["metadata"], "labels": {"a": "1"}, "annotations": {apply.LAST_APPLIED: text}}
    assert run({**LIVE, "metadata": meta}, labels(a="2"), "kubectl").conflicts == ()


def test_list_elements_are_owned_one_by_one() -> None:
    first = run(LIVE, containers({"name": "a", "image": "1"}), "one").obj
    second = run(first, containers({"name": "b", "image": "2"}), "two").obj
    assert [one["name"] for one in second["spec"]["containers"]] == ["a", "b"]
    third = run(second, containers(), "two").obj
    assert [one["name"] for one in third["spec"]["containers"]] == ["a"]


def test_an_update_takes_fields_over() -> None:
    entries = run(LIVE, labels(a="1", b="1"), "one").obj["metadata"]["managedFields"]
    manager = ownership.Manager("editor", "Update", "v1")
    path = ("f:metadata", "f:labels", "f:a")
    found = ownership.after_update(entries, {path}, set(), manager, "later")
    owned = {entry["manager"]: ownership.paths(entry) for entry in found}
    assert path in owned["editor"]
    assert path not in owned["one"]


def test_ports_are_told_apart_by_the_default_protocol() -> None:
    live = run(LIVE, containers({"name": "a", "ports": [{"containerPort": 80}]})).obj
    live["spec"]["containers"][0]["ports"][0]["protocol"] = "TCP"
    again = run(live, containers({"name": "a", "ports": [{"containerPort": 80}]})).obj
    assert again["spec"]["containers"][0]["ports"] == [{"containerPort": 80, "protocol": "TCP"}]


maps = st.dictionaries(st.sampled_from("abcd"), st.sampled_from("12"), max_size=4)


@given(maps, maps)
def test_applying_twice_changes_nothing(first: dict[str, str], second: dict[str, str]) -> None:
    live = run(LIVE, labels(**first)).obj
    once = run(live, labels(**second)).obj
    twice = run(deepcopy(once), labels(**second)).obj
    assert once == twice
    assert once["metadata"].get("labels", {}) == second


@given(maps, maps, maps)
def test_managers_never_take_from_each_other_unforced(
    mine: dict[str, str], theirs: dict[str, str], later: dict[str, str]
) -> None:
    live = run(run(LIVE, labels(**theirs), "they").obj, labels(**mine), force=True).obj
    held = ownership.paths(
        next((e for e in live["metadata"]["managedFields"] if e["manager"] == "they"), {})
    )
    result = run(live, labels(**later))
    if not result.conflicts:
        for path in held - {("f:metadata", "f:labels")}:  # an empty map: what is in it is free
            after, before = (fields.Reader(POD, one).read(path) for one in (result.obj, live))
            assert after == before


paths = st.sets(
    st.lists(st.sampled_from(["f:a", "f:b", 'k:{"name":"x"}']), min_size=1, max_size=3).map(
        lambda steps: (*steps, ".") if steps[-1].startswith("k:") else tuple(steps)
    )
)


@given(paths)
def test_trees_hold_all_their_paths(found: set[fields.Path]) -> None:
    assert fields.from_tree(fields.to_tree(found)) == found


def test_an_update_owns_the_map_that_it_makes() -> None:
    old = run(LIVE, containers({"name": "a"})).obj
    new = {**old, "metadata": {**old["metadata"], "annotations": {"a": "1"}}}
    annotations = ("f:metadata", "f:annotations")
    assert fields.difference(POD, old, new) == {annotations, (*annotations, "f:a")}
    assert fields.removed(POD, new, old) == {annotations, (*annotations, "f:a")}
    assert fields.to_tree({annotations, (*annotations, "f:a")}) == {
        "f:metadata": {"f:annotations": {".": {}, "f:a": {}}}
    }


def test_a_manager_that_applies_nothing_is_forgotten() -> None:
    first = run(LIVE, labels(a="1"), "one").obj
    left = run(first, {}, "one").obj
    assert left["metadata"].get("managedFields") == []


def test_those_who_apply_stand_before_those_who_update() -> None:
    made = [
        {"operation": "Update", "time": "1", "manager": "a"},
        {"operation": "Apply", "time": "2", "manager": "b"},
        {"operation": "Apply", "time": "1", "manager": "c"},
    ]
    assert [one["manager"] for one in ownership.in_order(made)] == ["c", "b", "a"]


def test_a_list_that_is_whole_is_in_conflict_when_it_is_emptied() -> None:
    first = run(LIVE, {"spec": {"tolerations": [{"key": "a"}]}}, "one").obj
    assert run(first, {"spec": {"tolerations": []}}, "two").conflicts
    assert not run(first, {"spec": {"containers": []}}, "two").conflicts


def test_elements_with_one_key_are_refused() -> None:
    twice = containers({"name": "a"}, {"name": "a"})
    message = '.spec.containers: duplicate entries for key [name="a"]'
    assert fields.repeated(POD, twice) == message
    assert fields.repeated(POD, containers({"name": "a"}, {"name": "b"})) == ""


def pod_of(count: int, first: int = 0) -> dict[str, Any]:
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
    for wanted in (pod_of(count), pod_of(count), pod_of(1, first=count)):
        live = apply.apply(POD, live, wanted, manager, force=False, now="now").obj
    assert [one["name"] for one in live["spec"]["containers"]] == [f"c{count}"]
    monkeypatch.undo()
    return calls["steps"]


def test_applying_long_lists_takes_linear_work(monkeypatch: pytest.MonkeyPatch) -> None:
    assert steps_of_apply(monkeypatch, 400) <= 5 * steps_of_apply(monkeypatch, 100)
