"""What a reader of the bench sees, on a terminal of 80 columns and when a bench breaks."""

from __future__ import annotations

import sys
from io import StringIO
from types import ModuleType

import pytest
from rich.console import Console

from bench import __main__ as bench
from bench import figures

LONG = figures.Figure(
    "one more remote pod of 4,000 ports, transaction to bound",
    1234.5,
    "pods/s",
    "rows by hand in one request",
    1000.25,
    at_most=1.2,
)


def console() -> tuple[Console, StringIO]:
    written = StringIO()
    return Console(file=written, width=80, color_system=None), written


def test_values_and_limits_are_whole_at_80_columns() -> None:
    shown, written = console()
    figures.show([LONG], as_json=False, console=shown)
    text = written.getvalue()
    for whole in ("1,234 pods/s", "1.23", "\u2264 1.2 \u00d7", "missed"):
        assert whole in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_bench_that_breaks_says_why_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = ModuleType("bench.broken")

    def run() -> None:
        raise RuntimeError("no [room] left")

    broken.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "bench.broken", broken)
    monkeypatch.delenv("WEFT_DEBUG", raising=False)
    shown, written = console()
    assert not bench.measure("broken", as_json=False, console=shown)
    assert "bench broken broke off: RuntimeError: no [room] left" in written.getvalue()
    assert "Traceback" not in written.getvalue()
