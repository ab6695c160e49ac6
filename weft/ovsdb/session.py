"""One JSON-RPC connection to an OVSDB server: requests, replies, notifications, echo.

Requests are pipelined: any number may be under way. Replies are read whatever the writers do,
since a server that cannot get rid of its replies stops reading requests. What a notification
means is not known here.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Any, cast

import orjson

from weft import errors
from weft.ovsdb import wire

Json = Any
Notify = Callable[[str, Json], None]
Then = Callable[[Json], None]

# Bytes read at a time. Little enough that replies and new requests take turns: whoever decodes
# all replies before it sends again has an idle server meanwhile.
READ = 64 * 1024

log = logging.getLogger(__name__)


class Session(asyncio.BufferedProtocol):
    """`lost` is done when the connection has ended; its exception says why, if not by `close`."""

    def __init__(self, address: str, notify: Notify | None = None) -> None:
        self.address = address
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._notify = notify
        self._framer = wire.Framer()
        self._buffer = memoryview(bytearray(READ))
        self._pending: dict[int, tuple[asyncio.Future[Json], Then | None]] = {}
        self._last = 0
        self._transport: asyncio.Transport | None = None
        self._writable = asyncio.Event()

    @classmethod
    async def connect(cls, address: str, notify: Notify | None = None) -> Session:
        """Connect to `unix:PATH` or `tcp:HOST:PORT`; `notify(method, params)` gets notifications.

        Notifications are handed over in order, and before any reply that follows them.
        """
        loop = asyncio.get_running_loop()
        kind, _, rest = address.partition(":")
        try:
            if kind == "unix":
                _, session = await loop.create_unix_connection(lambda: cls(address, notify), rest)
            elif kind == "tcp":
                host, _, port = rest.rpartition(":")
                _, session = await loop.create_connection(
                    lambda: cls(address, notify), host.strip("[]"), int(port)
                )
            else:
                raise ValueError("neither unix:PATH nor tcp:HOST:PORT")
        except (OSError, ValueError) as error:
            hint = "is the database server running?"
            raise errors.Unavailable(
                f"cannot connect: {error}", where=address, hint=hint
            ) from error
        return session

    def request(
        self, method: str, params: Sequence[Json], then: Then | None = None
    ) -> asyncio.Future[Json]:
        """Send a request now; the future is its result, or raises Unavailable.

        `then` is called with the result before anything that the server sent after it is looked
        at; whoever awaits the future comes later than that.
        """
        reply: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        if self._transport is None or self._transport.is_closing():
            reply.set_exception(self._ended())
            return reply
        self._last += 1
        self._pending[self._last] = (reply, then)
        message = {"method": method, "params": params, "id": self._last}
        self._transport.write(orjson.dumps(message))
        return reply

    async def writable(self) -> None:
        """Wait until the server takes more: what callers do before a request, to bound memory."""
        await self._writable.wait()

    async def call(self, method: str, params: Sequence[Json]) -> Json:
        await self.writable()
        return await self.request(method, params)

    async def transact(self, database: str, operations: Sequence[Json]) -> list[Json]:
        """The results, one for each operation; raises if any failed, and then nothing was done."""
        results: list[Json] = await self.call("transact", [database, *operations])
        wire.check(database, operations, results)
        return results

    async def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()
        await asyncio.wait([self.lost])

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # No isinstance: uvloop's transports are asyncio's by behaviour only.
        self._transport = cast(asyncio.Transport, transport)
        self._writable.set()
        sock: socket.socket | None = transport.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def connection_lost(self, exc: Exception | None) -> None:
        self._writable.set()
        self._transport = None
        pending, self._pending = self._pending, {}
        for reply, _ in pending.values():
            if not reply.done():
                reply.set_exception(self._ended())
        if not self.lost.done():
            self.lost.set_result(None)
        log.debug("%s: connection ended: %s", self.address, exc or "closed")

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        try:
            for message in self._framer.feed(bytes(self._buffer[:nbytes])):
                self._handle(message)
        except orjson.JSONDecodeError as error:
            log.error("%s: not JSON, closing the connection: %s", self.address, error)
            if self._transport is not None:
                self._transport.abort()

    def _handle(self, message: Json) -> None:
        method = message.get("method")
        if method is None:
            self._answered(*self._pending.pop(message["id"]), message)
        elif method == "echo":
            answer = {"id": message["id"], "result": message["params"], "error": None}
            if self._transport is not None:
                self._transport.write(orjson.dumps(answer))
        elif self._notify is not None:
            self._notify(method, message["params"])

    def _answered(self, reply: asyncio.Future[Json], then: Then | None, message: Json) -> None:
        error = message.get("error")
        if error is not None:
            what = error if isinstance(error, str) else orjson.dumps(error).decode()
            outcome: Exception | None = errors.Unavailable(f"refused: {what}", where=self.address)
        else:
            outcome = None
            try:
                if then is not None:
                    then(message["result"])
            except Exception as failure:
                outcome = failure
        if reply.cancelled():
            return
        if outcome is None:
            reply.set_result(message["result"])
        else:
            reply.set_exception(outcome)

    def _ended(self) -> errors.Unavailable:
        return errors.Unavailable("the connection ended", where=self.address)
