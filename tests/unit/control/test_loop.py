from __future__ import annotations

import asyncio

import pytest

from weft import errors
from weft.control import loop


async def forever() -> None:
    await asyncio.Event().wait()


async def fail(error: Exception) -> None:
    raise error


async def test_one_failure_ends_all_and_is_what_is_reported() -> None:
    ended = asyncio.Event()

    async def other() -> None:
        try:
            await forever()
        finally:
            ended.set()

    with pytest.raises(errors.Unavailable, match="gone"):
        await loop.together(one=fail(errors.Unavailable("gone")), two=other())
    assert ended.is_set()


async def test_a_part_that_ends_is_a_failure_that_names_it() -> None:
    async def short() -> None:
        pass

    with pytest.raises(loop.Ended, match="watch ended"):
        await loop.together(watch=short(), other=forever())


async def test_what_was_foreseen_is_reported_before_what_was_not() -> None:
    known, unknown = errors.NotReady("wait"), KeyError("x")
    group = ExceptionGroup("all", [unknown, ExceptionGroup("inner", [known])])
    assert loop.first_cause(group) is known
    assert loop.first_cause(ExceptionGroup("all", [unknown])) is unknown


async def test_cancelling_the_whole_cancels_the_parts() -> None:
    task = asyncio.create_task(loop.together(one=forever(), two=forever()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_connection_that_ends_unawaited_is_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tracebacks: list[bool] = []
    running = asyncio.get_running_loop()
    with caplog.at_level("INFO"):
        for error in (ConnectionResetError(104, "reset"), KeyError("mistake")):
            loop._log_exception(
                running, {"message": "Fatal error", "exception": error, "transport": 1}
            )
            tracebacks.append(caplog.records[-1].exc_info is not None)
    assert tracebacks == [False, True]
    assert "reset" in caplog.records[0].message
