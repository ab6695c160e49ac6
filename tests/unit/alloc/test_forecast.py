"""When a network is full, from the days on which its holders were created."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.alloc import forecast

TODAY = "2026-02-10"


def ago(days: int) -> str:
    return (date.fromisoformat(TODAY) - timedelta(days=days)).isoformat()


@pytest.mark.parametrize(
    ("days", "rate"),
    [
        ({}, 0.0),
        ({0: 3}, 3.0),
        ({1: 3}, 1.5),
        ({0: 7, 100: 50}, 1.0),
        ({7: 50}, 0.0),
        ({6: 7}, 1.0),
        ({-3: 4}, 4.0),
    ],
)
def test_the_rate_of_the_last_week(days: dict[int, int], rate: float) -> None:
    made = {ago(each): number for each, number in days.items()}
    assert forecast.per_day(made, TODAY) == rate


def test_a_day_that_cannot_be_read_does_not_count() -> None:
    assert forecast.per_day({"": 3, "yesterday": 2, TODAY: 1}, TODAY) == 1.0


def test_a_full_network_is_full_now() -> None:
    assert forecast.days_left(0, {}, TODAY) == 0.0
    assert forecast.days_left(5, {}, TODAY) is None


@given(st.dictionaries(st.integers(0, 400).map(ago), st.integers(0, 50)), st.integers(1, 1000))
def test_what_is_kept_is_enough(days: dict[str, int], free: int) -> None:
    """The days that are kept give the same forecast as all days, whenever it is made."""
    kept = forecast.latest(days)
    assert len(kept) <= forecast.MAX_DAYS
    counted = {day: number for day, number in days.items() if number}
    for later in range(0, 9, 4):
        today = ago(-later)
        assert forecast.days_left(free, kept, today) == forecast.days_left(free, counted, today)
