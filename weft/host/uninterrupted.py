"""Runs work to its end, even if the task that waits for it is cancelled.

A thread cannot be cancelled, and an undo must not be. A cancelled caller continues when the work
has ended, so that later steps do not overlap it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def finish(work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`. A cancellation of the caller takes effect when `work` has ended.

    An exception from `work` is then discarded in favour of the cancellation.
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
            task.exception()  # retrieved here, so asyncio does not log it
        raise given_up
    return task.result()


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `work` in a thread, to its end."""
    return await finish(asyncio.to_thread(work, *args, **kwargs))
