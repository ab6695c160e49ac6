"""Numbers with units."""

from __future__ import annotations

import pytest

from weft import errors
from weft.cli import durations


@pytest.mark.parametrize(
    ("text", "seconds"), [("5", 5), ("1.5s", 1.5), ("250ms", 0.25), ("2m", 120), ("1h", 3600)]
)
def test_seconds(text: str, seconds: float) -> None:
    assert durations.seconds("weft x", "--for", text) == seconds


@pytest.mark.parametrize(("text", "size"), [("7", 7), ("2k", 2000), ("1Mi", 1 << 20)])
def test_bytes(text: str, size: int) -> None:
    assert durations.bytes("weft x", "--size", text) == size


@pytest.mark.parametrize("text", ["", "s", "-1s", "1 s", "1d", "1e9", "\u0663s", "9" * 20, "nan"])
def test_what_is_neither(text: str) -> None:
    for read in (durations.seconds, durations.bytes):
        with pytest.raises(errors.InvalidInput, match="with one of these units"):
            read("weft x", "--size", text)
