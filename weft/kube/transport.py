"""Sends one request to the API server, and repeats it if that is safe.

It has the connections, credentials, retries and error translation, and knows no kind of object. A
repetition is safe if the request was never sent, if the server says that it did not process it
(429), or if sending it twice has the same effect as once.
"""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
from yarl import URL

from weft import __version__
from weft.kube import certificates, config, errors

CONNECTIONS = 64  # requests in flight; watches are not counted
PATIENCE = 30.0  # seconds of retries before the caller gets the error
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
_TOKEN_AGE = 60.0  # bound tokens are renewed on disk long before they expire
_TRANSIENT = frozenset({429, 502, 503, 504})
# Seconds of silence before TCP keepalive, then the number and interval of probes; and milliseconds
# that sent data may be unacknowledged (tcp(7)).
_SIGNS_OF_LIFE = {
    socket.TCP_KEEPIDLE: 10,
    socket.TCP_KEEPINTVL: 5,
    socket.TCP_KEEPCNT: 2,
    socket.TCP_USER_TIMEOUT: 20_000,
}
_BUFFER = 1 << 20  # a burst of watch events then takes few reads


class Transport:
    """An async context manager, which opens and closes the HTTP sessions."""

    def __init__(self, endpoint: config.Endpoint, *, patience: float = PATIENCE) -> None:
        self._endpoint = endpoint
        self._patience = patience
        self._unix = endpoint.server.startswith("unix://")
        self._base = "http://localhost" if self._unix else endpoint.server
        self._calls: aiohttp.ClientSession | None = None
        self._streams: aiohttp.ClientSession | None = None
        self._certificates = certificates.Certificates(endpoint)
        self._token = endpoint.token
        self._token_read = -_TOKEN_AGE

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

    def _session(self, limit: int, timeout: aiohttp.ClientTimeout) -> aiohttp.ClientSession:
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
            read_bufsize=_BUFFER,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept": "application/json", "User-Agent": f"weft/{__version__}"},
            skip_auto_headers=("Accept-Encoding",),  # compression costs more on local links
        )

    def _headers(self, content_type: str) -> dict[str, str]:
        if self._endpoint.token_file and time.monotonic() - self._token_read > _TOKEN_AGE:
            self._token = _read_token(self._endpoint.token_file)
            self._token_read = time.monotonic()
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        if content_type:
            headers["Content-Type"] = content_type
        return headers

    def _heed(self, status: int) -> None:
        """Read the credentials again when the server refuses them: they may have been renewed."""
        if status == 401:
            self._token_read = -_TOKEN_AGE
            self._certificates.doubt()

    def _url(self, path: str, query: Mapping[str, str] | None) -> URL:
        url = URL(self._base + path, encoded=True)
        return url.with_query(query) if query else url

    def _options(self, content_type: str, body: bytes | None) -> dict[str, Any]:
        options: dict[str, Any] = {"headers": self._headers(content_type), "data": body}
        if (tls := self._certificates.context()) is not None:
            options["ssl"] = tls
        if self._endpoint.server_name:
            options["server_hostname"] = self._endpoint.server_name
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
        where: str = "",
    ) -> bytes:
        """The body of a successful response; everything else raises an errors.ApiError."""
        url = self._url(path, query)
        deadline = time.monotonic() + self._patience
        pause = _FIRST_PAUSE
        while True:
            try:
                return await self._once(method, url, body, content_type, where)
            except errors.ApiError as error:
                wait = error.retry_after or pause * random.uniform(0.5, 1.0)
                if not _may_repeat(error, repeatable) or time.monotonic() + wait > deadline:
                    raise
            await asyncio.sleep(wait)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _once(
        self, method: str, url: URL, body: bytes | None, content_type: str, where: str
    ) -> bytes:
        if self._calls is None:
            raise RuntimeError("the client is not open: use `async with`")
        options = self._options(content_type, body)
        try:
            async with self._calls.request(method, url, **options) as response:
                content = await response.read()
                if response.status < 300:
                    return content
                self._heed(response.status)
                after = response.headers.get("Retry-After", "")
                raise errors.from_response(response.status, content, after, where=where)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._certificates.doubt()
            raise errors.unreachable(self.server, error, where=where) from error

    @asynccontextmanager
    async def stream(
        self, path: str, query: Mapping[str, str], *, silence: float, where: str = ""
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """A response to read as it arrives; `silence` seconds without a byte end it."""
        if self._streams is None:
            raise RuntimeError("the client is not open: use `async with`")
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=silence)
        options = self._options("", None)
        try:
            async with self._streams.get(
                self._url(path, query), timeout=timeout, **options
            ) as response:
                if response.status != 200:
                    content = await response.read()
                    self._heed(response.status)
                    after = response.headers.get("Retry-After", "")
                    raise errors.from_response(response.status, content, after, where=where)
                yield response.content
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._certificates.doubt()
            raise errors.unreachable(self.server, error, where=where) from error


def _watchful(address: Any) -> socket.socket:
    """A socket with TCP keepalive, so that a silently dropped connection ends."""
    family, kind, protocol, _, _ = address
    sock = socket.socket(family, kind, protocol)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _SIGNS_OF_LIFE.items():
        sock.setsockopt(socket.IPPROTO_TCP, option, value)
    return sock


def _read_token(path: str) -> str:
    try:
        token = Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise errors.unauthorized(f"no token can be read from {path}: {why}") from error
    if not token:
        # With an empty token the server would treat every request as anonymous.
        raise errors.unauthorized(f"no token can be read from {path}: the file is empty")
    return token


def _may_repeat(error: errors.ApiError, repeatable: bool) -> bool:
    if error.status == 429:
        return True
    if error.status == 0:
        never_sent = isinstance(error.__cause__, aiohttp.ClientConnectorError)
        return never_sent or repeatable
    return repeatable and (error.status in _TRANSIENT or error.retry_after is not None)
