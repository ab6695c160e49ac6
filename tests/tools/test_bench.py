"""What a reader of the bench sees, on a terminal of 80 columns and when a bench breaks."""

from __future__ import annotations

import sys
from io import StringIO
from types import ModuleType

import pytest
from rich.console import Console

from bench import __main__ as bench
from bench import figures, losses

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


def test_what_a_peer_lost_of_a_move_is_not_what_came_late() -> None:
    """Three pings are lost before the guest stops; those of its standstill are answered late."""
    sent = [number / 100 for number in range(300)]
    answered = [at if at < 2.5 or at > 2.7 else 2.7 for at in sent]
    pings = [
        (at, came + 0.001, 0 if 1.5 <= at < 1.525 else 2 if at == 2.8 else 1)
        for at, came in zip(sent, answered, strict=True)
    ]
    move = losses.Move("weft", True, "a", "b", 101, 101.9, 102.5, 200)
    peers = {node: losses.Pings(100, pings) for node in ("a", "b", "c")}
    seen = losses.Witnesses(peers, [101, 101.1, 102.6])
    cost = losses.cost(move, seen)
    peer = cost.peers["third"]
    assert (cost.twice, peer.twice) == (3, 1)
    assert round(peer.early) == round(peer.outage) == 30
    assert round(peer.unanswered) == 210
    assert round(cost.stall) == 1500
    shown = {each.name: round(each.value) for each in losses.figures([move], {"weft": seen})}
    assert shown["at stop: lost, worst"] == 30
    assert shown["at stop: packets answered twice"] == 3


def test_a_stream_that_answers_no_more_has_stalled_until_the_end() -> None:
    move = losses.Move("weft", True, "a", "b", 101, 101.9, 101.5, 200)
    pings = losses.Pings(100, [(at / 100, at / 100, 1) for at in range(300)])
    seen = losses.Witnesses({"a": pings}, [101, 101.1, 101.2])
    assert round(losses.cost(move, seen).stall) == 1700
