"""Locks by key: one call at a time for one interface of one sandbox, in order of arrival.

A key is known from the first call that asks for it to the end of the last, so no two calls ever
wait for different locks. What a call does is not known here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Set
from dataclasses import dataclass, field

Key = tuple[str, str]


@dataclass(slots=True)
class _Turn:
    """`calls` that have it or wait for it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    calls: int = 0


class KeyedLock:
    """By (sandbox, interface)."""

    def __init__(self) -> None:
        self._turns: dict[Key, _Turn] = {}

    @property
    def keys(self) -> Set[Key]:
        """What calls are about now; a live view."""
        return self._turns.keys()

    @contextlib.asynccontextmanager
    async def of(self, key: Key) -> AsyncIterator[None]:
        """Wait for this call's turn, and have it for as long as the scope lasts."""
        turn = self._turns.setdefault(key, _Turn())
        turn.calls += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.calls -= 1
            if not turn.calls:
                del self._turns[key]
