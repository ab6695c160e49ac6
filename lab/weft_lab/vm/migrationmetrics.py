"""Renders what migrations cost as metrics, under KubeVirt's names where it has them. Pure.

Prometheus' text format; figures of migrations that there are, as KubeVirt's virt-controller has
them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from weft_lab.vm import migration, migrationcost

Object = dict[str, Any]
# Field of a migration's cost: metric, its help, and by what the value is divided.
_COSTS = {
    "standstillMilliseconds": (
        *("weft_lab_migration_standstill_seconds", "Seconds that the guest stood still."),
        1000,
    ),
    "downtimeMilliseconds": (
        *("weft_lab_migration_downtime_seconds", "Seconds of it by QEMU's own account."),
        1000,
    ),
    "totalMilliseconds": (
        *("weft_lab_migration_duration_seconds", "Seconds from first connection to last step."),
        1000,
    ),
    "transferredBytes": (
        *("weft_lab_migration_transferred_bytes", "Bytes of memory that were sent."),
        1,
    ),
    "lostPackets": ("weft_lab_migration_lost_packets", "Packets that probes lost meanwhile.", 1),
}
_PHASES = {
    "Succeeded": ("kubevirt_vmi_migration_succeeded", "Whether the migration succeeded."),
    "Failed": ("kubevirt_vmi_migration_failed", "Whether the migration failed."),
}


def render(migrations: Iterable[Object]) -> str:
    """All samples, each metric with its help once."""
    known = list(migrations)
    lines: list[str] = []
    for phase, (name, text) in _PHASES.items():
        values = [(each, 1.0) for each in known if migration.phase(each) == phase]
        lines += _metric(name, text, values)
    waiting = [each for each in known if migration.phase(each) in ("", "Pending")]
    running = [each for each in known if migration.has_target(each)]
    for name, text, found in (
        ("kubevirt_vmi_migrations_in_pending_phase", "Migrations that wait.", waiting),
        ("kubevirt_vmi_migrations_in_running_phase", "Migrations under way.", running),
    ):
        lines += [f"# HELP {name} {text}", f"# TYPE {name} gauge", f"{name} {len(found)}"]
    for field, (name, text, unit) in _COSTS.items():
        lines += _metric(name, text, list(_costs(known, field, unit)))
    return "\n".join([*lines, ""])


def _costs(migrations: Iterable[Object], field: str, unit: int) -> Iterator[tuple[Object, float]]:
    for each in migrations:
        value = ((each.get("status") or {}).get(migrationcost.FIELD) or {}).get(field)
        if type(value) is int:
            yield each, value / unit


def _metric(name: str, text: str, values: Sequence[tuple[Object, float]]) -> list[str]:
    head = [f"# HELP {name} {text}", f"# TYPE {name} gauge"]
    return [*head, *(f"{name}{_labels(each)} {value:g}" for each, value in values)]


def _labels(one: Object) -> str:
    """Names of Kubernetes objects have nothing that would have to be escaped."""
    meta, vmi = one["metadata"], one["spec"].get("vmiName", "")
    return f'{{namespace="{meta["namespace"]}",vmi="{vmi}",vmim="{meta["name"]}"}}'
