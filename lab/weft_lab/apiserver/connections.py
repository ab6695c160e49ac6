"""Bounds every connection: how long a client may take, and how many there may be.

A client that does not end its request, or does not read its answer, holds memory of the server.
After a number of seconds the server closes its connection.
"""

from __future__ import annotations

import asyncio
import resource
from dataclasses import dataclass
from typing import Any, cast

from aiohttp import web

from weft_lab.apiserver import answers, request, status

# A request's first line holds its selectors; a header is a token at most.
_LINE_LIMIT = 64 * 1024
_HEADER_LIMIT = 16 * 1024
_IDLE = 180.0  # seconds for the next question of a client that has its answer


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds for a request's head, for its body, and for a client to read on in an answer."""

    head: float = 10.0
    body: float = 30.0
    answer: float = 300.0
    connections: int = 4096


class Server(web.Server):
    """Makes the connections; each knows the limits."""

    def __init__(self, handler: Any, limits: Limits) -> None:
        super().__init__(handler, request_factory=_request, handler_cancellation=True)
        self.limits = limits

    def __call__(self) -> web.RequestHandler:
        return Connection(self)


class Connection(web.RequestHandler):
    """A connection that ends when its client is too slow."""

    def __init__(self, server: Server) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]
            max_line_size=_LINE_LIMIT,
            max_field_size=_HEADER_LIMIT,
            auto_decompress=False,
            keepalive_timeout=_IDLE,
            lingering_time=server.limits.body,
        )
        self.limits = server.limits
        self._server = server
        self._answering = False
        self._unread = 0
        self._head: asyncio.TimerHandle | None = None
        self._answer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if len(self._server.connections) > self.limits.connections:
            transport = cast("asyncio.Transport", transport)
            transport.write(_TOO_MANY)
            transport.close()
            return
        self._await_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        for timer in (self._head, self._answer):
            if timer is not None:
                timer.cancel()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._answering:
            self._await_head()

    def begin_answer(self) -> None:
        """A request's head is here whole."""
        self._answering = True
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def end_answer(self) -> None:
        self._answering = False

    def _await_head(self) -> None:
        if self._head is None:
            loop = asyncio.get_running_loop()
            self._head = loop.call_later(self.limits.head, self._abort)

    def pause_writing(self) -> None:
        """The client reads more slowly than the server writes."""
        super().pause_writing()
        self._watch_answer()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._answer is not None:
            self._answer.cancel()
            self._answer = None

    def _watch_answer(self) -> None:
        self._unread = self._waiting()
        loop = asyncio.get_running_loop()
        self._answer = loop.call_later(self.limits.answer, self._check_answer)

    def _check_answer(self) -> None:
        if self._waiting() < self._unread:
            self._watch_answer()  # slow, but it reads
        else:
            self._abort()

    def _abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def _waiting(self) -> int:
        """Bytes that the client has not read yet."""
        if self.transport is None:
            return 0
        return self.transport.get_write_buffer_size()

    def handle_error(
        self,
        request: web.BaseRequest,
        status_code: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answers text that is not HTTP with a Status, too."""
        if request.writer.output_size > 0:
            raise ConnectionError("part of an answer is sent already")
        message = " ".join((message or "it cannot be read").split())
        found = (
            status.bad_request(f"the request is no HTTP: {message}")
            if status_code == 400
            else status.internal("see the server's log")
        )
        if status_code != 400:
            self.log_exception("a request failed", exc_info=exc)
        response = answers.error(found)
        response.force_close()
        return response


_TOO_MANY = (
    b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)


def _request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    """As the library makes them, but for larger bodies."""
    protocol.begin_answer()
    loop = asyncio.get_running_loop()
    limit = request.BODY_LIMIT
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=limit)


async def read_body(http: web.BaseRequest) -> bytes:
    """The whole body of a request, within its limits of time and size."""
    encoding = http.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise status.unsupported_media(f"Content-Encoding: {encoding}", "application/json")
    if http.content.is_eof():  # it is here: no timer is needed
        return await http.read()
    protocol = http.protocol
    patience = protocol.limits.body if isinstance(protocol, Connection) else None
    try:
        async with asyncio.timeout(patience):
            return await http.read()
    except TimeoutError:
        raise status.too_slow("the request's body did not come in time") from None


def raise_descriptor_limit() -> None:
    """Allow as many connections as the host permits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
