"""The pod that a migration's controller has made for it, as its status records it."""

from __future__ import annotations

from datetime import UTC, datetime

from weft_lab.vm import migrationrecord

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_migration_names_the_pod_that_was_made_for_it_and_keeps_its_other_conditions() -> None:
    other = {"type": "migrationAbortRequested", "status": "True"}
    one = {"metadata": {}, "status": {"conditions": [other]}}
    assert not migrationrecord.target_uid(one)
    status = migrationrecord.with_target(one, "p1", NOW)
    assert migrationrecord.target_uid({"status": status}) == "p1"
    assert other in status["conditions"]
