"""Rules in CEL within schemas: what they see, when they hold, and what is said."""

from __future__ import annotations

from typing import Any

import pytest

from weft_lab.apiserver import crdexpressions, status
from weft_lab.apiserver.crdexpressions import SchemaRules


def rule(text: str, **more: str) -> dict[str, str]:
    return {"rule": text, "message": "wrong", **more}


def schema(*rules: dict[str, str], **properties: Any) -> dict[str, Any]:
    spec = {"type": "object", "properties": properties, crdexpressions.KEY: list(rules)}
    return {"type": "object", "properties": {"spec": spec}}


def causes(of: dict[str, Any], spec: object, old: object = None) -> list[tuple[str, str]]:
    before = {"spec": old} if old is not None else None
    found = SchemaRules(of).check({"spec": spec}, before, [])
    return [(each.field, each.message) for each in found]


def test_a_rule_is_about_the_value_that_it_stands_at() -> None:
    number = {"type": "integer", crdexpressions.KEY: [rule("self > 2")]}
    found = schema(rule("has(self.a) || has(self.b)"), a=number, b={"type": "string"})
    assert causes(found, {"a": 3}) == []
    assert causes(found, {"a": 1}) == [("spec.a", "Invalid value: 1: wrong")]
    assert causes(found, {}) == [("spec", "Invalid value: wrong")]


def test_lists_and_maps_have_rules_for_each_value() -> None:
    text = {"type": "string", crdexpressions.KEY: [rule("self != 'x'")]}
    found = schema(
        listed={"type": "array", "items": text},
        mapped={"type": "object", "additionalProperties": text},
    )
    assert [where for where, _ in causes(found, {"listed": ["a", "x"], "mapped": {"k": "x"}})] == [
        "spec.listed[1]",
        "spec.mapped.k",
    ]


def test_a_rule_about_a_change_holds_for_updates_alone() -> None:
    found = schema(a={"type": "string", crdexpressions.KEY: [rule("self == oldSelf")]})
    assert causes(found, {"a": "x"}) == []
    assert causes(found, {"a": "x"}, {}) == []
    assert causes(found, {"a": "x"}, {"a": "x"}) == []
    assert causes(found, {"a": "y"}, {"a": "x"})


def test_elements_are_known_again_by_their_keys() -> None:
    value = {"type": "string", crdexpressions.KEY: [rule("self == oldSelf")]}
    items = {"type": "object", "properties": {"name": {"type": "string"}, "value": value}}
    keyed = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
    before = {"listed": [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]}
    after = {"listed": [{"name": "b", "value": "3"}, {"name": "a", "value": "1"}]}
    found = schema(listed={"type": "array", "items": items, **keyed})
    assert [where for where, _ in causes(found, after, before)] == ["spec.listed[0].value"]
    assert causes(schema(listed={"type": "array", "items": items}), after, before) == []


def test_what_did_not_change_is_judged_no_more() -> None:
    found = schema(a={"type": "integer", crdexpressions.KEY: [rule("self > 2")]})
    assert causes(found, {"a": 1, "b": 1}, {"a": 1}) == []


def test_a_rule_without_a_value_is_broken() -> None:
    ((where, message),) = causes(schema(rule("self.absent.deeper")), {})
    assert where == "spec"
    assert "no such key: absent" in message


def test_a_message_may_be_an_expression() -> None:
    found = schema(rule("false", messageExpression="'found ' + self.a"), a={"type": "string"})
    assert causes(found, {"a": "x"}) == [("spec", "Invalid value: found x")]
    assert causes(found, {}) == [("spec", "Invalid value: wrong")]


def test_a_rule_may_name_the_field_and_the_reason() -> None:
    found = schema(rule("false", fieldPath=".a", reason="FieldValueForbidden"))
    assert causes(found, {}) == [("spec.a", "Forbidden: wrong")]


def test_of_an_object_without_its_shape_no_rule_is_judged() -> None:
    found = SchemaRules(schema(rule("false")))
    (only,) = found.check({"spec": {}}, None, [status.required("spec.a")])
    assert "some validation rules were not checked" in only.message
    (broken,) = found.check({"spec": {}}, None, [status.wrong("spec.a", 1, "is small")])
    assert broken.field == "spec"


@pytest.mark.parametrize("text", ["self +", "params.x", "1 + 1", ""])
def test_what_is_no_rule_is_refused_with_its_schema(text: str) -> None:
    found = list(crdexpressions.broken(schema(rule(text)), "s"))
    assert [each.field for each in found] == [f"s.properties[spec].{crdexpressions.KEY}[0].rule"]
