"""Handlers that have the lab's key find each other; nobody else gets further than a refusal."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from weft import errors
from weft_lab.vm import migrationlink

KEY, OTHER = b"k" * 32, b"o" * 32
HELLO = {"kind": "control", "migration": "m1"}


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

    listener = migrationlink.Listener("127.0.0.1", listens, serve)
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


async def test_a_caller_without_the_key_is_left() -> None:
    with pytest.raises(errors.Unavailable):
        await conversation(KEY, OTHER)


async def test_a_refusal_comes_with_its_reason() -> None:
    with pytest.raises(errors.Unavailable, match="no machine is expected here"):
        await conversation(KEY, KEY, "no machine is expected here")


async def test_whoever_answers_without_the_key_gets_no_machine() -> None:
    async def impostor(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'{"nonce": "00"}\n')
        await reader.readline()
        writer.write(b'{"proof": "00"}\n')
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

    listener = migrationlink.Listener("127.0.0.1", KEY, serve)
    running = asyncio.create_task(listener.run())
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        nonce = (await reader.readline()).decode()
        proof = migrationlink._sign(KEY, "source", "of another time", "ours", HELLO)
        line = {"hello": HELLO, "nonce": "ours", "proof": proof}
        writer.write(orjson.dumps(line) + b"\n")
        assert await reader.read() == b""
        assert nonce
        assert not heard
    finally:
        running.cancel()
        await asyncio.wait([running])
