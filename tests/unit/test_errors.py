"""How errors are worded."""

from __future__ import annotations

from pathlib import Path

import pytest

from weft import errors


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", '"a"'),
        ("it's", '"it\'s"'),
        ("ü", '"ü"'),
        (5, "5"),
        (True, "true"),
        (["a", 1.5], '["a", 1.5]'),
        ({"a": None}, '{"a": null}'),
        (Path("/x"), '"/x"'),
    ],
)
def test_a_value_is_shown_as_its_author_wrote_it(value: object, text: str) -> None:
    message = str(errors.InvalidInput("Pod a/b", "mac", value, "is wrong"))
    assert message == f"Pod a/b: mac {text}: is wrong"


def test_a_missing_value_is_not_shown() -> None:
    assert str(errors.InvalidInput("Pod a/b", "mac", None, "is missing")) == (
        "Pod a/b: mac: is missing"
    )


@pytest.mark.parametrize("value", ["x" * 500, list(range(500)), {"\ud800": 1}, "\ud800", {1: {2}}])
def test_what_is_long_or_odd_is_shown_short_and_can_be_sent(value: object) -> None:
    shown = errors.as_written(value)
    assert len(shown) <= 81
    shown.encode()


def test_in_full_an_error_says_what_to_do_too() -> None:
    error = errors.NotReady("does not exist", where="Pod a/b", hint="create it")
    assert error.in_full() == "Pod a/b: does not exist (create it)"
    assert error.in_full(named=False) == "does not exist (create it)"
    assert errors.NotReady("does not exist").in_full() == "does not exist"


def test_a_text_from_outside_tells_no_terminal_anything() -> None:
    assert errors.printable("é \x1b[2J\r\n\u202e\x00x") == "é  [2J    x"
