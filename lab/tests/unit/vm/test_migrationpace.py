"""A guest stands still for as little as its writes allow, and moves however much it writes."""

from __future__ import annotations

from weft_lab.vm import migrationpace


def test_a_round_that_misses_the_limit_doubles_it_up_to_qemus_own() -> None:
    limits = [migrationpace.limit(round_) for round_ in range(12)]
    assert limits == [5, 5, 5, 5, 10, 20, 40, 80, 160, 300, 300, 300]


def test_a_number_of_rounds_that_no_migration_has_is_no_trouble() -> None:
    assert migrationpace.limit(-1) == migrationpace.LEAST
    assert migrationpace.limit(1 << 60) == migrationpace.MOST
