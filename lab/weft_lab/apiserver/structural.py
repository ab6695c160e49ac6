"""Checks an object's shape by its schema: unknown fields, wrong types, defaults.

A schema is compiled once into nodes that are quick to walk: this runs for every write. The
finer rules of CustomResourceDefinitions (patterns, bounds, oneOf) are in crdrules.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import orjson

from weft.decode.budget import MIB, Exceeded

UNSET: Any = object()
DEFAULTS_LIMIT = 2 * MIB  # bytes that defaults add to one object


@dataclass(slots=True)
class Node:
    """One place in a schema. `kind` is a JSON type, `int32`, `any` or `int-or-string`."""

    kind: str = "any"
    properties: dict[str, Node] = field(default_factory=dict)
    extra: Node | None = None
    items: Node | None = None
    preserve: bool = False
    embedded: bool = False
    nullable: bool = False
    atomic: bool = False
    list_type: str = "atomic"
    list_keys: tuple[str, ...] = ()
    merge_key: str = ""
    strategies: frozenset[str] = frozenset()
    default: Any = UNSET
    default_size: int = 0
    defaults: tuple[tuple[str, Node], ...] = ()
    has_defaults: bool = False
    typed: bool = False  # of a built-in type: what is empty and need not be there is left out
    timed: bool = False
    encoded: bool = False  # bytes, in base64
    required: frozenset[str] = frozenset()
    scalar: type | None = None  # every value of this type fits

    def child(self, name: str) -> Node:
        """The node of a property; an unknown one may hold anything."""
        found = self.properties.get(name)
        return found if found is not None else (self.extra or ANYTHING)

    @property
    def element(self) -> Node:
        return self.items or ANYTHING


_SCALARS = {"string": str, "boolean": bool, "integer": int, "number": int}
_NESTED = dict, list  # isinstance() is faster with a tuple than with `dict | list`
ANYTHING = Node(preserve=True)
Resolve = Callable[[str], Mapping[str, Any]]


class Compiler:
    """Turns schemas into nodes; a named schema is compiled once and may contain itself."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._named: dict[str, Node] = {}
        self._within = 0  # how many named schemas, which are those of built-in types

    def compile(self, schema: Mapping[str, Any]) -> Node:
        node = self._build(schema)
        _note_defaults(node, set())
        return node

    def _build(self, schema: Mapping[str, Any]) -> Node:
        ref, around = schema.get("$ref"), schema
        if ref is None and "allOf" in schema and "$ref" in schema["allOf"][0]:
            ref = schema["allOf"][0]["$ref"]
        if ref is not None:
            name = ref.rpartition("/")[2]
            target = self._named.get(name)
            if target is None:
                target = self._named[name] = Node()
                self._within += 1
                self._fill(target, self._resolve(name))
                self._within -= 1
                target.typed = True
            extras = {key for key in around if key.startswith("x-") or key == "default"}
            if not extras:
                return target
            node = Node(**{slot: getattr(target, slot) for slot in Node.__slots__})
            self._annotate(node, around)
            return node
        node = Node()
        self._fill(node, schema)
        return node

    def _fill(self, node: Node, schema: Mapping[str, Any]) -> None:
        if schema.get("x-kubernetes-int-or-string") or schema.get("format") == "int-or-string":
            node.kind = "int-or-string"
        elif schema.get("format") == "int32":
            node.kind = "int32"
        else:
            node.kind = schema.get("type", "any")
        for name, inner in (schema.get("properties") or {}).items():
            node.properties[name] = self._build(inner)
        extra = schema.get("additionalProperties")
        if isinstance(extra, Mapping):
            node.extra = self._build(extra)
        elif extra:
            node.preserve = True
        if isinstance(schema.get("items"), Mapping):
            node.items = self._build(schema["items"])
        node.nullable = bool(schema.get("nullable"))
        node.required = frozenset(schema.get("required") or ())
        # A custom type takes any text here until its rules are asked (crdrules).
        node.timed = schema.get("format") == "date-time" and bool(self._within)
        node.encoded = schema.get("format") == "byte"
        if node.kind == "object" and not node.properties and node.extra is None:
            node.preserve = node.preserve or (extra is None and "properties" not in schema)
        if node.kind == "any" and not node.properties:
            node.preserve = True
        self._annotate(node, schema)

    def _annotate(self, node: Node, schema: Mapping[str, Any]) -> None:
        node.scalar = None if node.timed or node.encoded else _SCALARS.get(node.kind)
        if schema.get("x-kubernetes-preserve-unknown-fields"):
            node.preserve = True
        node.embedded = bool(schema.get("x-kubernetes-embedded-resource")) or node.embedded
        node.atomic = node.atomic or schema.get("x-kubernetes-map-type") == "atomic"
        node.list_type = schema.get("x-kubernetes-list-type", node.list_type)
        node.list_keys = tuple(schema.get("x-kubernetes-list-map-keys", node.list_keys))
        node.merge_key = schema.get("x-kubernetes-patch-merge-key", node.merge_key)
        strategy = schema.get("x-kubernetes-patch-strategy", "")
        node.strategies = frozenset(part for part in strategy.split(",") if part) or node.strategies
        node.default = schema.get("default", node.default)
        if node.default is not UNSET:
            node.default_size = len(orjson.dumps(node.default))


