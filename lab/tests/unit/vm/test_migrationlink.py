"""Handlers that have the lab's key find each other; nobody else gets further than a refusal."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator

import orjson
import pytest

from weft import errors
from weft_lab.vm import migrationlink

KEY, OTHER = b"k" * 32, b"o" * 32
HELLO = {"kind": "control", "migration": "m1"}


def anybody(address: str) -> bool:
    return True


async def conversation(listens: bytes, calls: bytes, refused: str = "") -> list[dict[str, object]]:
    """What gets through from the one side to the other."""
    heard: list[dict[str, object]] = []
    done = asyncio.Event()

    async def serve(hello: migrationlink.Message, line: migrationlink.Line) -> None:
        heard.append({key: hello[key] for key in HELLO})
        await migrationlink.welcome(line, hello, refused)
        if not refused:
            heard.append(await line.receive())
            line.close()
        done.set()

    listener = migrationlink.Listener("127.0.0.1", listens, serve, anybody)
    running = asyncio.create_task(listener.run())
    try:
        line = await migrationlink.call("127.0.0.1", listener.port, calls, HELLO)
        await line.send({"do": "announce"})
        await done.wait()
        line.close()
    finally:
        running.cancel()
        await asyncio.wait([running])
    return heard


async def test_both_have_the_key() -> None:
    assert await conversation(KEY, KEY) == [HELLO, {"do": "announce"}]


@pytest.mark.parametrize(
    "line",
    [
        {"do": "announce"},
        {"line": '{"do":"announce"}', "proof": "0" * 64},
        {"line": 1, "proof": "0" * 64},
    ],
)
async def test_a_line_that_somebody_else_puts_in_is_refused(line: dict[str, object]) -> None:
    here, there = socket.socketpair()
    with here, there:
        sender, receiver = migrationlink.Line(here), migrationlink.Line(there)
        receiver.seal = migrationlink.Seal(KEY, migrationlink.TARGET)
        await sender.send(line)
        with pytest.raises(errors.Unavailable, match=r"not sent|proper proof"):
            await receiver.receive()


def test_a_line_is_taken_once_in_its_turn_and_from_the_other_side() -> None:
    source, target, fresh = (
        migrationlink.Seal(KEY, side)
        for side in (migrationlink.SOURCE, migrationlink.TARGET, migrationlink.TARGET)
    )
    first, second = source.closed({"n": 1}), source.closed({"n": 2})
    assert target.opened(first) == {"n": 1}
    for seal, line in ((target, first), (fresh, second), (source, first)):
        with pytest.raises(errors.Unavailable, match="not sent"):
            seal.opened(line)


async def test_a_caller_without_the_key_is_left() -> None:
    with pytest.raises(errors.Unavailable):
        await conversation(KEY, OTHER)


async def test_whoever_calls_from_another_address_than_a_nodes_is_not_spoken_to() -> None:
    async def serve(hello: migrationlink.Message, line: migrationlink.Line) -> None:
        await migrationlink.welcome(line, hello)
        line.close()

    def admits(address: str) -> bool:
        return address == "127.0.0.2"

    listener = migrationlink.Listener("127.0.0.1", KEY, serve, admits)
    running = asyncio.create_task(listener.run())
    try:
        heard = []
        for source in ("127.0.0.1", "127.0.0.2"):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", listener.port, local_addr=(source, 0)
            )
            with contextlib.suppress(ConnectionError):
                heard.append(bool(await reader.readline()))
            writer.close()
        assert heard == [False, True]
    finally:
        running.cancel()
        await asyncio.wait([running])


async def test_a_refusal_comes_with_its_reason() -> None:
    with pytest.raises(errors.Unavailable, match="no machine is expected here"):
        await conversation(KEY, KEY, "no machine is expected here")


async def test_whoever_answers_without_the_key_gets_no_machine() -> None:
    async def impostor(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'{"nonce": "%s"}\n' % (b"0" * 64))
        await reader.readline()
        writer.write(b'{"proof": "%s"}\n' % (b"0" * 64))
        await writer.drain()

    server = await asyncio.start_server(impostor, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(errors.Unavailable, match="does not have the lab's migration key"):
            await migrationlink.call("127.0.0.1", port, KEY, HELLO)


async def test_a_proof_serves_for_one_connection_alone() -> None:
    """What a node once sent is of no use to who has seen it."""
    heard = []

    async def serve(hello: migrationlink.Message, line: migrationlink.Line) -> None:
        heard.append(hello)
        await migrationlink.welcome(line, hello)

    listener = migrationlink.Listener("127.0.0.1", KEY, serve, anybody)
    running = asyncio.create_task(listener.run())
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        nonce = (await reader.readline()).decode()
        text = orjson.dumps(HELLO).decode()
        proof = migrationlink._sign(KEY, "source", "0" * 64, "1" * 64, text)
        line = {"hello": text, "nonce": "1" * 64, "proof": proof}
        writer.write(orjson.dumps(line) + b"\n")
        assert await reader.read() == b""
        assert nonce
        assert not heard
    finally:
        running.cancel()
        await asyncio.wait([running])


@contextlib.asynccontextmanager
async def listening() -> AsyncIterator[migrationlink.Listener]:
    """A listener that serves whoever has the key; it must not have ended by itself."""

    async def serve(hello: migrationlink.Message, line: migrationlink.Line) -> None:
        if hello.get("kind") == "broken":
            raise KeyError("kind")
        await migrationlink.welcome(line, hello)
        line.close()

    listener = migrationlink.Listener("127.0.0.1", KEY, serve, anybody)
    running = asyncio.create_task(listener.run())
    try:
        yield listener
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.wait([running])


async def is_served(listener: migrationlink.Listener) -> bool:
    (await migrationlink.call("127.0.0.1", listener.port, KEY, HELLO)).close()
    return True


DEEP = b"[" * 300 + b"]" * 300


@pytest.mark.parametrize(
    "line",
    [
        '{"hello":{},"nonce":"","proof":"\u00e9"}'.encode(),
        b'{"hello":{"a":%s},"nonce":"","proof":""}' % DEEP,
        b'{"hello":"%s","nonce":"%s","proof":"%s"}' % (DEEP, b"0" * 64, b"0" * 64),
        b'{"hello":1,"nonce":{},"proof":[]}',
        b'"\\ud800"',
        b"\xff\0",
    ],
)
async def test_no_line_of_a_stranger_ends_the_listener(line: bytes) -> None:
    async with listening() as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        await reader.readline()
        writer.write(line + b"\n")
        assert await reader.read() == b""
        writer.close()
        assert await is_served(listener)


async def test_one_connection_that_fails_leaves_the_others() -> None:
    async with listening() as listener:
        with pytest.raises(errors.Unavailable):
            await migrationlink.call("127.0.0.1", listener.port, KEY, {"kind": "broken"})
        assert await is_served(listener)


async def test_it_listens_on_when_there_was_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    accept, failures = loop.sock_accept, [OSError(errno.EMFILE, "Too many open files")]

    async def scarce(listens: socket.socket) -> object:
        if failures:
            raise failures.pop()
        return await accept(listens)

    monkeypatch.setattr(migrationlink, "ACCEPT_PAUSE", 0.01)
    monkeypatch.setattr(loop, "sock_accept", scarce)
    async with listening() as listener:
        assert await is_served(listener)
        assert not failures


async def test_strangers_that_say_nothing_leave_room_for_a_node() -> None:
    async with asyncio.timeout(migrationlink.PATIENCE / 2), listening() as listener:
        idle = [
            await asyncio.open_connection("127.0.0.1", listener.port)
            for _ in range(migrationlink.MAX_STRANGERS + 1)
        ]
        assert await is_served(listener)
        for _, writer in idle:
            writer.close()


async def test_a_flood_leaves_room_for_the_other_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that is there is accepted without a wait, one after the other."""
    loop = asyncio.get_running_loop()
    made: list[socket.socket] = []

    async def flood(listens: socket.socket) -> tuple[socket.socket, tuple[str, int]]:
        near, far = socket.socketpair()
        made.append(far)
        assert len(made) < 1000, "nothing else runs"
        return near, ("10.0.0.1", 1)

    monkeypatch.setattr(loop, "sock_accept", flood)
    async with listening():
        for _ in range(100):
            await asyncio.sleep(0)
        monkeypatch.undo()
    assert len(made) > migrationlink.SHARE
    for far in made:
        far.setblocking(False)
        with contextlib.suppress(ConnectionResetError):
            while far.recv(1 << 10):
                pass  # to the end: each has been closed
        far.close()


def test_who_has_more_connections_than_its_share_loses_the_oldest() -> None:
    share, most = migrationlink.SHARE, migrationlink.MAX_STRANGERS
    assert migrationlink.surplus(["a"] * share) is None
    assert migrationlink.surplus(["b", *["a"] * (share + 1)]) == 1
    many = [*["a"] * 3, *(str(number) for number in range(most - 3)), "b"]
    assert migrationlink.surplus(["c", *many[:-2], "b"]) == 1
    assert migrationlink.surplus(many[1:]) is None
