"""Deletes each Event an hour after it was last written, as on a cluster.

What was stored before the server started counts as written then.
"""

from __future__ import annotations

import asyncio
import time

from weft_lab.apiserver import store
from weft_lab.apiserver.cluster import Cluster

EVENTS = "events"
LIFETIME = 3600.0
_AT_ONCE = 100  # so few that requests do not wait long


class Expiry:
    """`listen` gets each published change, `run` deletes Events that are due."""

    def __init__(self, cluster: Cluster, now: float) -> None:
        self._cluster = cluster
        events = cluster.store.collection(EVENTS)
        self._written = dict.fromkeys(events.items, now)  # the oldest first

    def listen(self, change: store.Change) -> None:
        if change.collection == EVENTS:
            self._written.pop(change.item.key, None)
            if change.kind != "DELETED":
                self._written[change.item.key] = time.monotonic()

    async def run(self) -> None:
        while True:
            pause = self.sweep(time.monotonic())
            await self._cluster.journal.durable()
            await asyncio.sleep(pause)

    def sweep(self, now: float) -> float:
        """Delete some of the Events that are due; returns the seconds until there may be more."""
        resource = self._cluster.registry.get(EVENTS)
        assert resource is not None
        items = self._cluster.collection(resource).items
        for key, written in list(self._written.items())[:_AT_ONCE]:
            if written + LIFETIME > now:
                return written + LIFETIME - now
            del self._written[key]
            if key in items:
                self._cluster.remove(resource, items[key])
        return 0.0 if self._written else LIFETIME
