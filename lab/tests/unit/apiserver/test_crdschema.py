"""Schemas of CustomResourceDefinitions: structural, or refused with the place and the rule."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.support.apiserver import CRDS
from weft_lab.apiserver import crdschema

TEXT = {"type": "string"}


def causes(spec: Any) -> list[tuple[str, str]]:
    schema = {"type": "object", "properties": {"spec": spec}}
    return [(one.field, one.message) for one in crdschema.broken(schema, "s")]


@pytest.mark.parametrize("path", sorted(CRDS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_labs_own_crds_are_structural(path: Any) -> None:
    for found in yaml.safe_load_all(path.read_text()):
        for version in found["spec"]["versions"]:
            assert crdschema.broken(version["schema"]["openAPIV3Schema"], "s") == []


@pytest.mark.parametrize(
    "spec",
    [
        {"x-kubernetes-int-or-string": True},
        {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
        {"x-kubernetes-preserve-unknown-fields": True},
        {"type": "object", "additionalProperties": TEXT},
        {"type": "object", "properties": {"a": TEXT}, "oneOf": [{"required": ["a"]}]},
        {
            "type": "object",
            "properties": {"a": TEXT},
            "not": {"properties": {"a": {"enum": ["b"]}}},
        },
        {"type": "string", "pattern": "^(a|b)+$", "maxLength": 3},
    ],
)
def test_structural_schemas(spec: dict[str, Any]) -> None:
    assert causes(spec) == []


@pytest.mark.parametrize(
    ("spec", "field", "message"),
    [
        ({}, "type", "Required value: must not be empty for specified object fields"),
        ({"type": "array"}, "items", "Required value: must be specified"),
        ({"type": "array", "items": {}}, "items.type", "specified array items"),
        ({"type": "array", "items": [TEXT]}, "items", "must be a schema object"),
        ({"type": "text"}, "type", 'Unsupported value: "text"'),
        ({"type": "string", "pattern": "(?=a)"}, "pattern", "must be a valid regular expression"),
        ({"type": "string", "pattern": "((a{1000}){1000}){1000}"}, "pattern", "valid regular"),
        ({"type": "string", "pattern": "a\\"}, "pattern", "must be a valid regular expression"),
        ({"type": "array", "items": TEXT, "uniqueItems": True}, "uniqueItems", "quadratic"),
        ({"type": "object", "$ref": "#/a"}, "$ref", "is not supported"),
        (
            {"type": "object", "properties": {"a": TEXT}, "additionalProperties": TEXT},
            "additionalProperties",
            "mutual exclusive",
        ),
        ({"type": "object", "additionalProperties": False}, "additionalProperties", "to false"),
        ({"type": "string", "anyOf": [{"type": "string"}]}, "anyOf[0].type", "to be structural"),
        (
            {"type": "object", "oneOf": [{"properties": {"a": {}}}]},
            "properties[a]",
            "because it is defined in s.properties[spec].oneOf[0].properties[a]",
        ),
        (
            {"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "map"},
            "x-kubernetes-list-map-keys",
            "must not be empty",
        ),
        ({"type": "string", "x-kubernetes-int-or-string": True}, "type", "must be empty if"),
        ({"type": "string", "maxLength": "3"}, "maxLength", "must be a number"),
        ({"type": "object", "required": [1]}, "required", "a list of strings"),
        ("text", "", "must be an object"),
    ],
)
def test_what_is_not_structural(spec: Any, field: str, message: str) -> None:
    where = f"s.properties[spec].{field}" if field else "s.properties[spec]"
    assert [one[0] for one in causes(spec)] == [where]
    assert message in causes(spec)[0][1]


def test_rules_of_the_root() -> None:
    found = {
        "nullable": True,
        "type": "array",
        "items": TEXT,
        "properties": {
            "metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}
        },
    }
    assert [one.field for one in crdschema.broken(found, "s")] == [
        "s.type",
        "s.nullable",
        "s.properties[metadata]",
    ]
    assert [one.field for one in crdschema.broken({"properties": {}}, "s")] == ["s.type"]


KEYS = st.sampled_from(
    ["type", "items", "properties", "anyOf", "not", "pattern", "required", "additionalProperties"]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.sampled_from(["object", "array", "string", "("]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=15,
)


@given(ANYTHING)
def test_whatever_it_holds_a_schema_is_judged(schema: Any) -> None:
    assert len(crdschema.broken(schema, "s")) <= crdschema.MOST
