"""The end of a connection is noticed behind what nobody reads."""

from __future__ import annotations

import asyncio
import os
import socket

from weft_lab.apiserver import hangup


async def test_an_end_behind_unread_bytes_is_noticed() -> None:
    near, far = socket.socketpair()
    far.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=near, limit=1024)
    filled = 0
    while filled < 1 << 16:
        filled += far.send(bytes(4096))
    await asyncio.sleep(0)  # the reader has its fill
    waits = asyncio.ensure_future(hangup.wait(writer.transport))
    done, _ = await asyncio.wait([waits], timeout=0.05)
    assert not done
    far.close()
    async with asyncio.timeout(5):
        await waits
    assert not reader.at_eof()
    writer.close()


async def test_an_end_that_tcp_has_not_sent_yet_comes_as_an_answer_to_a_byte() -> None:
    """What a client that was killed had left to send stands before its end."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        far = socket.create_connection(listening.getsockname())
        near, _ = listening.accept()
    far.setblocking(False)
    _, writer = await asyncio.open_connection(sock=near, limit=1024)
    blocked = 0
    while blocked < 10:
        try:
            far.send(bytes(1 << 16))
        except BlockingIOError:
            blocked += 1
            await asyncio.sleep(0.02)
    far.close()
    waits = asyncio.ensure_future(hangup.wait(writer.transport))
    done, _ = await asyncio.wait([waits], timeout=0.2)
    assert not done
    writer.write(b"x")
    async with asyncio.timeout(5):
        await waits
    writer.transport.abort()


async def test_nothing_is_kept_open() -> None:
    near, far = socket.socketpair()
    _, writer = await asyncio.open_connection(sock=near)
    before = os.listdir("/proc/self/fd")
    waits = asyncio.ensure_future(hangup.wait(writer.transport))
    await asyncio.sleep(0)
    waits.cancel()
    await asyncio.wait([waits])
    assert os.listdir("/proc/self/fd") == before
    far.close()
    writer.transport.abort()
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await hangup.wait(writer.transport)
