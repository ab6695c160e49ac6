"""The id of a task's log entries does not leak into other tasks."""

from __future__ import annotations

import asyncio

from weft import logid


def test_each_task_has_its_own() -> None:
    async def call(uid: str, others: asyncio.Barrier) -> str:
        logid.current.set(uid)
        async with others:
            return logid.current.get()

    async def both() -> list[str]:
        barrier = asyncio.Barrier(2)
        tasks = [asyncio.create_task(call(uid, barrier)) for uid in ("one", "two")]
        return list(await asyncio.gather(*tasks))

    assert asyncio.run(both()) == ["one", "two"]
    assert logid.current.get() == ""
    assert logid.about("one") == {"id": "one"}
