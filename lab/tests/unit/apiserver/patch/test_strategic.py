from __future__ import annotations

from collections import Counter
from typing import Any

import orjson
import pytest

from weft_lab.apiserver import (
    cluster,
    status,
    structural,
)
from weft_lab.apiserver.patch import strategic
from weft_lab.apiserver.schemas import definitions

POD = structural.Compiler(cluster.definition).compile(
    definitions.reference(f"{definitions.CORE}.Pod")
)


def containers(*found: Any) -> dict[str, Any]:
    return {"spec": {"containers": list(found)}}


def test_elements_are_merged_by_their_key() -> None:
    live = containers({"name": "a", "image": "1"}, {"name": "b", "image": "2"})
    patch = containers({"name": "b", "image": "3"}, {"name": "c", "image": "4"})
    assert strategic.merge(POD, live, patch) == containers(
        {"name": "a", "image": "1"}, {"name": "b", "image": "3"}, {"name": "c", "image": "4"}
    )


def test_an_element_can_be_deleted() -> None:
    live = containers({"name": "a"}, {"name": "b"})
    patch = containers({"name": "a", "$patch": "delete"})
    assert strategic.merge(POD, live, patch) == containers({"name": "b"})


def test_a_list_can_be_replaced() -> None:
    live = containers({"name": "a"}, {"name": "b"})
    patch = containers({"name": "c"}, {"$patch": "replace"})
    assert strategic.merge(POD, live, patch) == containers({"name": "c"})


def test_an_object_can_be_replaced() -> None:
    live = {"metadata": {"labels": {"a": "1", "b": "2"}}}
    patch = {"metadata": {"labels": {"$patch": "replace", "c": "3"}}}
    assert strategic.merge(POD, live, patch) == {"metadata": {"labels": {"c": "3"}}}


def test_order_is_set() -> None:
    live = containers({"name": "a"}, {"name": "b"}, {"name": "c"})
    patch = {"spec": {"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}]}}
    names = [one["name"] for one in strategic.merge(POD, live, patch)["spec"]["containers"]]
    assert names.index("c") < names.index("a")
    assert sorted(names) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("live", "patch", "wanted"),
    [
        (["a", "b", "c"], ["d", "b"], ["d", "a", "b", "c"]),
        (["a"], ["b"], ["b", "a"]),
        (["a", "b", "c"], ["c", "a"], ["b", "c", "a"]),
        ([], ["b", "a"], ["b", "a"]),
    ],
)
def test_elements_of_a_patch_keep_its_order(
    live: list[str], patch: list[str], wanted: list[str]
) -> None:
    before, change = ({"metadata": {"finalizers": each}} for each in (live, patch))
    assert strategic.merge(POD, before, change)["metadata"]["finalizers"] == wanted


def test_an_order_that_the_patch_itself_breaks_is_refused() -> None:
    order = {"$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "b"}]}
    with pytest.raises(status.ApiError, match="the order of containers"):
        strategic.merge(POD, containers({"name": "a"}), {"spec": order})


def test_retained_keys_clear_the_rest_of_a_union() -> None:
    live = {"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}
    change = {"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}}
    found = strategic.merge(POD, live, {"spec": {"volumes": [change]}})
    assert found["spec"]["volumes"] == [{"name": "v", "hostPath": {"path": "/x"}}]


def test_scalars_of_a_set_are_added_and_deleted() -> None:
    live = {"metadata": {"finalizers": ["a", "b"]}}
    patch = {"metadata": {"finalizers": ["c"], "$deleteFromPrimitiveList/finalizers": ["a"]}}
    assert strategic.merge(POD, live, patch) == {"metadata": {"finalizers": ["c", "b"]}}


def test_atomic_lists_are_replaced() -> None:
    live = {"spec": {"tolerations": [{"key": "a"}]}}
    found = strategic.merge(POD, live, {"spec": {"tolerations": [{"key": "b"}]}})
    assert found == {"spec": {"tolerations": [{"key": "b"}]}}


def test_nested_directives_do_not_survive_in_new_parts() -> None:
    patch = containers({"name": "a", "env": [{"name": "X", "value": "1"}], "image": None})
    assert strategic.merge(POD, {}, patch) == containers(
        {"name": "a", "env": [{"name": "X", "value": "1"}]}
    )


def test_an_element_without_its_key_is_refused() -> None:
    with pytest.raises(status.ApiError, match="merge key: name"):
        strategic.merge(POD, containers({"name": "a"}), containers({"image": "x"}))


def test_strategic_merges_of_long_lists_take_linear_work(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Counter[str] = Counter()

    class Counting:
        @staticmethod
        def dumps(value: Any) -> bytes:
            calls["dumps"] += 1
            return orjson.dumps(value)

    monkeypatch.setattr(strategic, "orjson", Counting)
    named = [{"name": f"c{n}", "image": "x"} for n in range(1000)]
    found = strategic.merge(POD, containers(*named[:500]), containers(*named))
    assert found == containers(*named)
    assert calls["dumps"] <= 4000
