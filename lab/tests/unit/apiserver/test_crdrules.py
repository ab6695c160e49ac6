from typing import Any

import pytest

from weft_lab.apiserver import crdrules, status

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


def causes(**spec: Any) -> list[tuple[str, str]]:
    return [(one.field, one.message) for one in CHECK({"spec": {**GOOD, **spec}})]


def test_what_keeps_the_rules_passes() -> None:
    assert causes(name="abc", port="http", note=None, one={"x": 1}, list=[{"k": 1}, {"k": 2}]) == []
    assert causes(port=80) == []


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
def test_every_rule_is_reported_with_its_field(spec: Any, field: str, message: str) -> None:
    found = causes(**spec)
    assert any(one[0] == field and message in one[1] for one in found), found


def test_a_moment_is_one_of_rfc_3339() -> None:
    check = crdrules.checker({"properties": {"at": {"type": "string", "format": "date-time"}}})
    assert check({"at": "2026-01-01T00:00:00Z"}) == []
    (cause,) = check({"at": "yesterday"})
    assert (cause.field, cause.reason) == ("at", "FieldValueTypeInvalid")
    assert 'in body must be of type date-time: "yesterday"' in cause.message


def test_missing_fields_are_reported_once_each() -> None:
    causes = CHECK({"spec": {}})
    assert sorted(one.field for one in causes) == ["spec.mode", "spec.size"]
    assert [one.field for one in CHECK({})] == ["spec"]


def test_a_pattern_costs_no_more_than_its_text() -> None:
    """Python's engine would try 2 to the power of 100,000 ways."""
    check = crdrules.checker(schema_of({"type": "string", "pattern": "^(a+)+$"}))
    assert check({"spec": "a" * 100_000}) == []
    (cause,) = check({"spec": "a" * 100_000 + "!"})
    assert "should match '^(a+)+$'" in cause.message
    assert len(cause.message) < 3000


def test_the_steps_of_an_object_end() -> None:
    alternatives = [{"enum": [f"{n}"]} for n in range(1000)]
    check = crdrules.checker(
        schema_of({"type": "array", "items": {"type": "string", "anyOf": alternatives}})
    )
    assert check({"spec": ["999"] * 10}) == []
    with pytest.raises(status.ApiError, match="300000 steps") as caught:
        check({"spec": ["999"] * 1000})
    assert caught.value.code == 413


def test_a_long_list_of_one_wrong_kind_is_reported_in_part() -> None:
    check = crdrules.checker(schema_of({"type": "array", "items": {"type": "string"}}))
    assert len(check({"spec": [1] * 40_000})) == crdrules.MOST


def test_a_long_list_that_is_a_set_is_compared_once() -> None:
    schema = {"type": "array", "items": {"type": "integer"}, "x-kubernetes-list-type": "set"}
    check = crdrules.checker(schema_of(schema))
    assert check({"spec": [*range(40_000)]}) == []
    (cause,) = check({"spec": [*range(40_000), 5]})
    assert cause.field == "spec[40000]"


def schema_of(spec: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"spec": spec}}
