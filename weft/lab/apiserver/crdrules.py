"""Does a custom resource keep the rules of its schema? Answers worded as Kubernetes words them.

The checking is JSON Schema's; this file turns OpenAPI v3 into it, and its findings into causes.
The library is loaded with the first custom resource that is written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from weft.lab.apiserver import status
from weft.lab.apiserver.resources import Object

_BOUNDS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
_SIZES = {"minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"}
_SHAPE = {"type", "properties", "additionalProperties", "items", "required"}
_LOGIC = {"oneOf", "anyOf", "allOf", "not"}
_KEYWORDS = _BOUNDS | _SIZES | _SHAPE | _LOGIC | {"enum", "pattern", "uniqueItems"}
_ALL_OF_THEM = ("oneOf", "anyOf", "allOf")


def checker(schema: Mapping[str, Any]) -> Callable[[Object], list[status.Cause]]:
    """A function that tells every broken rule of an object."""
    root = dict(schema)
    known = dict(root.get("properties") or {})
    for name in ("metadata", "apiVersion", "kind"):
        known.pop(name, None)
    root["properties"] = known

    @cache
    def validator() -> Any:
        import jsonschema

        return jsonschema.Draft4Validator(to_json_schema(root))

    def check(obj: Object) -> list[status.Cause]:
        found = [cause for error in validator().iter_errors(obj) for cause in _causes(error)]
        return [*dict.fromkeys(found), *_duplicates(root, obj, "")]

    return check


def to_json_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The keywords that JSON Schema shares with OpenAPI, and `nullable` said its way."""
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
    if not found.get("required", True):
        del found["required"]
    if schema.get("nullable"):
        return {"anyOf": [{"type": "null"}, found]} if found else {}
    return found


_TYPES = ("object", "array", "string", "integer", "number", "boolean")


def broken(schema: Any, path: str) -> Iterable[status.Cause]:
    """What in a schema could not be worked with; every other keyword is passed over."""
    if not isinstance(schema, Mapping):
        yield status.wrong(path, schema, "must be an object")
        return
    kind = schema.get("type")
    if kind is not None and kind not in _TYPES:
        yield status.unsupported(f"{path}.type", kind, _TYPES)
    for name in ("pattern", "format", "description"):
        if not isinstance(schema.get(name, ""), str):
            yield status.wrong(f"{path}.{name}", schema[name], "must be a string")
    yield from _broken_values(schema, path)
    for name in ("items", "additionalProperties", "not"):
        if isinstance(schema.get(name, {}), Mapping):
            yield from broken(schema[name], f"{path}.{name}") if name in schema else ()
        elif name != "additionalProperties" or not isinstance(schema[name], bool):
            yield status.wrong(f"{path}.{name}", schema[name], "must be a schema")
    if isinstance(schema.get("properties", {}), Mapping):
        for name, below in (schema.get("properties") or {}).items():
            yield from broken(below, f"{path}.properties[{name}]")
    else:
        yield status.wrong(f"{path}.properties", schema["properties"], "must be an object")


def _broken_values(schema: Mapping[str, Any], path: str) -> Iterable[status.Cause]:
    try:
        re.compile(schema.get("pattern") or "")
    except (re.error, TypeError) as error:
        yield status.wrong(f"{path}.pattern", schema["pattern"], f"no regular expression: {error}")
    for name in sorted(_BOUNDS | _SIZES):
        if name in schema and not isinstance(schema[name], int | float):
            yield status.wrong(f"{path}.{name}", schema[name], "must be a number")
    for name in ("enum", "required", *_ALL_OF_THEM, "x-kubernetes-list-map-keys"):
        if name in schema and not isinstance(schema[name], list):
            yield status.wrong(f"{path}.{name}", schema[name], "must be a list")
        elif name in _ALL_OF_THEM:
            for place, below in enumerate(schema.get(name) or ()):
                yield from broken(below, f"{path}.{name}[{place}]")


_NAMES = {str: "string", bool: "boolean", int: "integer", float: "number", dict: "object"}


def _json_type(value: Any) -> str:
    if value is None:
        return "null"
    return "array" if isinstance(value, list) else _NAMES[type(value)]


def _causes(error: Any) -> Iterable[status.Cause]:
    path = _dotted(error.absolute_path)
    rule, wanted, value = error.validator, error.validator_value, error.instance
    if rule == "required":
        yield from _missing(path, wanted, value)
    elif rule == "anyOf" and any(one == {"type": "null"} for one in wanted):
        for inner in error.context:
            if inner.validator_value != "null":
                yield from _causes(inner)
    elif rule == "type":
        kind = _json_type(value)
        text = f'Invalid value: "{kind}": {path} in body must be of type {wanted}: "{kind}"'
        yield status.Cause(path, text, "FieldValueTypeInvalid")
    elif rule == "enum":
        yield status.unsupported(path, value, [str(one) for one in wanted])
    else:
        yield _bound(path, rule, wanted, value)


def _missing(path: str, wanted: list[str], value: Any) -> Iterable[status.Cause]:
    """The library tells of each missing name by itself; `check` drops what is told twice."""
    for name in wanted:
        if name not in value:
            yield status.required(f"{path}.{name}" if path else name)


def _bound(path: str, rule: str, wanted: Any, value: Any) -> status.Cause:
    said = {
        "pattern": f"should match '{wanted}'",
        "minimum": f"should be greater than or equal to {wanted}",
        "maximum": f"should be less than or equal to {wanted}",
        "minLength": f"should be at least {wanted} chars long",
        "minItems": f"should have at least {wanted} items",
        "minProperties": f"should have at least {wanted} properties",
        "multipleOf": f"should be a multiple of {wanted}",
        "additionalProperties": "has a field that is not allowed",
    }
    if rule == "maxLength":
        text = f"Too long: may not be more than {wanted} bytes"
        return status.Cause(path, text, "FieldValueTooLong")
    if rule in {"maxItems", "maxProperties"}:
        text = f"Too many: {len(value)}: must have at most {wanted} items"
        return status.Cause(path, text, "FieldValueTooMany")
    if rule in {*_ALL_OF_THEM, "not"}:
        how = {"oneOf": "one and only one schema", "anyOf": "at least one schema"}
        text = f'"{path}" must validate {how.get(rule, "the schema")} ({rule})'
        return status.Cause(path, f'Invalid value: "": {text}', "FieldValueInvalid")
    return status.wrong(path, value, f"{path} in body {said.get(rule, f'breaks the rule {rule}')}")


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
        kind, seen = schema.get("x-kubernetes-list-type"), []
        inner = schema.get("items") or {}
        for place, element in enumerate(value):
            key = {k: element.get(k) for k in keys} if isinstance(element, dict) else element
            if kind in {"map", "set"} and key in seen:
                yield status.duplicate(f"{path}[{place}]", key)
            seen.append(key)
            yield from _duplicates(inner, element, f"{path}[{place}]")
