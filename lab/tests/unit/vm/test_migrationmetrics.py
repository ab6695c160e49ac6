"""Migrations as metrics, under KubeVirt's names."""

from __future__ import annotations

from typing import Any

from weft_lab.vm import migrationmetrics


def migration(name: str, phase: str, **cost: int) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "ns"},
        "spec": {"vmiName": "vm"},
        "status": {"phase": phase, "cost": cost},
    }


def test_each_migration_has_its_figures() -> None:
    text = migrationmetrics.render(
        [
            migration("a", "Succeeded", standstillMilliseconds=250, transferredBytes=9),
            migration("b", "Failed"),
            migration("c", "Running"),
            migration("d", "Pending"),
        ]
    )
    lines = text.splitlines()
    labels = 'namespace="ns",vmi="vm",vmim='
    assert f'kubevirt_vmi_migration_succeeded{{{labels}"a"}} 1' in lines
    assert f'kubevirt_vmi_migration_failed{{{labels}"b"}} 1' in lines
    assert "kubevirt_vmi_migrations_in_pending_phase 1" in lines
    assert "kubevirt_vmi_migrations_in_running_phase 1" in lines
    assert f'weft_lab_migration_standstill_seconds{{{labels}"a"}} 0.25' in lines
    assert f'weft_lab_migration_transferred_bytes{{{labels}"a"}} 9' in lines
    assert text.count("# TYPE weft_lab_migration_standstill_seconds gauge") == 1


def test_without_migrations_nothing_is_claimed() -> None:
    lines = migrationmetrics.render([]).splitlines()
    samples = [line for line in lines if not line.startswith("#")]
    assert samples == [
        "kubevirt_vmi_migrations_in_pending_phase 0",
        "kubevirt_vmi_migrations_in_running_phase 0",
    ]
