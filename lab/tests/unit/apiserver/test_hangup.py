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
