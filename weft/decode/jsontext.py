"""Which value does a JSON text hold, within a budget, and which keys appear twice?

orjson reads it, which is linear in its size; what it made is then measured level by level, so
that no depth of nesting can end the stack.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from weft.decode import budget as budgets
from weft.decode.budget import Budget, Duplicate, Malformed

_SPACED_KEY = re.compile(rb'"[ \t\r\n]+:')
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:\n]')


class Measure(NamedTuple):
    """How many values a value consists of, itself included, and how many keys its maps have."""

    values: int
    keys: int


def parse(text: bytes | str, budget: Budget) -> Any:
    """The value that `text` holds; of a key that stands twice the last value counts.

    Raises Malformed with the place, Exceeded when the budget ends.
    """
    value, _ = parse_counted(text, budget)
    return value


def parse_counted(text: bytes | str, budget: Budget) -> tuple[Any, int]:
    """The same, and how many keys are in all its maps."""
    budgets.check_size(text, budget)
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        said = str(error).partition(": line ")[0]
        if "limit" in said:  # orjson's own, of 1,024 levels
            raise budgets.too_deep(budget) from None
        raise Malformed(f"{said}, column {error.colno}", error.lineno) from None
    return value, measure(value, budget).keys


def measure(value: Any, budget: Budget) -> Measure:
    """What a value consists of; raises Exceeded when it breaks the budget."""
    level, depth, values, keys = [value], 0, 1, 0
    while level:
        below: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                keys += len(one)
                values += len(one)
                below += [each for each in one.values() if isinstance(each, dict | list)]
            elif isinstance(one, list):
                values += len(one)
                below += [each for each in one if isinstance(each, dict | list)]
        if values > budget.values:
            raise budgets.too_many(budget)
        depth += 1
        if below and depth >= budget.depth:
            raise budgets.too_deep(budget)
        level = below
    return Measure(values, keys)


def duplicates(text: bytes, keys: int) -> list[Duplicate]:
    """The keys that stand twice in a map of `text`, which holds `keys` different ones.

    Nearly all texts have none. Then as many keys end in `":` as there are in the maps, and the
    text need not be taken apart: in a string a quote has a backslash before it.
    """
    if not _SPACED_KEY.search(text) and rb"\\" not in text:
        written = text.count(b'":') - text.count(b'\\":')
        if written == keys:
            return []
    return list(_find_duplicates(text))


def _find_duplicates(text: bytes) -> Iterator[Duplicate]:
    """A walk over the tokens of a text that is known to be JSON."""
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
    """A map or list that is open: where in it the walk stands."""

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
