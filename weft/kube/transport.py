"""Sends one request to the API server, and repeats it if that is safe.

A repetition is safe if the request was never sent, if the server says that it did not process it
(429), or if sending it twice has the same effect as once.
"""

from __future__ import annotations

import asyncio
import contextlib
import platform
import socket
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import aiohttp
from yarl import URL

from weft import __version__
from weft.kube import config, credentials, errors
from weft.kube.backoff import Backoff

# Options of a request; one of several values stands there as often.
Query = Mapping[str, str | Sequence[str]] | None
CONNECTIONS = 64  # requests in flight; watches are not counted
PATIENCE = 30.0  # seconds of retries before the caller gets the error
_PAUSES = (0.05, 2.0)
_TRANSIENT = frozenset({429, 502, 503, 504})
# Seconds of silence before TCP keepalive, then the number and interval of probes; and milliseconds
# that sent data may be unacknowledged (tcp(7)).
_SIGNS_OF_LIFE = {
    socket.TCP_KEEPIDLE: 10,
    socket.TCP_KEEPINTVL: 5,
    socket.TCP_KEEPCNT: 2,
    socket.TCP_USER_TIMEOUT: 20_000,
}
_HEARTBEAT = 30.0  # seconds between two pings of a WebSocket
_CLOSING = 5.0  # seconds in which the other side of a WebSocket may agree to its end
_LONGEST_REFUSAL = 1 << 16  # bytes of the reason why there is none
_BUFFER = 1 << 20  # a burst of watch events then takes few reads


