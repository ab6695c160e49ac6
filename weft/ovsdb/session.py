"""Connects to an OVSDB server by JSON-RPC: requests, replies, notifications, echo.

Requests are pipelined without limit. Replies are read even while writes wait, because a server that
cannot send its replies stops reading requests. A silent server gets an echo request (RFC 7047,
section 4.1.11); if it hangs, the connection ends (ADR 0071).
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

# Bytes read at a time. Few enough that reading replies and sending requests alternate: otherwise
# the server is idle while this side decodes all replies.
READ = 64 * 1024

# Seconds of silence before an echo request, and then until its reply: the default of Open vSwitch's
# own clients. 0: never.
PROBE = 5.0
# Seconds until a request must have its reply: a server may answer echoes only. It is longer than
# reading the largest database takes.
DEADLINE = 60.0

log = logging.getLogger(__name__)


class Session(asyncio.BufferedProtocol):
    """One connection. `lost` is done when it has ended; `why` then says the reason."""

    def __init__(self, address: str, notify: Notify | None = None, *, probe: float = PROBE) -> None:
        self.address = address
        self.why = "the connection ended"
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._notify = notify
        self._framer = wire.Framer()
        self._buffer = memoryview(bytearray(READ))
        # Requests in order, as replies come: future, first callback, and time of sending.
        self._pending: dict[int, tuple[asyncio.Future[Json], Then | None, float]] = {}
        self._last = 0
        self._probe = probe
        self._has_received = False  # received anything since the timer was set
        self._is_probing = False  # an echo request waits for its reply
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self._writable = asyncio.Event()

    @classmethod
    async def connect(
        cls, address: str, notify: Notify | None = None, *, probe: float = PROBE
    ) -> Session:
        """Connect to `unix:PATH` or `tcp:HOST:PORT`; `notify(method, params)` gets notifications.

        Notifications come in order, and before any later reply. `probe`: seconds of silence before
        an echo request, and until its reply; 0: never. Raises Unavailable.
        """

        def made() -> Session:
            return cls(address, notify, probe=probe)

        loop = asyncio.get_running_loop()
        kind, _, rest = address.partition(":")
        try:
            async with asyncio.timeout(2 * probe or None):
                if kind == "unix":
                    _, session = await loop.create_unix_connection(made, rest)
                elif kind == "tcp":
                    host, _, port = rest.rpartition(":")
                    _, session = await loop.create_connection(made, host.strip("[]"), int(port))
                else:
                    raise ValueError("neither unix:PATH nor tcp:HOST:PORT")
        except TimeoutError:
            what = f"cannot connect: no answer within {2 * probe:g} s"
            raise errors.Unavailable(what, where=address) from None
        except (OSError, ValueError) as error:
            hint = "is the database server running?"
            raise errors.Unavailable(
                f"cannot connect: {error}", where=address, hint=hint
            ) from error
        return session

    def request(
        self, method: str, params: Sequence[Json], then: Then | None = None
    ) -> asyncio.Future[Json]:
        """Send a request now; the future has its result, or raises Unavailable.

        `then` is called with the result before any later message is handled; code that awaits the
        future runs after that.
        """
        reply: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        if self._transport is None or self._transport.is_closing():
            reply.set_exception(self._ended())
            return reply
        self._last += 1
        self._pending[self._last] = (reply, then, asyncio.get_running_loop().time())
        message = {"method": method, "params": params, "id": self._last}
        self._transport.write(orjson.dumps(message))
        return reply

    async def writable(self) -> None:
        """Wait until the send buffer has room; callers do so before a request, to bound memory."""
        await self._writable.wait()

    async def call(self, method: str, params: Sequence[Json]) -> Json:
        """The result of a request; raises Unavailable."""
        await self.writable()
        return await self.request(method, params)

    async def transact(self, database: str, operations: Sequence[Json]) -> list[Json]:
        """One result for each operation; raises Conflict or another error if they had no effect."""
        results: list[Json] = await self.call("transact", [database, *operations])
        wire.check(database, operations, results)
        return results

    async def close(self) -> None:
        """End the connection and wait until it has ended."""
        if self._transport is not None:
            self._transport.abort()
        await asyncio.wait([self.lost])

    # asyncio.BufferedProtocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # No isinstance: uvloop's transports do not inherit asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._writable.set()
        sock: socket.socket | None = transport.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._writable.set()
        self._transport = None
        pending, self._pending = self._pending, {}
        for reply, _, _ in pending.values():
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
        self._has_received = True
        try:
            for message in self._framer.feed(bytes(self._buffer[:nbytes])):
                self._handle(message)
        except orjson.JSONDecodeError as error:
            self._end(f"the server sent invalid JSON: {error}")

    def _handle(self, message: Json) -> None:
        method = message.get("method")
        if method is None:
            reply, then, _ = self._pending.pop(message["id"])
            self._answered(reply, then, message)
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

    # Detection of a server that hangs.

    def _look_later(self) -> None:
        if self._probe:
            loop = asyncio.get_running_loop()
            self._has_received = False
            self._timer = loop.call_later(self._probe, self._look, loop.time() + self._probe)

    def _look(self, due: float) -> None:
        """End the connection of a server that hangs; send an echo request to a silent one.

        A late timer means that this process was stopped: messages may wait unread, so nothing is
        concluded from the silence.
        """
        now = asyncio.get_running_loop().time()
        is_late = now > due + self._probe / 2
        if self._has_received:
            self._is_probing = False
        oldest = next(iter(self._pending.values()), None)
        if is_late:
            pass
        elif oldest is not None and now - oldest[2] > max(DEADLINE, self._probe):
            return self._end(f"no answer to a request within {now - oldest[2]:.0f} s")
        elif self._is_probing:
            return self._end(f"it does not answer: silent for {2 * self._probe:g} s")
        elif not self._has_received:
            self._is_probing = True
            self.request("echo", []).add_done_callback(asyncio.Future.exception)
        return self._look_later()

    def _end(self, why: str) -> None:
        self.why = f"the connection ended: {why}"
        log.error("%s: closing the connection: %s", self.address, why)
        if self._transport is not None:
            self._transport.abort()

    def _ended(self) -> errors.Unavailable:
        return errors.Unavailable(self.why, where=self.address)
