"""Makes objects and patches from a schema: mostly what it allows, now and then what not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

Schema = Mapping[str, Any]
_WORDS = ("", "a", "web", "TCP", "In", "10.0.0.0/24", "A_b", "x" * 64, "a/b", "1")
_ODD: SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 70000),
    st.sampled_from(_WORDS),
    st.just([]),
    st.just({}),
)
_DEEPEST = 5


def objects(schema: Schema) -> SearchStrategy[dict[str, Any]]:
    """Of a schema of an object: never another type as a whole."""
    return _objects(schema, 0)


def operations(schema: Schema) -> SearchStrategy[list[dict[str, Any]]]:
    """A JSON patch of one or two operations on what the schema has."""
    places = list(_places(schema, "", 0))

    def one(place: tuple[str, Schema]) -> SearchStrategy[dict[str, Any]]:
        path, below = place
        return st.one_of(
            st.fixed_dictionaries(
                {"op": st.sampled_from(("add", "replace", "test")), "path": st.just(path)}
                | {"value": values(below, 1)}
            ),
            st.just({"op": "remove", "path": path}),
        )

    return st.lists(st.sampled_from(places).flatmap(one), min_size=1, max_size=2)


def _places(schema: Schema, path: str, deep: int) -> Iterator[tuple[str, Schema]]:
    """The fields of a schema, with the first element of its lists, as JSON pointers."""
    if deep >= _DEEPEST:
        return
    for name, below in (schema.get("properties") or {}).items():
        here = f"{path}/{name}"
        yield here, below
        if below.get("type") == "array":
            items = below.get("items") or {}
            yield f"{here}/0", items
            yield f"{here}/-", items
            yield from _places(items, f"{here}/0", deep + 2)
        yield from _places(below, here, deep + 1)


def values(schema: Schema, deep: int = 0) -> SearchStrategy[Any]:
    """One value in eight is of any type."""
    fitting = _fitting(schema, deep)
    return st.integers(0, 7).flatmap(lambda chance: _ODD if chance == 7 else fitting)


def _fitting(schema: Schema, deep: int) -> SearchStrategy[Any]:
    if "enum" in schema:
        return st.sampled_from([*schema["enum"], "Odd"])
    if schema.get("x-kubernetes-int-or-string"):
        return st.one_of(st.integers(-1, 70000), st.sampled_from(_WORDS))
    match schema.get("type"):
        case "object":
            return _objects(schema, deep)
        case "array":
            if deep >= _DEEPEST:
                return st.just([])
            return st.lists(values(schema.get("items") or {}, deep + 1), max_size=2)
        case "string":
            return st.sampled_from(_WORDS)
        case "boolean":
            return st.booleans()
        case "integer" | "number":
            return st.integers(-1, 70000)
    return _ODD


def _objects(schema: Schema, deep: int) -> SearchStrategy[Any]:
    properties = schema.get("properties")
    if deep >= _DEEPEST:
        return st.just({})
    if not properties:
        below = schema.get("additionalProperties")
        each = values(below, deep + 1) if isinstance(below, Mapping) else _ODD
        return st.dictionaries(st.sampled_from(("a", "b/c", "D e")), each, max_size=2)
    fields = {name: values(below, deep + 1) for name, below in properties.items()}
    required = {name: fields.pop(name) for name in schema.get("required") or () if name in fields}
    known = st.fixed_dictionaries(required, optional=fields)
    return st.integers(0, 15).flatmap(
        lambda chance: known.map(lambda made: {**made, "own": 1}) if chance == 15 else known
    )
