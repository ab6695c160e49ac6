from typing import Any

import pytest

from weft.lab.apiserver import crdrules

SCHEMA = {
    "type": "object",
    "required": ["spec"],
    "properties": {
        "spec": {
            "type": "object",
            "required": ["size", "mode"],
            "properties": {
                "size": {"type": "integer", "minimum": 1, "maximum": 9},
                "mode": {"type": "string", "enum": ["a", "b"]},
                "name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5},
                "port": {"x-kubernetes-int-or-string": True},
                "note": {"type": "string", "nullable": True},
                "list": {
                    "type": "array",
                    "maxItems": 2,
                    "items": {"type": "object"},
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["k"],
                },
                "one": {"oneOf": [{"required": ["x"]}, {"required": ["y"]}], "type": "object"},
            },
        }
    },
}
CHECK = crdrules.checker(SCHEMA)
GOOD = {"size": 1, "mode": "a"}


def told(**spec: Any) -> list[tuple[str, str]]:
    return [(one.field, one.message) for one in CHECK({"spec": {**GOOD, **spec}})]


def test_what_keeps_the_rules_passes() -> None:
    assert told(name="abc", port="http", note=None, one={"x": 1}, list=[{"k": 1}, {"k": 2}]) == []
    assert told(port=80) == []


@pytest.mark.parametrize(
    ("spec", "field", "message"),
    [
        ({"size": "x"}, "spec.size", 'spec.size in body must be of type integer: "string"'),
        ({"size": 0}, "spec.size", "should be greater than or equal to 1"),
        ({"mode": "c"}, "spec.mode", 'Unsupported value: "c": supported values: "a", "b"'),
        ({"name": "A"}, "spec.name", "should match '^[a-z]+$'"),
        ({"name": "abcdef"}, "spec.name", "Too long: may not be more than 5 bytes"),
        ({"list": [{}, {}, {}]}, "spec.list", "Too many: 3: must have at most 2 items"),
        ({"list": [{"k": 1}, {"k": 1}]}, "spec.list[1]", "Duplicate value"),
        ({"one": {"x": 1, "y": 2}}, "spec.one", "one and only one schema (oneOf)"),
        ({"note": 5}, "spec.note", "must be of type string"),
    ],
)
def test_every_rule_is_told_with_its_field(spec: Any, field: str, message: str) -> None:
    found = told(**spec)
    assert any(one[0] == field and message in one[1] for one in found), found


def test_missing_fields_are_told_once_each() -> None:
    causes = CHECK({"spec": {}})
    assert sorted(one.field for one in causes) == ["spec.mode", "spec.size"]
    assert [one.field for one in CHECK({})] == ["spec"]
