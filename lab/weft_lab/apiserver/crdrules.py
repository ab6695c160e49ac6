"""Validates a custom resource against its schema; errors are worded as Kubernetes words them.

The checking is JSON Schema's; this file turns OpenAPI v3 into it, and its findings into causes.
The library is loaded with the first custom resource that is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any

import orjson

from weft_lab.apiserver import patterns, status, structural
from weft_lab.apiserver.resources import Object

_BOUNDS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
_SIZES = {"minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"}
_SHAPE = {"type", "properties", "additionalProperties", "items", "required"}
_LOGIC = {"oneOf", "anyOf", "allOf", "not"}
_KEYWORDS = _BOUNDS | _SIZES | _SHAPE | _LOGIC | {"enum", "format", "pattern"}
_ALL_OF_THEM = ("oneOf", "anyOf", "allOf")
STEPS = 300_000  # of validating one object: a thousand times what a usual one takes
MOST = 50  # broken rules in the answer about one object
Rule = Callable[[Any, Any, Any, Any], Any]


def checker(schema: Mapping[str, Any]) -> Callable[[Object], list[status.Cause]]:
    """A function that gives every broken rule of an object."""
    root = dict(schema)
    known = dict(root.get("properties") or {})
    for name in ("metadata", "apiVersion", "kind"):
        known.pop(name, None)
    root["properties"] = known

    @cache
    def validator() -> tuple[Any, _Steps]:
        steps = _Steps()
        return _validator(to_json_schema(root), steps), steps

    def check(obj: Object) -> list[status.Cause]:
        rules, steps = validator()
        steps.left = STEPS
        found = (cause for error in rules.iter_errors(obj) for cause in _causes(error))
        return [*dict.fromkeys(islice(found, MOST)), *islice(_duplicates(root, obj, ""), MOST)]

    return check


@dataclass(slots=True)
class _Steps:
    """How many steps may still be spent on an object.

    Alternatives and enumerations multiply the work for each value, so this counts steps and not
    the fields of the object.
    """

    left: int = 0

    def spend(self, parameter: Any, value: Any) -> None:
        self.left -= 1 + (len(parameter) if isinstance(parameter, dict | list) else 0)
        if isinstance(value, str):
            self.left -= len(value) // 64
        if self.left < 0:
            raise status.too_large(f"the object takes more than {STEPS} steps to validate")


def _validator(schema: Mapping[str, Any], steps: _Steps) -> Any:
    """The library's, with patterns by RE2 and an end to its steps."""
    import jsonschema

    def counted(rule: Rule) -> Rule:
        def check(validator: Any, parameter: Any, value: Any, within: Any) -> Any:
            steps.spend(parameter, value)
            return rule(validator, parameter, value, within)

        return check

    def pattern(_: Any, text: str, value: Any, _within: Any) -> Iterator[Any]:
        if isinstance(value, str) and not patterns.matches(text, value):
            yield jsonschema.ValidationError("does not match")

    def form(_: Any, name: str, value: Any, _within: Any) -> Iterator[Any]:
        if name == "date-time" and isinstance(value, str) and not structural.is_time(value):
            yield jsonschema.ValidationError("is no time")

    known = {**jsonschema.Draft4Validator.VALIDATORS, "pattern": pattern, "format": form}
    counting = {name: counted(rule) for name, rule in known.items()}
    made: Any = jsonschema.validators
    return made.extend(jsonschema.Draft4Validator, counting)(schema)


