"""When a machine that a drained node has to let go is migrated, and when again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from weft_lab.vm import evacuation

NOW = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
MIGRATABLE = [{"type": "LiveMigratable", "status": "True"}]


def vmi(strategy: str = "LiveMigrate", **more: Any) -> dict[str, Any]:
    status = {"phase": "Running", "nodeName": "n1", "evacuationNodeName": "n1"}
    return {
        "metadata": {"uid": "u"},
        "spec": {"evictionStrategy": strategy},
        "status": {**status, "conditions": MIGRATABLE, **more},
    }


def migration(phase: str, second: int = 0) -> dict[str, Any]:
    moment = f"2026-01-01T00:00:{second:02}Z"
    return {
        "metadata": {"annotations": {"kubevirt.io/evacuationMigration": "n1"}},
        "status": {
            "phase": phase,
            "phaseTransitionTimestamps": [{"phase": phase, "phaseTransitionTimestamp": moment}],
        },
    }


def pod(phase: str = "Running") -> dict[str, Any]:
    return {"status": {"phase": phase}}


def test_a_marked_machine_is_migrated_at_once() -> None:
    for strategy in ("LiveMigrate", "LiveMigrateIfPossible"):
        assert evacuation.wait(vmi(strategy), [], [pod(), pod("Succeeded")], NOW) == 0.0


@pytest.mark.parametrize(
    ("instance", "migrations", "pods"),
    [
        (vmi(evacuationNodeName=None), [], [pod()]),
        (vmi(nodeName="n2"), [], [pod()]),
        (vmi(conditions=[]), [], [pod()]),
        (vmi(phase="Scheduled"), [], [pod()]),
        (vmi("External"), [], [pod()]),
        (vmi(), [migration("Running")], [pod()]),
        (vmi(), [], [pod(), pod()]),
    ],
    ids=[
        "not marked",
        "moved",
        "not migratable",
        "not running",
        "for others to move",
        "migrates",
        "two pods",
    ],
)
def test_others_are_not(
    instance: dict[str, Any], migrations: list[dict[str, Any]], pods: list[dict[str, Any]]
) -> None:
    assert evacuation.wait(instance, migrations, pods, NOW) is None


def test_each_failure_doubles_the_pause_until_one_succeeds() -> None:
    def left(*migrations: dict[str, Any]) -> float | None:
        return evacuation.wait(vmi(), migrations, [pod()], NOW)

    assert left(migration("Failed", 50)) == 10.0
    assert left(migration("Failed", 30), migration("Failed", 50)) == 30.0
    assert left(migration("Failed", 30), migration("Succeeded", 50)) == 0.0
