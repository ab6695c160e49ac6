"""Records what a migration cost: time of each step, and how long the guest stood still."""

from __future__ import annotations

import time
from typing import Any

from weft.kube import events
from weft.kube.client import Client, Object


class Clock:
    """When each step was reached, by one node's clock."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}

    def mark(self, step: str) -> None:
        self.at.setdefault(step, time.monotonic())


async def record(
    client: Client, recorder: events.Recorder, vmi: Object, clock: Clock, info: dict[str, Any]
) -> None:
    """Write the figures to the migration."""