def _note_defaults(node: Node, seen: set[int]) -> bool:
    """Mark the nodes below which a default waits, so that the rest is never walked for them."""
    if id(node) in seen:
        return node.has_defaults
    seen.add(id(node))
    for inner in node.properties.values():
        _note_defaults(inner, seen)
    for below in (node.extra, node.items):
        if below is not None:
            _note_defaults(below, seen)
    # What is absent of a built-in type, its strategy fills in.
    node.defaults = tuple(
        (name, inner)
        for name, inner in node.properties.items()
        if inner.default is not UNSET and not node.typed
    )
    below_any = [*node.properties.values(), node.extra, node.items]
    node.has_defaults = bool(node.defaults) or any(
        inner is not None and inner.has_defaults for inner in below_any
    )
    return node.has_defaults


def apply_defaults(node: Node, value: Any, limit: int = DEFAULTS_LIMIT) -> int:
    """Fill in defaults, in place; returns how much of the limit is left, in bytes.

    Raises Exceeded where that takes more: a default is filled into each element of a list.
    """
    if not node.has_defaults:
        return limit
    if isinstance(value, dict):
        for name, inner in node.defaults:
            if name not in value or (value[name] is None and not inner.nullable):
                limit -= inner.default_size
                if limit < 0:
                    raise Exceeded(f"takes more than {DEFAULTS_LIMIT} bytes of defaults")
                value[name] = deepcopy(inner.default)
        for name, below in value.items():
            limit = apply_defaults(node.child(name), below, limit)
    elif isinstance(value, list) and node.items is not None:
        for below in value:
            limit = apply_defaults(node.items, below, limit)
    return limit


_EMPTY: dict[str, Callable[[], Any]] = {"object": dict, "string": str}
_META = frozenset({"apiVersion", "kind", "metadata"})


def prune(
    node: Node, value: Any, path: str = "", found: list[str] | None = None, typed: bool = False
) -> list[str]:
    """Drop nulls and unknown fields, in place; returns the unknown fields.

    typed: whether a list or map is of a built-in type, where a null in it is an empty value; in a
    custom one it stays in a list, and goes from a map.
    """
    found = [] if found is None else found
    if isinstance(value, dict):
        _prune_fields(node, value, path, found, typed or node.typed)
    elif isinstance(value, list) and node.items is not None:
        for place, below in enumerate(value):
            if isinstance(below, _NESTED):
                prune(node.items, below, f"{path}[{place}]", found, typed)
            elif below is None and typed and node.items.kind in _EMPTY:
                value[place] = _EMPTY[node.items.kind]()
    return found


