"""Parses label selectors, with Kubernetes' grammar and its words where one is wrong.

A selector becomes a list of terms, each a predicate over an object's labels.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from weft_lab.apiserver import metadata, status

Predicate = Callable[[Mapping[str, str]], bool]
MOST = 500  # terms of one selector: each is asked of every object

_TOKEN = re.compile(r"\s*(==|!=|[=!(),<>]|[^\s=!(),<>]+)")
_OPERATORS = ("in", "notin", "=", "==", "!=", "gt", "lt")
_SYMBOLS = frozenset(("=", "==", "!=", "!", "(", ")", ",", "<", ">"))
_END = ""


def parse(text: str) -> list[Predicate]:
    """The terms of a selector; Bad Request, as Kubernetes words it, where it cannot be read."""
    return list(_few(_Parser(_tokens(text)).terms()))


def _tokens(text: str) -> list[str]:
    return [*(match.group(1) for match in _TOKEN.finditer(text.rstrip())), _END]


def _few(terms: Iterator[tuple[str, Predicate]]) -> Iterator[Predicate]:
    """Each term once."""
    seen: set[str] = set()
    for name, term in terms:
        if name not in seen:
            seen.add(name)
            if len(seen) > MOST:
                raise status.bad_request(f"the selector has more than {MOST} terms")
            yield term


@dataclass(slots=True)
class _Parser:
    """Reads the tokens from left to right."""

    _left: list[str]
    _place: int = 0

    def _peek(self) -> str:
        return self._left[self._place]

    def _take(self) -> str:
        found = self._left[self._place]
        if found != _END:
            self._place += 1
        return found

    def terms(self) -> Iterator[tuple[str, Predicate]]:
        """Each with its own text."""
        if self._peek() == _END:
            return
        while True:
            start = self._place
            if self._peek() != "!" and not _is_word(self._peek()):
                raise _unexpected(self._peek(), "!, identifier, or 'end of string'")
            term = self._term()
            yield " ".join(self._left[start : self._place]), term
            found = self._take()
            if found == _END:
                return
            if found != ",":
                raise _unexpected(found, "',' or 'end of string'")
            if self._peek() != "!" and not _is_word(self._peek()):
                raise _unexpected(self._peek(), "identifier after ','")

    def _term(self) -> Predicate:
        absent = self._peek() == "!"
        if absent:
            self._take()
        key = self._take()
        if not _is_word(key):
            raise _unreadable(f"found '{key}', expected: identifier")
        if why := metadata.broken_key(key):
            raise _unreadable(f"<nil>: Invalid value: {status.quote(key)}: {why[0]}")
        if absent:
            return lambda labels: key not in labels
        operator = self._peek()
        if operator in (_END, ","):
            return lambda labels: key in labels
        if operator not in ("in", "notin", "=", "==", "!=", "<", ">"):
            expected = ", ".join(_OPERATORS)
            raise _unreadable(f"found '{operator}', expected: {expected}")
        self._take()
        if operator in ("in", "notin"):
            return self._set(key, operator)
        value = self._value()
        if operator in ("<", ">"):
            return _order(key, operator, value)
        _check_values(key, [value])
        if operator == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value

    def _value(self) -> str:
        if self._peek() in (_END, ","):
            return ""
        found = self._take()
        if not _is_word(found):
            raise _unreadable(f"found '{found}', expected: identifier")
        return found

    def _set(self, key: str, operator: str) -> Predicate:
        if (found := self._take()) != "(":
            raise _unreadable(f"found '{found}' expected: '('")
        values = [""]
        while True:
            found = self._take()
            if found == ")":
                break
            if found == ",":
                values.append("")
            elif found != _END and _is_word(found) and not values[-1]:
                values[-1] = found
            else:
                raise _unreadable(f"found '{found}', expected: ',' or ')'")
        _check_values(key, sorted(set(values)))
        listed = frozenset(values)
        if operator == "in":
            return lambda labels: labels.get(key) in listed
        return lambda labels: labels.get(key) not in listed


def _is_word(token: str) -> bool:
    return token != _END and token not in _SYMBOLS


def _check_values(key: str, values: list[str]) -> None:
    for place, value in enumerate(values):
        if why := metadata.broken_label_value(value):
            where = f"values[{place}][{key}]"
            raise _unreadable(f"{where}: Invalid value: {status.quote(value)}: {why[0]}")


def _order(key: str, operator: str, bound: str) -> Predicate:
    if not re.fullmatch(r"[+-]?[0-9]{1,19}", bound):
        why = "for 'Gt', 'Lt' operators, the value must be an integer"
        raise _unreadable(f"values[0]: Invalid value: {status.quote(bound)}: {why}")
    limit = int(bound)

    def matches(labels: Mapping[str, str]) -> bool:
        try:
            value = int(labels.get(key, ""))
        except ValueError:
            return False
        return value > limit if operator == ">" else value < limit

    return matches


def _unreadable(why: str) -> status.ApiError:
    return status.bad_request(f"unable to parse requirement: {why}")


def _unexpected(found: str, expected: str) -> status.ApiError:
    return status.bad_request(f"found '{found}', expected: {expected}")
