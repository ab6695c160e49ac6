"""Notices that the other end of a connection is gone, also while nothing is read of it.

A transport that does not read, because its reader has enough, does not see the end, either: who
waits for room at the next hop would wait for a client that was killed long ago.
"""

from __future__ import annotations

import asyncio
import os
import select


async def wait(transport: asyncio.BaseTransport | None) -> None:
    """Return when the other end of a stream socket has closed it, or the transport has no socket.

    What the other end sent before may still be unread.
    """
    own = transport.get_extra_info("socket") if transport is not None else None
    if own is None or own.fileno() < 0:
        return
    watched = os.dup(own.fileno())  # the transport may close its own meanwhile
    try:
        with select.epoll() as watch:
            watch.register(watched, select.EPOLLRDHUP)  # and errors, always
            gone = asyncio.Event()
            loop = asyncio.get_running_loop()
            loop.add_reader(watch.fileno(), gone.set)
            try:
                await gone.wait()
            finally:
                loop.remove_reader(watch.fileno())
    finally:
        os.close(watched)
