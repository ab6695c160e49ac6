"""How does one request reach the API server, and when is it sent again?

Credentials, retries and the translation of failures; knows no kind of object.
A request is repeated only if that cannot do harm: when it was never sent, when the server said
that it did not look at it (429), or when sending it twice means the same as once.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlencode, urlsplit

from weft import __version__
from weft.kube import config, connections, errors, http

CONNECTIONS = 64  # requests in flight; watches are not counted
PATIENCE = 30.0  # seconds that a request is retried before its caller hears of it
_ANSWER = 60.0  # seconds that one answer may take
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
_TOKEN_AGE = 60.0  # bound tokens are renewed on disk long before they expire
_TRANSIENT = frozenset({429, 502, 503, 504})
_AGENT = f"weft/{__version__}"


class Transport:
    """An async context manager: connections are closed with it."""

    def __init__(self, endpoint: config.Endpoint, *, patience: float = PATIENCE) -> None:
        self._endpoint = endpoint
        self._patience = patience
        server = urlsplit(endpoint.server)
        is_local = server.scheme == "unix"
        self._prefix = "" if is_local else server.path.rstrip("/")
        self._host = "localhost" if is_local else server.netloc
        self._pool: connections.Pool | None = None
        self._in_flight = asyncio.Semaphore(CONNECTIONS)
        self._token = endpoint.token
        self._token_read = -_TOKEN_AGE

    @property
    def server(self) -> str:
        return self._endpoint.server

    async def __aenter__(self) -> Self:
        self._pool = connections.Pool(self._endpoint)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.close()
        self._pool = None

    def _opened(self) -> connections.Pool:
        if self._pool is None:
            raise RuntimeError("the client is not open: use `async with`")
        return self._pool

    def _headers(self, content_type: str) -> dict[str, str]:
        headers = {"Host": self._host, "Accept": "application/json", "User-Agent": _AGENT}
        if self._endpoint.token_file and time.monotonic() - self._token_read > _TOKEN_AGE:
            self._token = Path(self._endpoint.token_file).read_text().strip()
            self._token_read = time.monotonic()
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if content_type:
            headers["Content-Type"] = content_type
        return headers

    def _target(self, path: str, query: Mapping[str, str] | None) -> str:
        target = self._prefix + quote(path, safe="/:%")
        return f"{target}?{urlencode(query)}" if query else target

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
        """The body of a successful response; everything else is an errors.ApiError."""
        target = self._target(path, query)
        deadline = time.monotonic() + self._patience
        pause = _FIRST_PAUSE
        while True:
            try:
                return await self._once(method, target, body, content_type, where)
            except errors.ApiError as error:
                wait = error.retry_after or pause * random.uniform(0.5, 1.0)
                if not _may_repeat(error, repeatable) or time.monotonic() + wait > deadline:
                    raise
            await asyncio.sleep(wait)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _once(
        self, method: str, target: str, body: bytes | None, content_type: str, where: str
    ) -> bytes:
        pool = self._opened()
        message = http.request(method, target, self._headers(content_type), body)
        try:
            async with self._in_flight, asyncio.timeout(_ANSWER), pool.connection() as link:
                response = await link.ask(message)
                content = b"".join([piece async for piece in link.body()])
        except OSError as error:  # a TimeoutError too
            raise errors.unreachable(self.server, error, where=where) from error
        if response.status < 300:
            return content
        raise _refusal(response, content, where)

    @asynccontextmanager
    async def stream(
        self, path: str, query: Mapping[str, str], *, silence: float, where: str = ""
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """A response read as it comes; `silence` seconds without a byte count as broken."""
        pool = self._opened()
        message = http.request("GET", self._target(path, query), self._headers(""))
        try:
            async with pool.connection() as link:
                async with asyncio.timeout(silence):
                    response = await link.ask(message)
                async with aclosing(link.body(silence)) as pieces:
                    if response.status != 200:
                        content = b"".join([piece async for piece in pieces])
                        raise _refusal(response, content, where)
                    yield pieces
        except OSError as error:
            raise errors.unreachable(self.server, error, where=where) from error


def _refusal(response: http.Response, content: bytes, where: str) -> errors.ApiError:
    after = response.headers.get("retry-after", "")
    return errors.from_response(response.status, content, after, where=where)


def _may_repeat(error: errors.ApiError, repeatable: bool) -> bool:
    if error.status == 429:
        return True
    if error.status == 0:
        never_sent = isinstance(error.__cause__, connections.NotConnected)
        return never_sent or repeatable
    return repeatable and (error.status in _TRANSIENT or error.retry_after is not None)
