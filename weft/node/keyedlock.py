"""Locks by key: one call at a time for one interface of one sandbox, in order of arrival.

A lock lives from the first call that asks for it to the end of the last.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Set
from dataclasses import dataclass, field

Key = tuple[str, str]


@dataclass(slots=True)
class _Turn:
    """`calls`: how many have the lock or wait for it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    calls: int = 0


class KeyedLock:
    """Locks by (sandbox, interface)."""

    def __init__(self) -> None:
        self._turns: dict[Key, _Turn] = {}

    @property
    def keys(self) -> Set[Key]:
        """The keys that are locked or waited for; a live view."""
        return self._turns.keys()

    @contextlib.asynccontextmanager
    async def of(self, key: Key) -> AsyncIterator[None]:
        """Waits for the lock, and holds it for as long as the scope lasts."""
        turn = self._turns.setdefault(key, _Turn())
        turn.calls += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.calls -= 1
            if not turn.calls:
                del self._turns[key]
