"""What objects mean is remembered by their text, within bounds."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest

from weft.observe import remembered


def counting(calls: list[Any]) -> Any:
    def parse(obj: Mapping[str, Any]) -> str:
        calls.append(obj)
        return str(obj["name"])

    return remembered.by_text(parse, most=2 * (remembered.ENTRY + len('{"name":"a"}')))


def test_equal_objects_are_parsed_once_and_others_by_themselves() -> None:
    calls: list[Any] = []
    parsed = counting(calls)
    assert [parsed({"name": each}) for each in ("a", "b", "a", "b")] == ["a", "b", "a", "b"]
    assert len(calls) == 2
    assert parsed({"name": "b"}) == "b"
    assert [parsed({"name": each}) for each in ("c", "a")] == [
        "c",
        "a",
    ]  # a was not used for longest
    assert len(calls) == 4


def test_texts_are_bounded_by_their_length_and_not_by_their_number() -> None:
    known = remembered.Texts(most=3 * (remembered.ENTRY + 30))
    for number in range(20):
        assert known.of(number, 30, partial(int, number)) == number
    assert len(known) == 3
    whole = 2 * remembered.ENTRY + 3 * 30
    assert known.of("long", whole, lambda: "made") == "made"
    assert len(known) == 1, "one text may take all of it"


def test_any_number_of_short_texts_is_bounded_too() -> None:
    """Whoever makes pods, one after another, may write one character into each."""
    known = remembered.Texts(most=1000)
    for number in range(2000):
        known.of(number, 1, partial(int, number))
    assert len(known) <= 1000 / remembered.ENTRY


def test_what_was_made_of_an_object_lasts_as_long_as_it_was_made_of_the_same() -> None:
    calls: list[int] = []

    def make() -> int:
        calls.append(0)
        return len(calls)

    kept = remembered.Kept({"name": "a"})
    assert kept == {"name": "a"}
    given = ((1, {"a": "b"}), (1, {"a": "b"}), (1, {"a": "c"}))
    assert [remembered.once(kept, "what", each, make) for each in given] == [1, 1, 2]
    assert remembered.once(kept, "other", given[2], make) == 3
    plain = {"name": "a"}  # it may be changed, so that nothing is remembered of it
    assert [remembered.once(plain, "what", 1, make) for _ in range(2)] == [4, 5]


def test_a_memo_forgets_what_was_not_asked_for() -> None:
    memo, calls = remembered.Memo(), list[str]()

    def made(key: str, given: object) -> str:
        def make() -> str:
            calls.append(key)
            return f"{key} of {given}"

        return memo.of(key, given, make)

    assert [made("a", 1), made("b", 1)] == ["a of 1", "b of 1"]
    memo.sweep()
    assert [made("a", 1), made("a", 2)] == ["a of 1", "a of 2"]
    memo.sweep()
    assert len(memo) == 1, "b is forgotten"
    assert [made("a", 2), made("b", 1)] == ["a of 2", "b of 1"]
    assert calls == ["a", "b", "a", "b"]


@pytest.mark.parametrize(
    "more", [{"text": "x" * remembered.LONGEST}, {1: "no JSON"}, {"number": 1 << 70}]
)
def test_long_objects_and_those_that_are_no_json_are_parsed_each_time(more: Any) -> None:
    calls: list[Any] = []
    parsed = counting(calls)
    assert [parsed({"name": "a", **more}) for _ in range(2)] == ["a", "a"]
    assert len(calls) == 2
    assert calls[0] == {"name": "a", **more}
