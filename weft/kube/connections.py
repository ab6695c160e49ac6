"""Who is connected to the API server, and who may use that connection next?

A connection carries one request at a time; when its response was read to the end, another may
follow. What is asked, and whether to ask again, is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import cast
from urllib.parse import urlsplit

from weft.kube import config, http

_CONNECTING = 10.0  # seconds that a connection may take to be made
_IDLE = 60.0  # seconds after which a connection may be dead without saying so
_BUFFER = 1 << 20  # bytes of a body that wait for their reader


class NotConnected(ConnectionError):
    """No connection was made, so nothing was sent."""


class Connection(asyncio.Protocol):
    """`ask`, then `body` to its end."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._response = http.Response()
        self._pieces: list[bytes] = []
        self._waiting = 0  # bytes in them
        self._woken: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self.since = 0.0  # when it was last used

    @property
    def is_free(self) -> bool:
        """Whether it can carry another request."""
        return self._error is None and not self._response.is_last

    async def ask(self, request: bytes) -> http.Response:
        """Sends a request; its response, as soon as the head is in."""
        assert self._transport is not None
        self._response = http.Response()
        self._transport.write(request)
        while not self._response.status:
            await self._more()
        return self._response

    async def body(self, silence: float | None = None) -> AsyncGenerator[bytes, None]:
        """The body as it comes; TimeoutError after so many seconds without a byte."""
        while True:
            if self._pieces:
                yield self._taken()
            elif self._response.is_done:
                return
            else:
                async with asyncio.timeout(silence):
                    await self._more()

    def _taken(self) -> bytes:
        piece = b"".join(self._pieces)
        self._pieces.clear()
        if len(piece) > _BUFFER and self._transport is not None and self._error is None:
            self._transport.resume_reading()
        self._waiting = 0
        return piece

    async def _more(self) -> None:
        if self._error is not None:
            raise self._error
        self._woken = asyncio.get_running_loop().create_future()
        await self._woken

    def _wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # What the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            piece = self._response.feed(data)
        except http.Malformed as error:
            self._end(error)
            return
        if piece:
            self._pieces.append(piece)
            self._waiting += len(piece)
            if self._waiting > _BUFFER and self._transport is not None:
                self._transport.pause_reading()
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        if error is None:
            self._response.end()
        self._end(error or ConnectionResetError("the connection was closed"))

    def _end(self, error: Exception) -> None:
        self._error = self._error or error
        self.close()
        self._wake()


class Pool:
    """Connections to one server, made when there is none that is free."""

    def __init__(self, endpoint: config.Endpoint) -> None:
        self._endpoint = endpoint
        self._all: set[Connection] = set()
        self._free: list[Connection] = []

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """One that nobody else uses; it is kept if its response was read to the end."""
        link = self._used_before() or await self._connect()
        try:
            yield link
        finally:
            if link.is_free and link in self._all:
                link.since = time.monotonic()
                self._free.append(link)
            else:
                self._drop(link)

    def close(self) -> None:
        for link in list(self._all):
            self._drop(link)
        self._free.clear()

    def _used_before(self) -> Connection | None:
        """The one that was used last."""
        while self._free:
            link = self._free.pop()
            if link.is_free and link.since + _IDLE > time.monotonic():
                return link
            self._drop(link)
        return None

    async def _connect(self) -> Connection:
        loop, server = asyncio.get_running_loop(), urlsplit(self._endpoint.server)
        tls = (self._endpoint.tls or True) if server.scheme == "https" else None
        try:
            async with asyncio.timeout(_CONNECTING):
                if server.scheme == "unix":
                    _, link = await loop.create_unix_connection(Connection, server.path)
                else:
                    _, link = await loop.create_connection(
                        Connection,
                        server.hostname or "",
                        server.port or (443 if tls else 80),
                        ssl=tls,
                        server_hostname=(self._endpoint.server_name or None) if tls else None,
                    )
        except (OSError, ValueError) as error:  # a TimeoutError too; a host or port that is none
            raise NotConnected(str(error) or "it took too long to connect") from error
        self._all.add(link)
        return link

    def _drop(self, link: Connection) -> None:
        self._all.discard(link)
        link.close()
