"""Computes in a thread, so that nobody else waits: for each viewer one thing at a time.

All viewers share a few threads; one who loads a large page again and again gets one of them.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Computing:
    """The turn of one viewer."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def run(self, function: Callable[P, R], *args: P.args, **keywords: P.kwargs) -> R:
        """The function's result. A thread cannot be stopped: the turn goes on until it has ended,
        even if nobody waits for the result any more."""
        await self._turn.acquire()
        running = asyncio.get_running_loop().run_in_executor(
            None, functools.partial(function, *args, **keywords)
        )
        running.add_done_callback(lambda _: self._turn.release())
        return await asyncio.shield(running)
