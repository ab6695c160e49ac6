"""Prints the figures of a bench, each beside its peer and its limit, as a table or as JSON lines.

A bench module has `run() -> Iterable[Figure]`. Contenders are measured in turns (`interleave`),
so that a machine that is busy for a while is busy for all of them, and the median counts.
"""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value.

    `at_least` and `at_most` bound the ratio to the peer's value, or without a peer the value
    itself. A figure without bound is only shown, as is `beside`, in the peer's place.
    """

    name: str
    value: float
    unit: str
    peer: str = ""
    peer_value: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    beside: str = ""

    @property
    def ratio(self) -> float | None:
        return self.value / self.peer_value if self.peer_value else None

    @property
    def limit(self) -> str:
        bounds = [f"≥ {self.at_least:g}"] if self.at_least is not None else []
        bounds += [f"≤ {self.at_most:g}"] if self.at_most is not None else []
        of = " ×" if self.peer else f" {self.unit}"
        return " and ".join(bound + of for bound in bounds)

    @property
    def ok(self) -> bool | None:
        """Whether the bounds hold; None if there are none."""
        bounded = self.value if self.ratio is None else self.ratio
        if self.at_least is None and self.at_most is None:
            return None
        low = self.at_least is None or bounded >= self.at_least
        return low and (self.at_most is None or bounded <= self.at_most)

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "peer": self.peer,
            "peer_value": self.peer_value,
            "beside": self.beside,
            "ratio": self.ratio,
            "limit": self.limit,
            "ok": self.ok,
        }


def interleave(repeats: int, **contenders: Callable[[], float]) -> dict[str, float]:
    """The median of what each contender returns, all called in turn, `repeats` times over."""
    values: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, measure in contenders.items():
            gc.collect()  # nobody pays for what another left behind
            values[name].append(measure())
    return {name: statistics.median(seen) for name, seen in values.items()}


def show(figures: Iterable[Figure], *, as_json: bool, console: Console) -> bool:
    """Print the figures, JSON at once and the table at the end; True if every bound holds.

    Where `figures` breaks off, the table of those that came is printed first.
    """
    shown: list[Figure] = []
    try:
        for figure in figures:
            shown.append(figure)
            if as_json:
                print(orjson.dumps(figure.as_json()).decode(), flush=True)
    finally:
        if shown and not as_json:
            console.print(_table(shown))
    return all(figure.ok is not False for figure in shown)


def _table(figures: Iterable[Figure]) -> Table:
    table = Table("figure", "value", "peer", "ratio", "limit", "", box=None, pad_edge=False)
    for column in (1, 3):
        table.columns[column].justify = "right"
    for column in (1, 3, 4, 5):
        table.columns[column].no_wrap = True  # words give way where a terminal is narrow
    for figure in figures:
        table.add_row(
            figure.name,
            f"{_number(figure.value)} {figure.unit}",
            f"{figure.peer} {_number(figure.peer_value)}" if figure.peer_value else figure.beside,
            "" if figure.ratio is None else f"{figure.ratio:.2f}",
            figure.limit,
            {True: "[green]ok", False: "[red]missed", None: ""}[figure.ok],
        )
    return table


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
