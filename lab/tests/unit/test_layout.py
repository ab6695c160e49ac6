"""Names of files, however long the names are that they are made of."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from weft_lab import layout
from weft_lab.apiserver import logfiles

NAMES = st.text("abc-.", min_size=1, max_size=253)


def test_usual_names_are_as_they_are() -> None:
    assert layout.machine("demo", "web1") == "demo_web1"
    assert logfiles.name("demo", "web1", "c") == "demo_web1_c.log"


@given(NAMES, NAMES)
def test_long_names_fit_and_differ(one: str, other: str) -> None:
    logs = [logfiles.name("n" * 63, name, "c" * 63) for name in (one, other)]
    assert all(len(log) + len(logfiles.PREVIOUS) < 255 for log in logs)
    assert (logs[0] == logs[1]) == (one == other)