def to_json_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The keywords that JSON Schema shares with OpenAPI, and `nullable` in its form."""
    found = {key: value for key, value in schema.items() if key in _KEYWORDS}
    if schema.get("x-kubernetes-int-or-string"):
        found.pop("type", None)
        found["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if isinstance(found.get("properties"), Mapping):
        found["properties"] = {k: to_json_schema(v) for k, v in found["properties"].items()}
    for name in ("items", "additionalProperties", "not"):
        if isinstance(found.get(name), Mapping):
            found[name] = to_json_schema(found[name])
    for name in _ALL_OF_THEM:
        if name in found:
            found[name] = [to_json_schema(one) for one in found[name]]
    if needed := found.pop("required", None):
        found["required"] = needed  # judged after all properties, as Kubernetes does
    if schema.get("nullable"):
        return {"anyOf": [{"type": "null"}, found]} if found else {}
    return found


_NAMES = {str: "string", bool: "boolean", int: "integer", float: "number", dict: "object"}


def _json_type(value: Any) -> str:
    if value is None:
        return "null"
    return "array" if isinstance(value, list) else _NAMES[type(value)]


def _causes(error: Any) -> Iterable[status.Cause]:
    path = _dotted(error.absolute_path)
    rule, parameter, value = error.validator, error.validator_value, error.instance
    if rule == "required":
        yield from _missing(path, parameter, value)
    elif rule == "anyOf" and any(one == {"type": "null"} for one in parameter):
        for inner in error.context:
            if inner.validator_value != "null":
                yield from _causes(inner)
    elif rule == "type":
        kind = _json_type(value)
        text = f'Invalid value: "{kind}": {path} in body must be of type {parameter}: "{kind}"'
        yield status.Cause(path, text, "FieldValueTypeInvalid")
    elif rule == "format":
        text = f"{path} in body must be of type {parameter}: {status.quote(value)}"
        yield status.Cause(
            path, f"Invalid value: {status.quote(value)}: {text}", "FieldValueTypeInvalid"
        )
    elif rule == "enum":
        yield status.unsupported(path, value, [str(one) for one in parameter])
    else:
        yield _bound(path, rule, parameter, value)


def _missing(path: str, required: list[str], value: Any) -> Iterable[status.Cause]:
    """The library reports each missing name by itself; `check` drops duplicates."""
    for name in required:
        if name not in value:
            yield status.required(f"{path}.{name}" if path else name)


def _bound(path: str, rule: str, bound: Any, value: Any) -> status.Cause:
    messages = {
        "pattern": f"should match '{bound}'",
        "minimum": f"should be greater than or equal to {bound}",
        "maximum": f"should be less than or equal to {bound}",
        "minLength": f"should be at least {bound} chars long",
        "minItems": f"should have at least {bound} items",
        "minProperties": f"should have at least {bound} properties",
        "multipleOf": f"should be a multiple of {bound}",
        "additionalProperties": "has a field that is not allowed",
    }
    if rule == "maxLength":
        text = f"Too long: may not be more than {bound} bytes"
        return status.Cause(path, text, "FieldValueTooLong")
    if rule in {"maxItems", "maxProperties"}:
        text = f"Too many: {len(value)}: must have at most {bound} items"
        return status.Cause(path, text, "FieldValueTooMany")
    if rule in {*_ALL_OF_THEM, "not"}:
        how = {"oneOf": "one and only one schema", "anyOf": "at least one schema"}
        text = f'"{path}" must validate {how.get(rule, "the schema")} ({rule})'
        return status.Cause(path, f'Invalid value: "": {text}', "FieldValueInvalid")
    shown = len(value) if rule in {"minItems", "minProperties"} else value
    return status.wrong(
        path, shown, f"{path} in body {messages.get(rule, f'breaks the rule {rule}')}"
    )


def _dotted(path: Iterable[Any]) -> str:
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def _duplicates(schema: Mapping[str, Any], value: Any, path: str) -> Iterable[status.Cause]:
    """Lists that are maps or sets hold each key or value once."""
    if isinstance(value, dict):
        known, extra = schema.get("properties") or {}, schema.get("additionalProperties")
        for name, below in value.items():
            inner = known.get(name, extra)
            if isinstance(inner, Mapping) and isinstance(below, dict | list):
                yield from _duplicates(inner, below, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        keys = schema.get("x-kubernetes-list-map-keys") or ()
        kind, inner = schema.get("x-kubernetes-list-type"), schema.get("items") or {}
        seen: set[bytes] = set()
        for place, element in enumerate(value):
            if kind in {"map", "set"}:
                key = {k: element.get(k) for k in keys} if isinstance(element, dict) else element
                mark = orjson.dumps(key, option=orjson.OPT_SORT_KEYS)
                if mark in seen:
                    yield status.duplicate(f"{path}[{place}]", key)
                seen.add(mark)
            yield from _duplicates(inner, element, f"{path}[{place}]")
