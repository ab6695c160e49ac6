"""A migration ends when its memory does not get less for too long, or when it takes too long."""

from __future__ import annotations

from weft_lab.vm.migrationprogress import Progress


def left(remaining: int) -> dict[str, dict[str, int]]:
    return {"ram": {"remaining": remaining}}


def test_no_less_memory_for_too_long_is_no_progress() -> None:
    progress = Progress((10.0, 0.0))
    assert progress.verdict(left(100), 1.0) == ""
    assert progress.verdict(left(90), 9.0) == ""
    assert progress.verdict(left(95), 18.0) == ""  # what it has done before counts
    assert "stuck for 11 seconds" in progress.verdict(left(90), 20.0)


def test_it_takes_too_long_even_if_it_gets_on() -> None:
    progress = Progress((10.0, 30.0))
    said = [progress.verdict(left(100 - second), float(second)) for second in range(1, 33)]
    assert said[29] == ""
    assert "not completed after 30 seconds" in said[31]


def test_without_deadlines_it_may_take_as_long_as_it_takes() -> None:
    progress = Progress((0.0, 0.0))
    assert all(progress.verdict(left(100), float(second)) == "" for second in (1, 10_000))
