"""JSON of others: typed fields, the place of an error, and nothing but InvalidInput."""

from __future__ import annotations

import contextlib
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft import errors
from weft.api import fields


def reader(raw: dict[str, object]) -> fields.Fields:
    return fields.Fields("Thing default/one", "spec", raw, [])


# Python 3.13 points at the trailing comma itself, earlier ones at what follows it.
COMMA = 8 if sys.version_info >= (3, 13) else 9


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{\n "a": 1\n "b": 2}', 'at line 3, column 2: { "a": 1 <here> "b": 2}'),
        ('{"a": 1,}', f"at line 1, column {COMMA}"),
        ("", "at line 1, column 1"),
        ("{'a': 1}", "column 2"),
        ('{"a": NaN}', "there is no number NaN in JSON"),
        ("[" * 100_000, "nested more than 200 deep"),
        ("[" + "0," * 60_000 + "0]", "more than 50000 values"),
        (chr(34) + "x" * 3_000_000 + chr(34), "at most 2097152 are accepted"),
        ("9" * 5000, "not usable JSON"),
    ],
)
def test_decode_names_object_field_and_place(text: str, says: str) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        fields.decode("Thing default/one", "spec.config", text)
    assert str(caught.value).startswith("Thing default/one: spec.config: ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text())
def test_decode_raises_nothing_else(text: str) -> None:
    with contextlib.suppress(errors.InvalidInput):
        fields.decode("Thing default/one", "spec", text)


@pytest.mark.parametrize(
    ("method", "value", "wanted"),
    [
        ("text", 5, "a string, not a number"),
        ("text", ["a"], "a string, not a list"),
        ("number", "5", "a whole number, not a string"),
        ("number", 5.5, "a whole number, not a number with a fraction"),
        ("number", True, "a whole number, not a boolean"),
        ("flag", "true", "true or false, not a string"),
        ("flag", 1, "true or false, not a number"),
        ("nested", "a", "an object, not a string"),
        ("strings", "a", "a list of strings, not a string"),
    ],
)
def test_a_wrong_type_is_named_and_reads_as_absent(method: str, value: object, wanted: str) -> None:
    read = reader({"x": value})
    found = getattr(read, method)("x")
    assert not (list(found) if method == "strings" else found)
    assert [problem.rule for problem in read.problems] == [f"must be {wanted}"]
    assert read.problems[0].field == "spec.x"


def test_quoted_numbers_and_booleans_come_with_a_remedy() -> None:
    read = reader({"a": "1300", "b": "true"})
    read.number("a")
    read.flag("b")
    assert all("without quotes" in problem.hint for problem in read.problems)


def test_names_are_found_with_any_capitals_unless_written_exactly() -> None:
    assert reader({"MTU": 1}).number("mtu") == 1
    assert reader({"MTU": 1, "mtu": 2}).number("mtu") == 2


def test_null_reads_as_absent() -> None:
    read = reader({"a": None})
    assert (read.text("a"), read.number("a"), read.flag("a"), read.nested("a")) == (
        "",
        None,
        None,
        None,
    )
    assert not read.problems


def test_items_are_named_by_index() -> None:
    read = reader({"a": ["x", 5]})
    assert list(read.strings("a")) == [("a[0]", "x")]
    assert read.problems[0].field == "spec.a[1]"


def test_what_cannot_be_read_is_noted_under_its_place_and_left_out() -> None:
    found = reader({"numbers": ["1", "one", "2"]})

    def number(text: str) -> int:
        if not text.isdecimal():
            raise ValueError("must be a number")
        return int(text)

    assert list(found.each(found.strings("numbers"), number)) == [1, 2]
    message = 'Thing default/one: spec.numbers[1] "one": must be a number'
    assert list(map(str, found.problems)) == [message]


def test_an_object_is_taken_and_anything_else_named() -> None:
    assert fields.as_object("Thing default/one", "spec", {"a": 1}) == {"a": 1}
    with pytest.raises(
        errors.InvalidInput, match=r"spec \[\]: must hold a JSON object, not a list"
    ):
        fields.as_object("Thing default/one", "spec", [])
