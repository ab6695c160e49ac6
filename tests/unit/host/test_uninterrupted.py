"""Work that is waited for by somebody who is cancelled again and again."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import hasty
from weft.host import uninterrupted


@given(st.lists(st.floats(0, 10), max_size=5), st.booleans())
def test_it_comes_to_its_end_and_then_the_cancellation_counts(
    cancels: list[float], fails: bool
) -> None:
    async def main() -> None:
        done: list[float] = []
        loop = asyncio.get_running_loop()

        async def work() -> str:
            await asyncio.sleep(5)
            done.append(loop.time())
            if fails:
                raise KeyError("x")
            return "made"

        caller = asyncio.create_task(uninterrupted.finish(work()))
        for delay in cancels:
            loop.call_later(delay, caller.cancel)
        await asyncio.wait({caller})
        assert done == [5]
        if any(delay < 5 for delay in cancels if delay):
            assert caller.cancelled()
        elif not cancels and not fails:
            assert caller.result() == "made"
        elif not cancels:
            with pytest.raises(KeyError):
                caller.result()

    hasty.run(main())
