from copy import deepcopy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from weft_lab.apiserver.patch import merge

values = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from("abc"), values)


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    return value


def difference(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    patch: dict[str, Any] = {name: None for name in old if name not in new}
    for name, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(name), dict):
            patch[name] = difference(old[name], value)
        else:
            patch[name] = value
    return patch


@given(objects, objects)
def test_a_computed_patch_leads_to_the_wanted_object(old: Any, new: Any) -> None:
    old, new = without_nulls(old), without_nulls(new)
    assert merge.merge(deepcopy(old), difference(old, new)) == new


@given(objects, objects)
def test_merging_twice_changes_nothing_more(old: Any, patch: Any) -> None:
    once = merge.merge(deepcopy(old), deepcopy(patch))
    assert merge.merge(deepcopy(once), deepcopy(patch)) == once


def test_null_removes_and_lists_are_replaced() -> None:
    found = merge.merge(
        {"a": 1, "b": {"c": 2, "d": 3}, "l": [1]}, {"a": None, "b": {"c": None}, "l": []}
    )
    assert found == {"b": {"d": 3}, "l": []}
