"""Records what a migration cost: time of each step, and how long the guest stood still.

All times are of the source node's clock. The guest stands still from QEMU's STOP until the source
hears that the target's QEMU runs: that is what others see of it, a few milliseconds more than what
QEMU itself measures.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from weft.kube import events, resources
from weft.kube.client import Client, Conflict, NotFound, Object
from weft_lab.reasons import Reason
from weft_lab.vm import launcherpod, lifecycle, migration, status

MEASURED = "lab.weft/Measured"  # condition of a migration
FIELD = "cost"  # of its status
ATTEMPTS = 5
BEGUN, DISKS, MEMORY, STOPPED, SENT, RESUMED = (
    *("begun", "disks", "memory", "stopped", "sent"),
    "resumed",
)


@dataclass(slots=True)
class Clock:
    """When each step was reached, in seconds."""

    at: dict[str, float] = field(default_factory=dict)

    def mark(self, step: str) -> None:
        """The first time counts."""
        self.at.setdefault(step, time.monotonic())

    def between(self, first: str, last: str) -> int | None:
        """Milliseconds; None where a step was not seen."""
        if first not in self.at or last not in self.at:
            return None
        return round((self.at[last] - self.at[first]) * 1000)


def figures(clock: Clock, info: Mapping[str, Any]) -> dict[str, int]:
    """Milliseconds and bytes; `info` is QEMU's query-migrate. What was not seen is left out."""
    ram = info.get("ram")
    ram = ram if isinstance(ram, dict) else {}
    downtime = info.get("downtime")
    downtime = downtime if isinstance(downtime, int) else None
    still = clock.between(STOPPED, RESUMED)
    if still is not None:  # a busy QEMU may say late that it has stopped
        still = max(still, downtime or 0)
    found = {
        "standstillMilliseconds": still,
        "downtimeMilliseconds": downtime,
        "totalMilliseconds": clock.between(BEGUN, RESUMED),
        "connectMilliseconds": clock.between(BEGUN, DISKS if DISKS in clock.at else MEMORY),
        "disksMilliseconds": clock.between(DISKS, MEMORY),
        "memoryMilliseconds": clock.between(MEMORY, STOPPED),
        "sendRestMilliseconds": clock.between(STOPPED, SENT),
        "resumeMilliseconds": clock.between(SENT, RESUMED),
        "transferredBytes": ram.get("transferred"),
        "memoryRounds": ram.get("dirty-sync-count"),
    }
    return {name: value for name, value in found.items() if isinstance(value, int)}


def summary(found: Mapping[str, int]) -> str:
    """One line for people."""
    megabytes = found.get("transferredBytes", 0) / 1e6
    parts = [
        f"{label} {found[name]} ms"
        for name, label in (
            ("standstillMilliseconds", "the guest stood still"),
            ("downtimeMilliseconds", "by QEMU"),
            ("totalMilliseconds", "all took"),
        )
        if name in found
    ]
    return ", ".join([*parts, f"{megabytes:.0f} MB in {found.get('memoryRounds', 0)} rounds"])


async def record(
    client: Client, recorder: events.Recorder, vmi: Object, clock: Clock, info: Mapping[str, Any]
) -> None:
    """Write the figures to the migration's status, with a condition and an Event."""
    state, namespace = migration.state(vmi), vmi["metadata"]["namespace"]
    found = figures(clock, info)
    text = summary(found)
    for _ in range(ATTEMPTS):
        try:
            pod = await client.get(resources.PODS, str(state.get("targetPod")), namespace)
            name = str((pod["metadata"].get("annotations") or {}).get(launcherpod.MIGRATION_NAME))
            one = await client.get(resources.VMIMS, name, namespace)
            if one["metadata"]["uid"] != state.get("migrationUid"):
                return
            now = lifecycle.stamp(datetime.now(UTC))
            conditions = status.with_condition(
                (one.get("status") or {}).get("conditions") or (),
                *(MEASURED, "True", now, "Measured", text),
            )
            version = one["metadata"]["resourceVersion"]
            body = {
                "metadata": {"resourceVersion": version},
                "status": {FIELD: found, "conditions": conditions},
            }
            await client.patch(resources.VMIMS, name, namespace, body, subresource="status")
        except Conflict:
            continue
        except NotFound:
            return
        recorder.emit(one, Reason.MIGRATION_MEASURED, text)
        return
