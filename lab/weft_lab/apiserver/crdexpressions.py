"""Evaluates the rules in CEL that a schema has (`x-kubernetes-validations`), as Kubernetes does.

A rule sees a value as `self`, and what it was before as `oldSelf`. One that names `oldSelf` holds
for updates alone, where the value was there before; elements of a list are known again by its keys.
A rule says nothing of a value that did not change.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from weft_lab.apiserver import expressions, status
from weft_lab.apiserver.expressions import Expression, Faulty
from weft_lab.apiserver.resources import Object

KEY = "x-kubernetes-validations"
MOST = 50  # causes in one answer
_OLD = re.compile(r"\boldSelf\b")
_NOT_CHECKED = (
    "some validation rules were not checked because the object was invalid; correct the existing"
    " errors to complete validation"
)
# With these an object lacks the shape that rules rely on.
_BLOCKING = frozenset(
    {
        *("FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany"),
        *("FieldValueTypeInvalid", "FieldValueNotSupported"),
    }
)


@dataclass(frozen=True, slots=True)
class _Rule:
    text: str
    message: str
    message_expression: str
    place: str  # of the cause, below the value
    reason: str
    is_about_change: bool

    @property
    def expression(self) -> Expression:
        return expressions.known(self.text, expressions.SELF)


@dataclass(frozen=True, slots=True)
class _Node:
    """The rules of one place in a schema and of what is below it; None: there are none."""

    rules: tuple[_Rule, ...]
    properties: Mapping[str, _Node]
    extra: _Node | None
    items: _Node | None
    keys: tuple[str, ...]


def broken(schema: Mapping[str, Any], path: str) -> Iterator[status.Cause]:
    """Yields what is wrong with the rules of a schema at `path`."""
    for place, each in enumerate(schema.get(KEY) or ()):
        where = f"{path}.{KEY}[{place}]"
        text = str(each.get("rule") or "")
        if not text.strip():
            yield status.required(f"{where}.rule", "rule is not specified")
            continue
        yield from _uncompiled(f"{where}.rule", text, "bool")
        if each.get("messageExpression"):
            message = str(each["messageExpression"])
            yield from _uncompiled(f"{where}.messageExpression", message, "string")
    for name, below in (schema.get("properties") or {}).items():
        yield from broken(below, f"{path}.properties[{name}]")
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), Mapping):
            yield from broken(schema[name], f"{path}.{name}")


def _uncompiled(field: str, text: str, type_name: str) -> Iterator[status.Cause]:
    try:
        found = expressions.known(text, expressions.SELF).type
    except Faulty as error:
        yield status.wrong(field, text, str(error))
        return
    if found not in (type_name, "dyn"):
        yield status.wrong(field, text, f"must evaluate to a {type_name}")


class SchemaRules:
    """The rules of a schema."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._root = _node(schema)

    def check(
        self, new: Object, old: Object | None, before: list[status.Cause]
    ) -> list[status.Cause]:
        """Returns the rules that an object breaks; `before`: what else is wrong with it."""
        if self._root is None:
            return []
        if any(each.reason in _BLOCKING for each in before):
            return [status.wrong("<nil>", None, _NOT_CHECKED)]
        return list(islice(_causes(self._root, "", new, old), MOST))


def _node(schema: Mapping[str, Any]) -> _Node | None:
    rules = tuple(_rule(each) for each in schema.get(KEY) or ())
    below = {name: _node(each) for name, each in (schema.get("properties") or {}).items()}
    properties = {name: each for name, each in below.items() if each is not None}
    extra, items = (
        _node(schema[name]) if isinstance(schema.get(name), Mapping) else None
        for name in ("additionalProperties", "items")
    )
    if not (rules or properties or extra or items):
        return None
    is_map = schema.get("x-kubernetes-list-type") == "map"
    keys = tuple(schema.get("x-kubernetes-list-map-keys") or ()) if is_map else ()
    return _Node(rules, properties, extra, items, keys)


def _rule(rule: Mapping[str, Any]) -> _Rule:
    text = rule["rule"]
    return _Rule(
        text,
        rule.get("message") or f"failed rule: {' '.join(text.split())}",
        rule.get("messageExpression") or "",
        rule.get("fieldPath") or "",
        rule.get("reason") or "FieldValueInvalid",
        bool(_OLD.search(text)),
    )


def _causes(node: _Node, path: str, new: Any, old: Any) -> Iterator[status.Cause]:
    if new is None:
        return
    for rule in node.rules:
        if rule.is_about_change and old is None:
            continue
        if not rule.is_about_change and old == new:
            continue
        yield from _judged(rule, path, new, old)
    if isinstance(new, dict):
        before = old if isinstance(old, dict) else {}
        for name, value in new.items():
            below = node.properties.get(name, node.extra)
            if below is not None:
                inner = f"{path}.{name}" if path else name
                yield from _causes(below, inner, value, before.get(name))
    elif isinstance(new, list) and node.items is not None:
        for place, value in enumerate(new):
            earlier = _same(node, value, old)
            yield from _causes(node.items, f"{path}[{place}]", value, earlier)


def _same(node: _Node, value: Any, old: Any) -> Any:
    """The element of the list before that has the keys of this one; None without keys."""
    if not node.keys or not isinstance(old, list):
        return None
    named = [value.get(key) for key in node.keys]
    return next((each for each in old if [each.get(key) for key in node.keys] == named), None)


def _judged(rule: _Rule, path: str, new: Any, old: Any) -> Iterator[status.Cause]:
    given = {"self": new, "oldSelf": old}
    field = f"{path}{rule.place}" if path else rule.place.lstrip(".")
    try:
        if rule.expression.value(given) is True:
            return
        message = rule.message
    except Faulty as error:
        message = f"rule evaluation error: {error}: {rule.text}"
    if rule.message_expression:
        try:
            known = expressions.known(rule.message_expression, expressions.SELF)
            message = str(known.value(given)).strip() or message
        except Faulty:
            pass  # then the fixed message is given, as in Kubernetes
    shown = {
        "FieldValueForbidden": status.barred(field, message),
        "FieldValueRequired": status.required(field, message),
        "FieldValueDuplicate": status.duplicate(field, message),
    }
    # A value that is no list or object is shown.
    wrong = status.wrong(field, new, message)
    if isinstance(new, dict | list):
        wrong = status.Cause(field, f"Invalid value: {message}")
    yield shown.get(rule.reason, wrong)
