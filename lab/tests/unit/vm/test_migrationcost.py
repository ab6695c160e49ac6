"""Figures of a migration: what was seen, and nothing else."""

from __future__ import annotations

from weft_lab.vm import migrationcost

INFO = {"downtime": 100, "ram": {"transferred": 50_000_000, "dirty-sync-count": 3}}


def test_times_are_between_steps() -> None:
    steps = ("begun", "disks", "memory", "stopped", "sent", "resumed")
    clock = migrationcost.Clock({step: second / 10 for second, step in enumerate(steps)})
    found = migrationcost.figures(clock, INFO)
    assert found["standstillMilliseconds"] == 200
    assert found["totalMilliseconds"] == 500
    assert found["connectMilliseconds"] == found["disksMilliseconds"] == 100
    assert "50 MB in 3 rounds" in migrationcost.summary(found)
    assert "the guest stood still 200 ms, by QEMU 100 ms" in migrationcost.summary(found)


def test_a_step_that_nobody_saw_has_no_time() -> None:
    found = migrationcost.figures(migrationcost.Clock({"begun": 0.0, "memory": 1.0}), INFO)
    assert found["connectMilliseconds"] == 1000
    assert not found.keys() & {"standstillMilliseconds", "totalMilliseconds", "disksMilliseconds"}


def test_the_first_time_counts() -> None:
    clock = migrationcost.Clock({"begun": 5.0})
    clock.mark("begun")
    assert clock.at == {"begun": 5.0}


def test_figures_that_are_none_are_left_out() -> None:
    """A pod may serve its machine's monitor itself."""
    for info in ({"ram": "much", "downtime": {}}, {"ram": {"transferred": "all"}}, {}):
        assert migrationcost.figures(migrationcost.Clock(), info) == {}
