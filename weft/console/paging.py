"""Cuts a long list into parts, of which a page shows one: pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from weft.console.page import Question

T = TypeVar("T")
SIZE = 200  # rows of a part
PARAMETER = "part"  # of the query


@dataclass(frozen=True, slots=True)
class ListPage(Generic[T]):
    """Rows `first` to `last` of `total`, counted from 1; `number` is the part's, of `count`."""

    rows: tuple[T, ...]
    number: int
    count: int
    total: int
    query: tuple[tuple[str, str], ...] = ()  # what else was asked for

    @property
    def first(self) -> int:
        return (self.number - 1) * SIZE + 1

    @property
    def last(self) -> int:
        return self.first + len(self.rows) - 1


def part(rows: Sequence[T], asked: Question) -> ListPage[T]:
    """The part that the query asks for; the last one where there are fewer by now, and the first
    for what is no number."""
    count = max(1, -(-len(rows) // SIZE))
    text = asked.query.get(PARAMETER, "")
    desired = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 1
    number = min(max(desired, 1), count)
    chosen = tuple(rows[(number - 1) * SIZE : number * SIZE])
    query = tuple(one for one in asked.query.items() if one[0] != PARAMETER and one[1])
    return ListPage(chosen, number, count, len(rows), query)
