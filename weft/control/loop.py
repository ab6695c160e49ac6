"""Runs the tasks of a process, and ends them all when one of them ends.

`together` runs the tasks of a process, `run` the process itself. A task that fails ends all of them
in order, and its error is reported: a controller without its watch or queue would look alive and do
nothing.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

from weft import errors

log = logging.getLogger(__name__)

Task = Coroutine[Any, Any, None]


class Ended(errors.WeftError):
    """A task that should run for ever returned."""


async def together(**tasks: Task) -> None:
    """Runs tasks, each under its name, until one fails or this is cancelled.

    Raises the error of the task that failed, or Ended for one that returned.
    """

    async def endless(name: str, task: Task) -> None:
        await task
        raise Ended(f"{name} ended by itself")

    try:
        async with asyncio.TaskGroup() as group:
            for name, task in tasks.items():
                group.create_task(endless(name, task), name=name)
    except BaseExceptionGroup as failures:
        raise first_cause(failures) from failures


def first_cause(failures: BaseExceptionGroup[Any]) -> BaseException:
    """Returns the exception to report: the first WeftError, which says most, else the first."""
    leaves: list[BaseException] = []
    pending: list[BaseException] = list(failures.exceptions)
    while pending:
        error = pending.pop(0)
        if isinstance(error, BaseExceptionGroup):
            pending = [*error.exceptions, *pending]
        else:
            leaves.append(error)
    foreseen = [error for error in leaves if isinstance(error, errors.WeftError)]
    return (foreseen or leaves)[0]


async def until_signalled(main: Task) -> None:
    """Runs `main`; SIGTERM and SIGINT cancel it and count as a good end."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_log_exception)
    task = loop.create_task(main, name="main")
    stopped: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        log.info("stopping on %s", number.name)
        stopped.append(number)
        task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    try:
        await task
    except asyncio.CancelledError:
        if not stopped:
            raise
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _log_exception(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Logs a lost connection that nobody awaited in one line; the loop reports other errors."""
    error = context.get("exception")
    if isinstance(error, OSError) and context.get("transport", context.get("protocol")):
        log.info("a connection ended: %s", error)  # its user gets the error too
        return
    loop.default_exception_handler(context)


def run(main: Callable[[], Task]) -> None:
    """Runs `main` on a new uvloop event loop until it ends or a signal stops it."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(until_signalled(main()))


def settle() -> None:
    """Call after the first sync: exempts the objects made so far from garbage collection.

    The thresholds rise because a burst makes many objects that the next list or watch event
    frees by reference count alone; full collections over a large cache would show in the p99.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
