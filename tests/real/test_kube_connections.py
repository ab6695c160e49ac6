"""Connections of the client, against servers that answer what a test tells them to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from weft import __version__
from weft.kube import config, resources, transport
from weft.kube.client import Client, Unreachable

pytestmark = pytest.mark.real

WHOLE = b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"a": "b"}'
HANG_UP = b"hang up"
CLOSE = WHOLE.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)


class Server:
    """Answers one request after the other with what it was given."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.connections = 0
        self.seen: list[bytes] = []
        self.answered, self.hung_up = asyncio.Event(), asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while self.answers:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0]
                self.seen.append(head + await reader.readexactly(int(length or 0)))
                writer.write(self.answers.pop(0))
                self.answered.set()
                if self.answers[:1] == [HANG_UP]:
                    self.answers.pop(0)
                    break
        except asyncio.IncompleteReadError:
            pass  # the client went first
        finally:
            writer.close()
            self.hung_up.set()


@asynccontextmanager
async def client(server: Server, folder: Path, **options: Any) -> AsyncIterator[Client]:
    """A client of that server, at a local socket."""
    path = folder / "api"
    listening = await asyncio.start_unix_server(server.serve, path)
    try:
        async with Client(
            transport.Transport(config.Endpoint(f"unix://{path}"), **options)
        ) as opened:
            yield opened
    finally:
        listening.close()


async def test_a_connection_is_used_again(tmp_path: Path) -> None:
    server = Server(WHOLE, WHOLE, WHOLE, b"")
    async with client(server, tmp_path) as api:
        for _ in range(3):
            assert await api.request("GET", "/version") == {"a": "b"}
    assert server.connections == 1
    assert server.seen[0].startswith(b"GET /version HTTP/1.1\r\nHost: localhost\r\n")


async def test_one_that_says_it_ends_is_not(tmp_path: Path) -> None:
    server = Server(CLOSE, WHOLE, b"")
    async with client(server, tmp_path) as api:
        for _ in range(2):
            assert await api.request("GET", "/version") == {"a": "b"}
    assert server.connections == 2


async def test_one_that_was_closed_meanwhile_is_not(tmp_path: Path) -> None:
    server = Server(WHOLE)
    async with client(server, tmp_path) as api:
        await api.request("GET", "/version")
        await server.hung_up.wait()
        server.answers = [WHOLE]
        assert await api.request("GET", "/version") == {"a": "b"}
    assert server.connections == 2


@pytest.mark.parametrize("broken", [b"", WHOLE[:-3], b"SSH-2.0-x\r\n\r\n"])
async def test_what_means_the_same_twice_is_asked_again(tmp_path: Path, broken: bytes) -> None:
    server = Server(broken, HANG_UP, WHOLE)
    async with client(server, tmp_path) as api:
        assert await api.request("GET", "/version") == {"a": "b"}


async def test_a_create_is_not(tmp_path: Path) -> None:
    server = Server(b"", HANG_UP, WHOLE)
    async with client(server, tmp_path) as api:
        with pytest.raises(Unreachable, match="no answer"):
            await api.create(resources.NODES, {"metadata": {"name": "one"}})
    assert len(server.seen) == 1


async def test_a_create_that_was_never_sent_is(tmp_path: Path) -> None:
    endpoint = config.Endpoint(f"unix://{tmp_path}/api")
    async with Client(transport.Transport(endpoint)) as api:
        making = asyncio.create_task(
            api.create(resources.NODES, {"metadata": {"name": "one"}}), name="making"
        )
        server = Server(WHOLE)
        listening = await asyncio.start_unix_server(server.serve, tmp_path / "api")
        assert await making == {"a": "b"}
        listening.close()


async def test_a_call_that_is_given_up_leaves_no_connection_behind(tmp_path: Path) -> None:
    server = Server(WHOLE[:-3], WHOLE)
    async with client(server, tmp_path) as api:
        asking = asyncio.create_task(api.request("GET", "/version"))
        await server.answered.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert await api.request("GET", "/version") == {"a": "b"}
    assert server.connections == 2


async def test_more_than_its_reader_takes_waits_in_the_socket(tmp_path: Path) -> None:
    """A body far larger than what is kept comes whole, however late it is read."""
    line = b'{"type": "ADDED", "object": {"metadata": {"resourceVersion": "%d"}}}\n'
    body = b"".join(line % number for number in range(100_000))
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    server = Server(head + body)
    async with client(server, tmp_path) as api:
        count = 0
        async for _ in api.watch(resources.NODES, "1"):
            count += 1
            if count == 100_000:
                break
    assert len(server.seen) == 1


async def test_a_silent_watch_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weft.kube.client._IDLE_TIMEOUT", 0.02)
    silent = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with client(Server(silent), tmp_path) as api:
        with pytest.raises(Unreachable):
            async for _ in api.watch(resources.NODES, "1"):
                pass


PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n<html></html>"
LINE = b'HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{"a":1}\n'


@pytest.mark.parametrize("answer", [PAGE, PAGE.replace(b">", b"\n"), LINE])
async def test_what_is_no_api_server_is_told_apart(tmp_path: Path, answer: bytes) -> None:
    async with client(Server(answer), tmp_path) as api:
        if answer == PAGE:
            with pytest.raises(Unreachable, match="is no Kubernetes API: '<html>"):
                await api.get(resources.NODES, "one")
        else:
            with pytest.raises(Unreachable, match="is no Kubernetes API"):
                async for _ in api.watch(resources.NODES, "1"):
                    pass


async def test_it_names_itself_as_others_do(tmp_path: Path) -> None:
    server = Server(WHOLE)
    async with client(server, tmp_path, component="weft-node") as api:
        await api.request("GET", "/version")
    assert f"User-Agent: weft-node/{__version__} (".encode() in server.seen[0]
