"""Forecasts when a network has no free address, from the days on which its holders were created.

Pure. The objects that hold addresses are all that is known, so nothing is stored: a pod that
replaced another counts as new, and the forecast is the earliest day, not the likely one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

WINDOW = 7  # days whose allocations count
# Days that are kept of a network: if there are so many, one lies outside of the window.
MAX_DAYS = WINDOW + 1


def latest(days: Mapping[str, int]) -> dict[str, int]:
    """Returns the MAX_DAYS latest days (YYYY-MM-DD) that have allocations, in order."""
    chosen = sorted(day for day, number in days.items() if number > 0 and day)
    return {day: days[day] for day in chosen[-MAX_DAYS:]}


def per_day(days: Mapping[str, int], today: str) -> float:
    """Returns how many more addresses a day are in use, over the last WINDOW days.

    `days`: allocations by day of creation (YYYY-MM-DD). A network that is younger than the window
    is measured over its own days, at least one. Days that cannot be read do not count.
    """
    ages = {age: number for day, number in days.items() if (age := _age(day, today)) is not None}
    if not ages:
        return 0.0
    span = min(max(ages) + 1, WINDOW)
    return sum(number for age, number in ages.items() if age < WINDOW) / span


def days_left(free: int, days: Mapping[str, int], today: str) -> float | None:
    """Returns in how many days no address is free; None if no more are in use than before."""
    if free <= 0:
        return 0.0
    rate = per_day(days, today)
    return free / rate if rate else None


def _age(day: str, today: str) -> int | None:
    """Returns how many days ago it was; a day in the future, by another clock, is today."""
    try:
        return max((date.fromisoformat(today) - date.fromisoformat(day)).days, 0)
    except ValueError:
        return None
