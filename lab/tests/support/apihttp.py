"""The API server over plain HTTP, as a client library meets it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from tests.support import apiserver

MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
MERGE = "application/merge-patch+json"


class Http:
    """Requests with the server's token."""

    def __init__(self, server: apiserver.Server, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.session = session

    async def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        media: str = "application/json",
        **query: str,
    ) -> tuple[int, Any]:
        async with self.session.request(
            method,
            self.server.url + path,
            params=query,
            data=None if body is None else orjson.dumps(body),
            headers={"Content-Type": media},
        ) as response:
            content = await response.read()
            is_json = response.content_type == "application/json"
            return response.status, orjson.loads(content) if is_json else content.decode()

    async def watch(
        self, path: str, accept: str = "application/json", **query: str
    ) -> AsyncIterator[dict[str, Any]]:
        params = {"watch": "true", **query}
        headers = {"Accept": accept}
        url = self.server.url + path
        async with self.session.get(url, params=params, headers=headers) as response:
            assert response.status == 200
            async for line in response.content:
                yield orjson.loads(line)

    async def open(self, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A GET whose answer nobody reads yet."""
        return await self.send(f"{self.head('GET', path)}\r\n".encode())

    def head(self, method: str, path: str) -> str:
        """The lines of a request's head, without the empty one that ends it."""
        return (
            f"{method} {path} HTTP/1.1\r\nHost: api\r\n"
            f"Authorization: Bearer {self.server.token}\r\n"
        )

    async def send(self, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection of its own, on which these bytes are sent and no more."""
        host, _, port = self.server.url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(data)
        return reader, writer


@asynccontextmanager
async def connected(folder: Path, *arguments: str) -> AsyncIterator[Http]:
    async with (
        apiserver.running(folder, *arguments) as server,
        aiohttp.ClientSession(headers=server.headers) as session,
    ):
        yield Http(server, session)


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[Http]:
    async with connected(tmp_path) as found:
        yield found
