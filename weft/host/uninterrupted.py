"""Runs work to its end, whatever becomes of the task that waits for it.

A thread cannot be cancelled, and an undo must not be: whoever gives up hears of it when the work
has ended, so that what comes next finds nothing that is still on its way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def finish(work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`. A cancellation of the caller waits until `work` has ended.

    What `work` raises then is lost to the cancellation.
    """
    task = asyncio.ensure_future(work)
    given_up: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            given_up = given_up or error
    if given_up is not None:
        if not task.cancelled():
            task.exception()  # seen here
        raise given_up
    return task.result()


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `work` in a thread, to its end."""
    return await finish(asyncio.to_thread(work, *args, **kwargs))
