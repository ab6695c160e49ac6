"""Reads and writes pipes and terminals without blocking, as fast as the other end allows."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable

CHUNK = 1 << 15


async def read(descriptor: int) -> bytes:
    """What is there, when something is; nothing at the end."""
    while True:
        try:
            return os.read(descriptor, CHUNK)
        except BlockingIOError:
            await readable(descriptor)
        except OSError as error:
            if error.errno == errno.EIO:  # a terminal that nobody has open
                return b""
            raise


async def write(descriptor: int, data: bytes) -> bool:
    """Write all of it; whether anybody reads it."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            loop = asyncio.get_running_loop()
            await _ready(descriptor, loop.add_writer, loop.remove_writer)
        except OSError:
            return False
    return True


def read_now(descriptor: int) -> bytes:
    """What is there at this moment."""
    try:
        return os.read(descriptor, CHUNK)
    except OSError:
        return b""


async def readable(descriptor: int) -> None:
    """Wait until there is something to read, or the end."""
    loop = asyncio.get_running_loop()
    await _ready(descriptor, loop.add_reader, loop.remove_reader)


async def _ready(descriptor: int, add: Callable[..., None], remove: Callable[[int], bool]) -> None:
    there = asyncio.Event()
    add(descriptor, there.set)
    try:
        await there.wait()
    finally:
        remove(descriptor)
