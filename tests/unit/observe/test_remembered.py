"""What objects mean is remembered by their text, within bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from weft.observe import remembered


def counting(calls: list[Any]) -> Any:
    def parse(obj: Mapping[str, Any]) -> str:
        calls.append(obj)
        return str(obj["name"])

    return remembered.by_text(parse, most=2)


def test_equal_objects_are_parsed_once_and_others_by_themselves() -> None:
    calls: list[Any] = []
    parsed = counting(calls)
    assert [parsed({"name": each}) for each in ("a", "b", "a", "b")] == ["a", "b", "a", "b"]
    assert len(calls) == 2
    assert [parsed({"name": each}) for each in ("c", "a")] == ["c", "a"]  # a was the oldest
    assert len(calls) == 4


@pytest.mark.parametrize(
    "more", [{"text": "x" * remembered.LONGEST}, {1: "no JSON"}, {"number": 1 << 70}]
)
def test_long_objects_and_those_that_are_no_json_are_parsed_each_time(more: Any) -> None:
    calls: list[Any] = []
    parsed = counting(calls)
    assert [parsed({"name": "a", **more}) for _ in range(2)] == ["a", "a"]
    assert len(calls) == 2
    assert calls[0] == {"name": "a", **more}
