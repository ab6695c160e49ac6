"""A long list is shown in parts, whatever the query says."""

from __future__ import annotations

import pytest

from tests.support import consoled
from weft.console import paging

ROWS = range(2 * paging.SIZE + 1)


@pytest.mark.parametrize(
    ("text", "number"),
    [("", 1), ("2", 2), ("3", 3), ("4", 3), ("0", 1), ("-1", 1), ("x", 1), ("²", 1), ("9" * 99, 1)],
)
def test_the_part_that_is_asked_for(text: str, number: int) -> None:
    found = paging.part(ROWS, consoled.asked({"part": text, "about": "web", "state": ""}))
    assert (found.number, found.count, found.total) == (number, 3, len(ROWS))
    assert found.rows == tuple(ROWS[found.first - 1 : found.last])
    assert dict(found.query) == {"about": "web"}


def test_the_parts_are_the_whole() -> None:
    parts = [paging.part(ROWS, consoled.asked({"part": str(each)})).rows for each in (1, 2, 3)]
    assert [row for part in parts for row in part] == list(ROWS)


def test_an_empty_list_has_one_part() -> None:
    found = paging.part(tuple[int, ...](), consoled.asked())
    assert (found.rows, found.number, found.count) == ((), 1, 1)
