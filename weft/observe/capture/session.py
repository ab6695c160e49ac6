"""Has a node capture packets, and takes what it sends, block by block.

The node's end ends with this one: it hears every few seconds that somebody reads.
"""

from __future__ import annotations

import asyncio
import contextlib
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from weft import errors
from weft.host import process
from weft.observe.capture import order, pcapng
from weft.observe.capture.order import Order

_CHUNK = 1 << 18  # bytes
_LAST = 15.0  # seconds for the end of a capture that this side ends
_LONGEST_ERROR = 300  # characters

# Whole blocks: what each says (None for the head), and its bytes. Called in a thread.
Take = Callable[[Sequence[tuple[pcapng.Block | None, bytes]]], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """`packets` were taken. `statistics`: the node's own; None if its end of the capture is
    missing, and then `trouble` says why."""

    packets: int = 0
    bytes: int = 0
    statistics: pcapng.Statistics | None = None
    trouble: str = ""


async def run(
    command: process.Command,
    asked: Order,
    take: Take,
    *,
    enough: asyncio.Event,
    is_read: Callable[[], bool] = lambda: True,
) -> Outcome:
    """Capture until the node ends it, or `enough` is set, or `is_read` says no: nobody takes it.

    Raise Unavailable if nothing was captured at all.
    """
    async with process.start(command.argv, env=command.env, stdin=True) as running:
        assert running.stdin is not None
        complaint = asyncio.create_task(_complaint(running))
        ending = asyncio.create_task(_accompany(running, asked, enough, is_read))
        try:
            outcome = await _taken(running, take, ending)
        finally:
            ending.cancel()
            await asyncio.gather(ending, return_exceptions=True)
        if outcome.statistics is not None:
            complaint.cancel()
            return outcome
        message = ""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST):
                message = await complaint
    message = errors.printable(message).strip()
    trouble = outcome.trouble or message[-_LONGEST_ERROR:] or "it ended without a word"
    if not outcome.bytes:
        raise errors.Unavailable(trouble)
    return Outcome(outcome.packets, outcome.bytes, trouble=trouble)


async def _complaint(running: Process) -> str:
    """What it wrote on standard error; more than a little is read and forgotten."""
    assert running.stderr is not None
    found = b""
    while data := await running.stderr.read(1 << 12):
        found = (found + data)[-(1 << 12) :]
    return found.decode(errors="replace")


async def _accompany(
    running: Process, asked: Order, enough: asyncio.Event, is_read: Callable[[], bool]
) -> None:
    """Send the order, and then that it is still read, until it is not; then wait for the end."""
    assert running.stdin is not None
    with contextlib.suppress(ConnectionError):
        running.stdin.write(asked.line())
        while is_read():
            running.stdin.write(order.ALIVE)
            await running.stdin.drain()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(order.PULSE):
                    await enough.wait()
                    break
        running.stdin.write(order.END)
        await running.stdin.drain()
    await asyncio.sleep(_LAST)


async def _taken(running: Process, take: Take, ending: asyncio.Task[None]) -> Outcome:
    reader, outcome = pcapng.Reader(), Outcome()
    async for data in _chunks(running, ending):
        blocks: list[tuple[pcapng.Block | None, bytes]] = []
        trouble = ""
        try:
            blocks.extend(reader.feed(data))
        except errors.Unavailable as error:
            trouble = error.what
        if blocks:
            await asyncio.to_thread(take, blocks)
            outcome = _counted(outcome, blocks)
        if trouble:
            return Outcome(outcome.packets, outcome.bytes, trouble=trouble)
    return outcome


async def _chunks(running: Process, ending: asyncio.Task[None]) -> AsyncIterator[bytes]:
    """What it writes until it ends, or does not end in time."""
    assert running.stdout is not None
    while True:
        reading = asyncio.ensure_future(running.stdout.read(_CHUNK))
        try:
            await asyncio.wait({reading, ending}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                return
            if not (data := reading.result()):
                return
        finally:
            reading.cancel()
        yield data


def _counted(outcome: Outcome, blocks: Sequence[tuple[pcapng.Block | None, bytes]]) -> Outcome:
    packets = sum(isinstance(block, pcapng.Packet) for block, _ in blocks)
    ends = [block for block, _ in blocks if isinstance(block, pcapng.Statistics)]
    size = sum(len(data) for _, data in blocks)
    last = ends[-1] if ends else outcome.statistics
    return Outcome(outcome.packets + packets, outcome.bytes + size, last)
