"""RFC 6902: a list of operations, carried out one by one, within a budget.

As in the reference server an index below zero counts from the end, `replace` may name a member
that is not there, and a member that is not there is null for `test` and `copy`.

A `copy` of an object into itself doubles it, so a few of them would use all memory. This counts the
bytes before each copy; the limits are those of the reference server.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import orjson

from weft.decode import jsontext
from weft.decode.budget import Budget
from weft_lab.apiserver import status

MOST = 10_000
_INDEX = re.compile(r"-?[0-9]{1,9}\Z")


class Refused(Exception):
    """An operation that is malformed or does not fit; the text says which, and why."""


def apply(obj: Any, operations: Sequence[Mapping[str, Any]], budget: Budget) -> Any:
    """The patched value; `obj` is changed. `budget` is for all copies together.

    Raises Refused, Exceeded for copies that are too deep, and ApiError for too many operations or
    copies.
    """
    if len(operations) > MOST:
        why = f"The allowed maximum operations in a JSON patch is {MOST}, got {len(operations)}"
        raise status.too_large(why)
    document = _Document(obj, budget)
    for number, one in enumerate(operations):
        try:
            document.carry_out(one)
        except Refused as why:
            operation = f"{_short(one.get('op'))} {_short(one.get('path'))}"
            raise Refused(f"operation {number} ({operation}): {why}") from None
    return document.value


def _short(value: Any) -> str:
    return status.quote(value)[:200]


@dataclass(slots=True)
class _Document:
    value: Any
    budget: Budget
    copied: int = field(default=0)
    values: int = field(default=0)

    def carry_out(self, one: Mapping[str, Any]) -> None:
        path = _steps(one, "path")
        match one.get("op"):
            case "add":
                self._add(path, one.get("value"))
            case "remove":
                self._remove(path)
            case "replace":
                self._replace(path, one.get("value"))
            case "test":
                if not _equal(self._get(path), one.get("value")):
                    raise Refused("the value is another one")
            case "move":
                source = _steps(one, "from")
                moved = self._get(source)
                self._remove(source)
                self._add(path, moved)
            case "copy":
                source = self._get(_steps(one, "from"))
                self._count(source)
                self._add(path, deepcopy(source))
            case _:
                raise Refused("the operation is not known")

    def _count(self, source: Any) -> None:
        self.values += jsontext.measure(source, self.budget).values
        self.copied += len(orjson.dumps(source))
        if self.copied > self.budget.size or self.values > self.budget.values:
            raise status.too_large(
                "the copy operations of the patch would add more than"
                f" {self.budget.size} bytes or {self.budget.values} values"
            )

    def _around(self, path: list[str]) -> tuple[Any, str]:
        """What holds the place of a path, and the last step to it."""
        if not path:
            raise Refused("the whole object cannot be written so")
        held = self.value
        for step in path[:-1]:
            held = _below(held, step)
        if not isinstance(held, dict | list):
            raise Refused("the path is not there")
        return held, path[-1]

    def _get(self, path: list[str]) -> Any:
        if not path:
            return self.value
        held, step = self._around(path)
        return held.get(step) if isinstance(held, dict) else held[_place(held, step)]

    def _add(self, path: list[str], value: Any) -> None:
        held, step = self._around(path)
        if isinstance(held, dict):
            held[step] = value
        elif step == "-":
            held.append(value)
        else:
            held.insert(_place(held, step, room=1), value)

    def _replace(self, path: list[str], value: Any) -> None:
        held, step = self._around(path)
        held[step if isinstance(held, dict) else _place(held, step)] = value

    def _remove(self, path: list[str]) -> None:
        held, step = self._around(path)
        if isinstance(held, dict) and step not in held:
            raise Refused("the member is not there")
        del held[step if isinstance(held, dict) else _place(held, step)]


def _steps(one: Mapping[str, Any], name: str) -> list[str]:
    """A JSON pointer, taken apart."""
    text = one.get(name)
    if not isinstance(text, str):
        raise Refused(f"it needs a {name}")
    if text and not text.startswith("/"):
        raise Refused(f"its {name} does not begin with a slash")
    return [step.replace("~1", "/").replace("~0", "~") for step in text.split("/")[1:]]


def _below(held: Any, step: str) -> Any:
    if isinstance(held, dict) and step in held:
        return held[step]
    if isinstance(held, list):
        return held[_place(held, step)]
    raise Refused("the path is not there")


def _place(held: list[Any], step: str, room: int = 0) -> int:
    """An index of a list; room: how many places behind its end count as well."""
    if not _INDEX.match(step):
        raise Refused(f"{_short(step)} is no index of a list")
    place, end = int(step), len(held) + room
    if not -end <= place < end:
        raise Refused(f"the list has no place {place}")
    return place + end if place < 0 else place


def _equal(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal: true is no number."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    return one == other and isinstance(one, bool) == isinstance(other, bool)