class Transport:
    """HTTP sessions to one API server: an async context manager that opens and closes them."""

    def __init__(
        self, endpoint: config.Endpoint, *, patience: float = PATIENCE, component: str = "weft"
    ) -> None:
        self._endpoint = endpoint
        self._patience = patience
        self._agent = user_agent(component)
        self._unix = endpoint.server.startswith("unix://")
        self._base = "http://localhost" if self._unix else endpoint.server
        self._calls: aiohttp.ClientSession | None = None
        self._streams: aiohttp.ClientSession | None = None
        self._credentials = credentials.Credentials(endpoint)
        self.received_at = time.monotonic()  # when the server last sent anything
        self.received = 0  # bytes of its answers

    @property
    def server(self) -> str:
        return self._endpoint.server

    async def __aenter__(self) -> Self:
        self._calls = self._session(CONNECTIONS, aiohttp.ClientTimeout(total=60, sock_connect=10))
        self._streams = self._session(0, aiohttp.ClientTimeout(total=None, sock_connect=10))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for session in (self._calls, self._streams):
            if session is not None:
                await session.close()
        self._calls = self._streams = None

    def _session(
        self, limit: int, timeout: aiohttp.ClientTimeout, *traces: aiohttp.TraceConfig
    ) -> aiohttp.ClientSession:
        connector: aiohttp.BaseConnector
        if self._unix:
            connector = aiohttp.UnixConnector(
                self._endpoint.server.removeprefix("unix://"), limit=limit
            )
        else:
            connector = aiohttp.TCPConnector(
                limit=limit,
                keepalive_timeout=60,
                socket_factory=_watchful,
            )
        return aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            trace_configs=list(traces),
            read_bufsize=_BUFFER,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept": "application/json", "User-Agent": self._agent},
            skip_auto_headers=("Accept-Encoding",),  # compression costs more on local links
        )

    def _headers(self, content_type: str, accept: str) -> dict[str, str]:
        token = self._credentials.token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if content_type:
            headers["Content-Type"] = content_type
        if accept:
            headers["Accept"] = accept
        return headers

    def _url(self, path: str, query: Query) -> URL:
        url = URL(self._base + path, encoded=True)
        return url.with_query(query) if query else url

    def _options(self, content_type: str, body: bytes | None, accept: str) -> dict[str, Any]:
        options: dict[str, Any] = {"headers": self._headers(content_type, accept), "data": body}
        if (tls := self._credentials.tls) is not None:
            options["ssl"] = tls
        if self._credentials.server_name:
            options["server_hostname"] = self._credentials.server_name
        return options

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "",
        repeatable: bool = True,
        accept: str = "",
        where: str = "",
    ) -> bytes:
        """The body of a successful response; everything else raises an errors.ApiError."""
        url = self._url(path, query)
        deadline = time.monotonic() + self._patience
        backoff = Backoff(*_PAUSES)
        while True:
            try:
                return await self._once(method, url, body, content_type, where, accept=accept)
            except errors.Unauthorized:
                # They may have been renewed since they were read.
                if not self._credentials.are_new():
                    raise
                continue
            except errors.ApiError as error:
                wait = backoff.next(error)
                if not _may_repeat(error, repeatable) or time.monotonic() + wait > deadline:
                    raise
            await asyncio.sleep(wait)

    async def ask(self, path: str, seconds: float) -> None:
        """Return if the server answers within that time, whatever the answer; else raise
        Unreachable."""
        timeout = aiohttp.ClientTimeout(total=seconds)
        await self._once("GET", self._url(path, None), None, "", "", timeout)

    async def _once(
        self,
        method: str,
        url: URL,
        body: bytes | None,
        content_type: str,
        where: str,
        timeout: aiohttp.ClientTimeout | None = None,
        accept: str = "",
    ) -> bytes:
        if self._calls is None:
            raise RuntimeError("the client is not open: use `async with`")
        options = self._options(content_type, body, accept)
        if timeout is not None:
            options["timeout"] = timeout
        try:
            async with self._calls.request(method, url, **options) as response:
                self.received_at = time.monotonic()
                content = await response.read()
                self.received += len(content)
                if response.status < 300:
                    return content
                after = response.headers.get("Retry-After", "")
                raise errors.from_response(response.status, content, after, where=where)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._credentials.recheck()
            raise errors.unreachable(self.server, error, where=where) from error

    @asynccontextmanager
    async def stream(
        self,
        path: str,
        query: Mapping[str, str],
        *,
        idle_timeout: float,
        accept: str = "",
        where: str = "",
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """A response to read as it arrives; `idle_timeout` seconds without a byte end it."""
        if self._streams is None:
            raise RuntimeError("the client is not open: use `async with`")
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=idle_timeout)
        options = self._options("", None, accept)
        try:
            async with self._streams.get(
                self._url(path, query), timeout=timeout, **options
            ) as response:
                self.received_at = time.monotonic()
                if response.status != 200:
                    content = await response.read()
                    if response.status == 401:
                        self._credentials.recheck()
                    after = response.headers.get("Retry-After", "")
                    raise errors.from_response(response.status, content, after, where=where)
                yield self._chunks(response.content)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._credentials.recheck()
            raise errors.unreachable(self.server, error, where=where) from error

    @asynccontextmanager
    async def websocket(
        self,
        path: str,
        query: Query = None,
        *,
        protocol: str,
        longest: int,
        where: str = "",
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A WebSocket of `protocol`; a message has at most `longest` bytes. It is closed within
        _CLOSING seconds, whatever the server still sends.

        Raises an errors.ApiError with the server's words if it refuses one.
        """
        refusal = b""

        async def keep(_: object, __: object, ended: aiohttp.TraceRequestEndParams) -> None:
            nonlocal refusal  # what the library drops
            if ended.response.status != 101:
                refusal = await ended.response.content.read(_LONGEST_REFUSAL)

        trace = aiohttp.TraceConfig()
        trace.on_request_end.append(keep)
        options = self._options("", None, "")
        del options["data"]
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        try:
            async with (
                self._session(1, timeout, trace) as session,
                session.ws_connect(
                    self._url(path, query),
                    protocols=(protocol,),
                    max_msg_size=longest,
                    heartbeat=_HEARTBEAT,
                    **options,
                ) as socket,
            ):
                self.received_at = time.monotonic()
                try:
                    yield socket
                finally:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_CLOSING):
                            await socket.close()
        except aiohttp.WSServerHandshakeError as error:
            if error.status == 401:
                self._credentials.recheck()
            raise errors.from_response(error.status or 0, refusal, "", where=where) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._credentials.recheck()
            raise errors.unreachable(self.server, error, where=where) from error

    async def _chunks(self, content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
        async for chunk in content.iter_any():
            self.received_at = time.monotonic()
            self.received += len(chunk)
            yield chunk


def user_agent(component: str) -> str:
    """As Kubernetes' own clients name themselves: component, version and platform."""
    name = component if component.startswith("weft") else f"weft-{component}"
    return f"{name}/{__version__} ({platform.system().lower()}/{platform.machine()})"


def _watchful(address: Any) -> socket.socket:
    """A socket with TCP keepalive, so that a silently dropped connection ends."""
    family, kind, protocol, _, _ = address
    sock = socket.socket(family, kind, protocol)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _SIGNS_OF_LIFE.items():
        sock.setsockopt(socket.IPPROTO_TCP, option, value)
    return sock


def _may_repeat(error: errors.ApiError, repeatable: bool) -> bool:
    if error.status == 429:
        return True
    if error.status == 0:
        never_sent = isinstance(error.__cause__, aiohttp.ClientConnectorError)
        return never_sent or repeatable
    return repeatable and (error.status in _TRANSIENT or error.retry_after is not None)
