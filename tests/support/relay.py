"""A TCP relay in front of a server: a test can cut its connections and move its target."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit


class Relay:
    """`port` stays the same for as long as the test runs."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls  # to the server
        self.port = 0
        self._target: tuple[str, int] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def point_to(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        self._target = (parts.hostname, parts.port)

    def cut(self) -> None:
        """Ends every connection and takes no new one until pointed somewhere again."""
        self._target = None
        self.drop()

    async def close(self) -> None:
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def drop(self) -> None:
        """Ends every connection; new ones are taken."""
        for task in self._tasks:
            task.cancel()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self._target is None:
                return
            far_reader, far_writer = await asyncio.open_connection(*self._target, ssl=self._tls)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(_copy(reader, far_writer))
                    group.create_task(_copy(far_reader, writer))
            finally:
                far_writer.transport.abort()
        except (OSError, asyncio.CancelledError, BaseExceptionGroup):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    raise ConnectionResetError


@asynccontextmanager
async def relaying(url: str) -> AsyncIterator[Relay]:
    relay = Relay()
    relay.point_to(url)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()
        await relay.close()
