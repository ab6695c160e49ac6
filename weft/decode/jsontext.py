"""Decodes JSON text within a budget, and finds duplicate keys.

orjson parses the text in linear time; the result is then measured level by level, without
recursion, so deep nesting cannot overflow the stack.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from weft.decode import budget as budgets
from weft.decode.budget import Budget, Duplicate, Malformed

_NESTED = dict, list  # isinstance() is faster with a tuple than with `dict | list`
_SPACED_KEY = re.compile(rb'"[ \t\r\n]+:')
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:\n]')


class Measure(NamedTuple):
    """How many values a value has, itself included, and how many keys its maps have."""

    values: int
    keys: int


def parse(text: bytes | str, budget: Budget) -> Any:
    """The value that `text` holds; of a duplicate key the last value counts.

    Raises Malformed with line and column, Exceeded if the text exceeds the budget.
    """
    value, _ = parse_counted(text, budget)
    return value


def parse_counted(text: bytes | str, budget: Budget) -> tuple[Any, int]:
    """The same, and the number of keys in all maps."""
    budgets.check_size(text, budget)
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        message = str(error).partition(": line ")[0]
        if "limit" in message:  # orjson's own limit of 1,024 levels
            raise budgets.too_deep(budget) from None
        raise Malformed(f"{message}, column {error.colno}", error.lineno) from None
    return value, measure(value, budget).keys


def measure(value: Any, budget: Budget) -> Measure:
    """Count the values and keys in `value`; raises Exceeded above the budget."""
    level, depth, values, keys = [value], 0, 1, 0
    while level:
        below: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                keys += len(one)
                values += len(one)
                below += [each for each in one.values() if isinstance(each, _NESTED)]
            elif isinstance(one, list):
                values += len(one)
                below += [each for each in one if isinstance(each, _NESTED)]
        if values > budget.values:
            raise budgets.too_many(budget)
        depth += 1
        if below and depth >= budget.depth:
            raise budgets.too_deep(budget)
        level = below
    return Measure(values, keys)


def duplicates(text: bytes, keys: int) -> list[Duplicate]:
    """The duplicate keys in the maps of `text`, which decodes to `keys` different keys.

    Most texts have none. Then the text has as many `":` as keys, which is cheap to count, and it
    need not be tokenized: a quote within a string has a backslash before it.
    """
    if not _SPACED_KEY.search(text) and rb"\\" not in text:
        written = text.count(b'":') - text.count(b'\\":')
        if written == keys:
            return []
    return list(_find_duplicates(text))


def _find_duplicates(text: bytes) -> Iterator[Duplicate]:
    """Find duplicates among the tokens of a valid JSON text."""
    places: list[_Place] = []
    line, latest = 1, b""
    for found in _TOKEN.finditer(text):
        token = found.group()
        match token:
            case b"\n":
                line += 1
            case b"{" | b"[":
                places.append(_Place(token == b"{"))
            case b"}" | b"]":
                places.pop()
            case b",":
                places[-1].index += 1
            case b":":
                here = places[-1]
                here.key = orjson.loads(latest)
                if here.key in here.seen:
                    yield Duplicate(_path(places), line)
                here.seen.add(here.key)
            case _:
                latest = token


class _Place:
    """An open map or list, and the position of the walk in it."""

    __slots__ = ("index", "is_map", "key", "seen")

    def __init__(self, is_map: bool) -> None:
        self.is_map = is_map
        self.index = 0
        self.key = ""
        self.seen: set[str] = set()


def _path(places: list[_Place]) -> str:
    path = ""
    for place in places:
        if place.is_map:
            path = f"{path}.{place.key}" if path else place.key
        else:
            path = f"{path}[{place.index}]"
    return path
