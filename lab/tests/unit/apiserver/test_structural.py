from __future__ import annotations

from typing import Any

import pytest

from weft.decode.budget import Exceeded
from weft_lab.apiserver import (
    cluster,
    structural,
)

SCHEMA = {
    "type": "object",
    "properties": {
        "size": {"type": "integer", "default": 3},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "tags": {"type": "object", "additionalProperties": {"type": "string"}},
        "maybe": {"type": "string", "nullable": True},
        "port": {"x-kubernetes-int-or-string": True},
        "items": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"on": {"type": "boolean", "default": True}},
            },
        },
    },
}


NODE = structural.Compiler(cluster.definition).compile(SCHEMA)


def pruned(value: Any) -> list[str]:
    return structural.prune(NODE, value)


def test_unknown_fields_go_and_are_reported() -> None:
    value = {"size": 1, "colour": "red", "items": [{"on": True, "off": 1}], "free": {"x": 1}}
    assert pruned(value) == ["items[0].off", "colour"]
    assert value == {"size": 1, "items": [{"on": True}], "free": {"x": 1}}


def test_nulls_go_unless_they_are_allowed() -> None:
    value = {"size": None, "maybe": None, "free": {"x": None}}
    assert pruned(value) == []
    assert value == {"maybe": None, "free": {"x": None}}


def test_defaults_fill_what_is_missing() -> None:
    value: dict[str, Any] = {"items": [{}, {"on": False}]}
    structural.apply_defaults(NODE, value)
    assert value == {"size": 3, "items": [{"on": True}, {"on": False}]}


def test_types_are_checked() -> None:
    assert "field .size of type integer" in structural.mistyped(NODE, {"size": "x"})
    assert "cannot unmarshal bool" in structural.mistyped(NODE, {"size": True})
    assert "field .tags.a" in structural.mistyped(NODE, {"tags": {"a": 1}})
    assert structural.mistyped(NODE, {"port": "http", "size": 1, "maybe": None}) == ""
    assert "field .port" in structural.mistyped(NODE, {"port": []})


def test_numbers_of_built_in_types_have_bounds() -> None:
    port = {"type": "integer", "format": "int32"}
    schema = {"type": "object", "properties": {"port": port}}
    node = structural.Compiler(cluster.definition).compile(schema)
    assert structural.mistyped(node, {"port": -(2**31)}) == ""
    assert "of type int32" in structural.mistyped(node, {"port": 2**31})
    assert "of type int32" in structural.mistyped(node, {"port": True})


def test_schemas_may_contain_themselves() -> None:
    tree = {"type": "object", "properties": {"child": {"$ref": "#/x/tree"}}}
    node = structural.Compiler(lambda _: tree).compile({"$ref": "#/x/tree"})
    assert structural.prune(node, {"child": {"child": {"leaf": 1}}}) == ["child.child.leaf"]


async def test_defaults_of_list_elements_do_not_multiply() -> None:
    items = {"type": "object", "properties": {"s": {"type": "string", "default": "x" * 100_000}}}
    node = structural.Compiler(cluster.definition).compile({"type": "array", "items": items})
    some: list[dict[str, str]] = [{}, {}]
    structural.apply_defaults(node, some)
    assert [len(one["s"]) for one in some] == [100_000, 100_000]
    with pytest.raises(Exceeded, match="bytes of defaults"):
        structural.apply_defaults(node, [{} for _ in range(10_000)])


@pytest.mark.parametrize(
    ("text", "place"),
    [("YQ==", None), ("YWI=\n", None), ("", None), ("?", 0), ("YQ", 0), ("YWJjYQ", 4), ("YW*j", 2)],
)
def test_bytes_are_base64(text: str, place: int | None) -> None:
    node = structural.Node(kind="string", encoded=True)
    message = "" if place is None else f"illegal base64 data at input byte {place}"
    assert structural.mistyped(node, text) == message


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [(True, {"list": [{}], "map": {"a": ""}}), (False, {"list": [None], "map": {}})],
)
def test_a_null_is_empty_in_a_built_in_type_alone(typed: bool, wanted: Any) -> None:
    node = structural.Node(
        kind="object",
        typed=typed,
        properties={
            "list": structural.Node(kind="array", items=structural.Node(kind="object")),
            "map": structural.Node(kind="object", extra=structural.Node(kind="string")),
        },
    )
    value: dict[str, Any] = {"list": [None], "map": {"a": None}}
    assert structural.prune(node, value) == []
    assert value == wanted


def test_an_empty_text_is_no_time() -> None:
    node = structural.Node(kind="string", timed=True)
    assert "is no time" in structural.mistyped(node, "", ".renewTime")
    assert structural.mistyped(node, "2026-01-01T00:00:00Z") == ""
