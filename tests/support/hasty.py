"""An event loop for which time passes at once: where nothing is left to do, the next timer is due.

For what a program does over minutes: how often it asks again, and when it says that it cannot.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Hasty(asyncio.SelectorEventLoop):
    """Without threads and sockets, for which nobody would wait."""

    def __init__(self) -> None:
        super().__init__()
        self._clock = 0.0

    def time(self) -> float:
        return self._clock

    def _run_once(self) -> None:
        ready: Any = self._ready  # type: ignore[attr-defined]
        scheduled: Any = self._scheduled  # type: ignore[attr-defined]
        if not ready and scheduled:
            self._clock = max(self._clock, scheduled[0].when())
        super()._run_once()  # type: ignore[misc]


def run(main: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=Hasty) as runner:
        return runner.run(main)
