"""Validates the schemas of CustomResourceDefinitions: Kubernetes' rules of structural schemas.

A structural schema says the type of every field once and outside of its logic, so that fields can
be pruned and defaulted; and it has nothing whose cost grows faster than the object.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from weft_lab.apiserver import patterns, status

_TYPES = ("object", "array", "string", "integer", "number", "boolean")
_NUMBERS = (
    *("minimum", "maximum", "multipleOf", "minLength", "maxLength"),
    *("minItems", "maxItems", "minProperties", "maxProperties"),
)
_LISTS = ("enum", "required", "x-kubernetes-list-map-keys")
_LOGIC = ("allOf", "anyOf", "oneOf")
_NOT_SUPPORTED = (
    *("$ref", "id", "patternProperties", "definitions", "dependencies", "additionalItems"),
)
# What belongs to the field itself, never to one of its alternatives.
_OUTSIDE = ("description", "type", "default", "title", "additionalProperties", "nullable")
_PRESERVE, _EITHER = "x-kubernetes-preserve-unknown-fields", "x-kubernetes-int-or-string"
_ROOT = "must not be empty at the root"
_FIELD = "must not be empty for specified object fields"
_ITEM = "must not be empty for specified array items"
MOST = 50  # causes in the answer about one schema


def broken(schema: Any, path: str) -> list[status.Cause]:
    """The rules that the schema at `path` breaks, the first ones."""
    return list(islice(_root(schema, path), MOST))


def _root(schema: Any, path: str) -> Iterator[status.Cause]:
    yield from _field(schema, path, _ROOT)
    if not isinstance(schema, Mapping):
        return
    if schema.get("type") not in (None, "", "object"):
        yield status.wrong(f"{path}.type", schema["type"], "must be object at the root")
    if schema.get("nullable"):
        yield status.barred(f"{path}.nullable", "nullable cannot be true at the root")
    known = schema.get("properties")
    meta = known.get("metadata") if isinstance(known, Mapping) else None
    inner = meta.get("properties") if isinstance(meta, Mapping) else None
    if isinstance(inner, Mapping) and inner.keys() - {"name", "generateName"}:
        why = (
            "must not specify anything other than name and generateName, but metadata is"
            " implicitly specified"
        )
        yield status.barred(f"{path}.properties[metadata]", why)


def _field(schema: Any, path: str, untyped: str) -> Iterator[status.Cause]:
    """One place that holds values: a root, a field, or an item."""
    if not isinstance(schema, Mapping):
        yield status.wrong(path, schema, "must be an object")
        return
    ill_formed = list(_ill_formed(schema, path))
    yield from ill_formed
    if ill_formed:
        return
    yield from _typed(schema, path, untyped)
    if schema.get("uniqueItems"):
        why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        yield status.barred(f"{path}.uniqueItems", why)
    if schema.get("properties") and schema.get("additionalProperties"):
        why = "additionalProperties and properties are mutual exclusive"
        yield status.barred(f"{path}.additionalProperties", why)
    if schema.get("additionalProperties") is False:
        why = "additionalProperties cannot be set to false"
        yield status.barred(f"{path}.additionalProperties", why)
    for name in _NOT_SUPPORTED:
        if name in schema:
            yield status.barred(f"{path}.{name}", f"{name} is not supported")
    yield from _lists_that_are_maps(schema, path)
    for name, below in (schema.get("properties") or {}).items():
        yield from _field(below, f"{path}.properties[{name}]", _FIELD)
    if isinstance(schema.get("additionalProperties"), Mapping):
        yield from _field(schema["additionalProperties"], f"{path}.additionalProperties", _FIELD)
    if "items" in schema:
        yield from _field(schema["items"], f"{path}.items", _ITEM)
    for below, place in _alternatives(schema, path):
        yield from _alternative(below, place, schema, path)


def _typed(schema: Mapping[str, Any], path: str, untyped: str) -> Iterator[status.Cause]:
    kind = schema.get("type")
    if schema.get(_EITHER):
        if kind:
            yield status.barred(f"{path}.type", f"must be empty if {_EITHER} is true")
    elif not kind and not schema.get(_PRESERVE):
        yield status.required(f"{path}.type", untyped)
    if kind and kind not in _TYPES:
        yield status.unsupported(f"{path}.type", kind, _TYPES)
    if kind == "array" and "items" not in schema:
        yield status.required(f"{path}.items", "must be specified")


def _lists_that_are_maps(schema: Mapping[str, Any], path: str) -> Iterator[status.Cause]:
    kind, keys = schema.get("x-kubernetes-list-type"), schema.get("x-kubernetes-list-map-keys")
    if kind not in (None, "atomic", "set", "map"):
        kinds = ("atomic", "map", "set")
        yield status.unsupported(f"{path}.x-kubernetes-list-type", kind, kinds)
    if kind == "map" and not keys:
        why = "must not be empty if x-kubernetes-list-type is map"
        yield status.required(f"{path}.x-kubernetes-list-map-keys", why)
    items = schema.get("items")
    known = items.get("properties") if isinstance(items, Mapping) else None
    for place, key in enumerate(keys or ()):
        if kind == "map" and not (isinstance(known, Mapping) and key in known):
            field = f"{path}.x-kubernetes-list-map-keys[{place}]"
            yield status.wrong(field, key, "must name a property of the items")


def _alternatives(schema: Mapping[str, Any], path: str) -> Iterator[tuple[Any, str]]:
    for name in _LOGIC:
        for number, below in enumerate(schema.get(name) or ()):
            yield below, f"{path}.{name}[{number}]"
    if "not" in schema:
        yield schema["not"], f"{path}.not"


def _alternative(
    schema: Any, path: str, outside: Mapping[str, Any], place: str
) -> Iterator[status.Cause]:
    """A schema within logic: it may only add rules about what `outside` (at `place`) declares."""
    if not isinstance(schema, Mapping):
        yield status.wrong(path, schema, "must be an object")
        return
    ill_formed = list(_ill_formed(schema, path))
    yield from ill_formed
    if ill_formed:
        return
    names = [name for name in _OUTSIDE if name in schema]
    if outside.get(_EITHER) and "type" in names:  # the one alternative that may be of types
        names.remove("type")
    for name in names:
        yield status.barred(f"{path}.{name}", "must be empty to be structural")
    known = outside.get("properties")
    for name, below in (schema.get("properties") or {}).items():
        declared = known.get(name) if isinstance(known, Mapping) else None
        if isinstance(declared, Mapping):
            yield from _alternative(
                below, f"{path}.properties[{name}]", declared, f"{place}.properties[{name}]"
            )
        else:
            why = f"because it is defined in {path}.properties[{name}]"
            yield status.required(f"{place}.properties[{name}]", why)
    if "items" in schema:
        declared = outside.get("items")
        if isinstance(declared, Mapping):
            yield from _alternative(schema["items"], f"{path}.items", declared, f"{place}.items")
        else:
            yield status.required(f"{place}.items", f"because it is defined in {path}.items")
    for below, inner in _alternatives(schema, path):
        yield from _alternative(below, inner, outside, place)


def _ill_formed(schema: Mapping[str, Any], path: str) -> Iterator[status.Cause]:
    """Keywords whose values have another type than they must."""
    for name in ("type", "pattern", "format", "description"):
        if not isinstance(schema.get(name) or "", str):
            yield status.wrong(f"{path}.{name}", schema[name], "must be a string")
    if isinstance(pattern := schema.get("pattern"), str):
        try:
            patterns.check(pattern)
        except patterns.Unusable as error:
            why = f"must be a valid regular expression, but isn't: {error}"
            yield status.wrong(f"{path}.pattern", pattern, why)
    for name in _NUMBERS:
        value = schema.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            yield status.wrong(f"{path}.{name}", value, "must be a number")
    for name in (*_LISTS, *_LOGIC):
        if not isinstance(schema.get(name) or [], list):
            yield status.wrong(f"{path}.{name}", schema[name], "must be a list")
    for name in ("required", "x-kubernetes-list-map-keys"):
        listed = schema.get(name)
        if isinstance(listed, list) and not all(isinstance(each, str) for each in listed):
            yield status.wrong(f"{path}.{name}", listed, "must be a list of strings")
    for name in ("items", "not", "additionalProperties"):
        value = schema.get(name, {})
        if name == "additionalProperties" and isinstance(value, bool):
            continue
        if not isinstance(value, Mapping):
            yield status.wrong(f"{path}.{name}", value, "must be a schema object")
    if not isinstance(schema.get("properties") or {}, Mapping):
        yield status.wrong(f"{path}.properties", schema["properties"], "must be an object")