def _prune_fields(
    node: Node, value: dict[str, Any], path: str, found: list[str], typed: bool
) -> None:
    properties, extra = node.properties, node.extra
    unknown: list[str] | None = None
    nulls: list[str] | None = None
    for name, below in value.items():
        inner = properties.get(name, extra)
        if inner is None:
            if not node.preserve and not (node.embedded and name in _META):
                unknown = [*(unknown or ()), name]
        elif isinstance(below, _NESTED):
            prune(inner, below, f"{path}.{name}" if path else name, found, typed)
            if node.typed and not below and _is_left_out(node, name, inner):
                nulls = [*(nulls or ()), name]
        elif below is None and not inner.nullable and inner.kind != "any":
            if typed and inner is extra and inner.kind in _EMPTY:
                value[name] = _EMPTY[inner.kind]()
            else:
                nulls = [*(nulls or ()), name]
    for name in unknown or ():
        del value[name]
        found.append(f"{path}.{name}" if path else name)
    for name in nulls or ():
        del value[name]


def _is_left_out(node: Node, name: str, inner: Node) -> bool:
    """Whether an empty list or map is not kept; an empty object of known fields is."""
    return (inner.kind == "array" or inner.extra is not None) and name not in node.required


_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)\Z")
_SHOWN = {
    str: "string",
    bool: "bool",
    int: "number",
    float: "number",
    dict: "object",
    list: "array",
}


def is_time(text: str) -> bool:
    """Whether it is a moment in the form of RFC 3339."""
    return _TIME.match(text) is not None


def mistyped(node: Node, value: Any, path: str = "") -> str:
    """The first place whose JSON type the built-in type cannot hold, worded; empty when none."""
    found = _misfit(node, value)
    if found is None:
        return ""
    below, node, value = found
    path += below
    if not _fits(node.kind, value):
        return f"json: cannot unmarshal {shown(value)} into field {path or '.'} of type {node.kind}"
    if node.encoded:
        return f"illegal base64 data at input byte {_broken_base64(value)}"
    return f"field {path}: {value[:40]!r} is no time in the form of RFC 3339"


def _misfit(node: Node, value: Any) -> tuple[str, Node, Any] | None:
    """The first value that its node cannot hold, with its path and node.

    Paths are made only for a misfit: nearly every object has none.
    """
    kind = node.kind
    if value is None or kind == "any":
        return None
    if (
        not _fits(kind, value)
        or (node.timed and not is_time(value))
        or (node.encoded and _broken_base64(value) is not None)
    ):
        return "", node, value
    if kind == "object":
        properties, extra = node.properties, node.extra
        for name, below in value.items():
            inner = properties.get(name, extra)
            if inner is None or type(below) is inner.scalar:
                continue
            if (found := _misfit(inner, below)) is not None:
                return f".{name}{found[0]}", found[1], found[2]
    elif kind == "array" and node.items is not None:
        for place, below in enumerate(value):
            if (found := _misfit(node.items, below)) is not None:
                return f"[{place}]{found[0]}", found[1], found[2]
    return None


def shown(value: Any) -> str:
    """The type of a JSON value as decoders name it."""
    return _SHOWN.get(type(value), "null")


_BASE64 = re.compile(r"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_GROUP = re.compile(r"[A-Za-z0-9+/]*")


def _broken_base64(text: str) -> int | None:
    """Where text ceases to be base64; line ends count for nothing."""
    plain = text.replace("\r", "").replace("\n", "")
    whole = _BASE64.match(plain)
    end = whole.end() if whole else 0
    if end == len(plain):
        return None
    group = _GROUP.match(plain, end)
    wrong = group.end() if group else end
    return end if wrong == len(plain) else wrong


_INT32 = 1 << 31


def _fits(kind: str, value: Any) -> bool:
    if kind == "string":
        return isinstance(value, str)
    if kind == "object":
        return isinstance(value, dict)
    if kind == "array":
        return isinstance(value, list)
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "int32":
        return isinstance(value, int) and not isinstance(value, bool) and -_INT32 <= value < _INT32
    if kind == "int-or-string":
        return isinstance(value, int | str | float) and not isinstance(value, bool)
    return isinstance(value, int | float) and not isinstance(value, bool)
