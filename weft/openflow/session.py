"""Connects to a bridge of ovs-vswitchd by OpenFlow: sends messages, receives flow updates.

A bridge has a unix socket beside the database's. The connection ends with vswitchd or the bridge.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import cast

from weft import errors
from weft.ovn import flows
from weft.ovn.flows import MessageType

log = logging.getLogger(__name__)

# Seconds of silence before the switch gets an echo request, and then until its reply.
PROBE = 5.0

Make = Callable[[int], bytes]  # encodes a message with this transaction id


class Session(asyncio.Protocol):
    """One connection. `lost` is done when it has ended; `why` then says the reason."""

    def __init__(self, path: Path, seen: Callable[[flows.FlowUpdate], None]) -> None:
        self.path = path
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.why = ""
        self._seen = seen
        self._received = b""
        self._transport: asyncio.Transport | None = None
        self._greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._barriers: dict[int, asyncio.Future[None]] = {}
        self._counted: dict[int, tuple[int, int]] = {}  # by the request's transaction id
        self._refused = ""
        self._xid = 0
        self._probe: asyncio.TimerHandle | None = None
        self._is_probed = False

    @classmethod
    async def connect(cls, path: Path, seen: Callable[[flows.FlowUpdate], None]) -> Session:
        """Connect; `seen` is called for each update of a `flows.monitor`, in order.

        Raises Unavailable."""
        loop = asyncio.get_running_loop()
        try:
            _, made = await loop.create_unix_connection(lambda: cls(path, seen), str(path))
        except OSError as error:
            what = f"cannot connect: {error.strerror or error}"
            hint = "is ovs-vswitchd running?"
            raise errors.Unavailable(what, where=str(path), hint=hint) from error
        try:
            async with asyncio.timeout(PROBE):
                await made._greeted
        except TimeoutError:
            made.close()
            raise errors.Unavailable("does not answer", where=str(path)) from None
        return made

    def send(self, makers: Iterable[Make]) -> None:
        """Send messages; on an ended connection they are discarded, see `lost`."""
        data = b"".join(make(self._next()) for make in makers)
        if data and self._transport is not None:
            self._transport.write(data)

    async def barrier(self) -> None:
        """Wait until the switch has processed all messages; raises the first error that it sent."""
        reply: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        xid = self._next()
        self._barriers[xid] = reply
        if self._transport is None:
            raise self._ended()
        self._transport.write(flows.message(MessageType.BARRIER_REQUEST, xid))
        await reply
        if self._refused:
            refused, self._refused = self._refused, ""
            raise errors.Unavailable(refused, where=str(self.path))

    async def count(self, cookies: Sequence[int]) -> dict[int, tuple[int, int]]:
        """The flows of each cookie, and the packets that they have counted.

        Raises Unavailable."""
        requested: dict[int, int] = {}

        def make(cookie: int, xid: int) -> bytes:
            requested[xid] = cookie
            return flows.aggregate(cookie, xid)

        self.send(functools.partial(make, cookie) for cookie in cookies)
        await self.barrier()  # the switch answers in order
        return {cookie: self._counted.pop(xid, (0, 0)) for xid, cookie in requested.items()}

    def close(self, why: str = "closed") -> None:
        """End the connection; `why` is the reason that others see."""
        self.why = self.why or why
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # No isinstance: uvloop's transports do not inherit asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(flows.hello(self._next()))
        self._listen()

    def connection_lost(self, exc: Exception | None) -> None:
        self.why = self.why or str(exc or "ended by the switch")
        self._transport = None
        if self._probe is not None:
            self._probe.cancel()
        waiting = [*self._barriers.values(), self._greeted]
        self._barriers.clear()
        for reply in waiting:
            if not reply.done():
                reply.set_exception(self._ended())
                reply.exception()  # retrieved here, in case the waiter was cancelled
        if not self.lost.done():
            self.lost.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._is_probed = False
        self._listen()
        received, place = self._received + data, 0
        try:
            while len(received) >= place + flows.HEADER.size:
                version, kind, length, xid = flows.HEADER.unpack_from(received, place)
                if length < flows.HEADER.size:
                    raise ValueError(f"a message of {length} bytes")
                if len(received) < place + length:
                    break
                body = received[place + flows.HEADER.size : place + length]
                place += length
                self._handle(version, kind, xid, body)
        except ValueError as error:
            log.error("%s: not OpenFlow, closing the connection: %s", self.path, error)
            self.close(str(error))
        self._received = received[place:]

    def _handle(self, version: int, kind: int, xid: int, body: bytes) -> None:
        if kind == MessageType.HELLO:
            # Both use the lower of their versions (OpenFlow 1.5.1, section 6.3.1).
            if version < flows.VERSION:
                raise ValueError("the bridge speaks no OpenFlow 1.5")
            if not self._greeted.done():
                self._greeted.set_result(None)
        elif kind == MessageType.ECHO_REQUEST and self._transport is not None:
            self._transport.write(flows.message(MessageType.ECHO_REPLY, xid, body))
        elif kind == MessageType.MULTIPART_REPLY:
            if (counted := flows.counted(body)) is not None:
                self._counted[xid] = counted
            for each in flows.updates(body):
                self._seen(each)
        elif kind == MessageType.BARRIER_REPLY:
            reply = self._barriers.pop(xid, None)
            if reply is not None and not reply.done():
                reply.set_result(None)
        elif kind == MessageType.ERROR:
            self._refused = f"refused a request: type {body[:2].hex()}, code {body[2:4].hex()}"
            log.error("%s: %s", self.path, self._refused)

    def _listen(self) -> None:
        if self._probe is not None:
            self._probe.cancel()
        self._probe = asyncio.get_running_loop().call_later(PROBE, self._timed_out)

    def _timed_out(self) -> None:
        if self._is_probed:
            self.close(f"no answer within {PROBE:g} s")
            return
        self._is_probed = True
        self._listen()
        self.send([lambda xid: flows.message(MessageType.ECHO_REQUEST, xid)])

    def _next(self) -> int:
        self._xid = self._xid % 0xFFFFFFFF + 1
        return self._xid

    def _ended(self) -> errors.Unavailable:
        return errors.Unavailable(self.why or "the connection ended", where=str(self.path))
