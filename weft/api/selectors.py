"""Parses Kubernetes label selectors, and reports what is invalid.

This is the grammar of `matchLabels`, `matchExpressions`, label keys and values. `weft.labels`
matches a selector with labels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from weft.api.fields import Fields, kind_of
from weft.policy.netpolicy import EVERYTHING, Operator, Requirement, Selector

__all__ = ["EVERYTHING", "read"]

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_KEY_RULE = "must be a label's key such as app or example.com/app"
_VALUE_RULE = (
    "must be a label's value: letters, digits, '-', '_' and '.', at most 63, "
    "that begins and ends with a letter or digit"
)
_OPERATORS = ", ".join(Operator)


def read(fields: Fields) -> Selector:
    """The selector in `fields`, which collect its problems, without invalid requirements."""
    fields.only("matchLabels", "matchExpressions")
    found = {*_labels(fields), *_expressions(fields)}
    return Selector(tuple(sorted(found)))


def _labels(fields: Fields) -> Iterator[Requirement]:
    labels = fields.nested("matchLabels")
    for key, value in labels.raw.items() if labels else ():
        assert labels is not None
        if not _is_key(key):
            labels.refuse(key, value, f"has a key that is not valid: it {_KEY_RULE}")
        elif not isinstance(value, str):
            hint = "put it into quotes" if isinstance(value, bool | int | float) else ""
            labels.refuse(key, value, f"must be a string, not {kind_of(value)}", hint=hint)
        elif not _is_value(value):
            labels.refuse(key, value, _VALUE_RULE)
        else:
            yield Requirement(key, Operator.IN, (value,))


def _expressions(fields: Fields) -> Iterator[Requirement]:
    for _, expression in fields.objects("matchExpressions"):
        before = len(expression.problems)
        expression.only("key", "operator", "values")
        key = _key(expression)
        operator = _operator(expression)
        values = _values(expression, operator)
        if operator is not None and len(expression.problems) == before:
            yield Requirement(key, operator, values)


def _key(expression: Fields) -> str:
    key = expression.text("key")
    if expression.missing("key"):
        expression.refuse("key", None, "is missing or empty", hint="name a label's key")
    elif key and not _is_key(key):
        expression.refuse("key", key, _KEY_RULE)
    return key


def _operator(expression: Fields) -> Operator | None:
    text = expression.text("operator")
    if text in tuple(Operator):
        return Operator(text)
    if expression.missing("operator"):
        expression.refuse("operator", None, "is missing", hint=f"write one of {_OPERATORS}")
    elif text:
        meant = [operator for operator in Operator if operator.lower() == text.lower()]
        hint = f"write {meant[0]}" if meant else ""
        expression.refuse("operator", text, f"must be one of {_OPERATORS}", hint=hint)
    return None


def _values(expression: Fields, operator: Operator | None) -> tuple[str, ...]:
    found = set()
    for place, text in expression.strings("values"):
        if _is_value(text):
            found.add(text)
        else:
            expression.refuse(place, text, _VALUE_RULE)
    listed = expression.value("values")
    if operator in (Operator.IN, Operator.NOT_IN) and listed in (None, []):
        rule = f"must name at least one value with operator {operator}"
        expression.refuse("values", listed, rule)
    elif operator in (Operator.EXISTS, Operator.DOES_NOT_EXIST) and found:
        rule = f"must be empty with operator {operator}"
        hint = "remove values, or use In or NotIn"
        expression.refuse("values", listed, rule, hint=hint)
    return tuple(sorted(found))


def _is_key(text: str) -> bool:
    prefix, slash, name = text.rpartition("/")
    if slash and not (len(prefix) <= 253 and _PREFIX.fullmatch(prefix)):
        return False
    return bool(_NAME.fullmatch(name))


def _is_value(text: str) -> bool:
    return not text or bool(_NAME.fullmatch(text))
