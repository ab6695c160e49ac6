"""What one viewer may compute at a time."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest

from tests.support.patience import PATIENCE
from weft import errors
from weft.console.computing import Computing


async def test_a_viewer_who_leaves_keeps_the_turn_until_the_thread_has_ended() -> None:
    computing, may_end, began = Computing(), threading.Event(), threading.Event()
    second = threading.Event()

    def slow() -> None:
        began.set()
        may_end.wait(PATIENCE)

    left = asyncio.create_task(computing.run(slow))
    assert await asyncio.to_thread(began.wait, PATIENCE)
    left.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await left
    waiting = asyncio.create_task(computing.run(second.set))
    another = Computing()
    await another.run(lambda: None)  # another viewer does not wait
    assert not second.is_set()
    may_end.set()
    async with asyncio.timeout(PATIENCE):
        await waiting
    assert second.is_set()


async def test_results_and_errors_come_back() -> None:
    computing = Computing()

    def fail() -> None:
        raise errors.WeftError("no")

    with pytest.raises(errors.WeftError, match="no"):
        await computing.run(fail)
    assert await computing.run(max, 1, 2) == 2
