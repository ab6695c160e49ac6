"""The routes that a userspace switch keeps, where it refuses some or does not answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from weft import errors
from weft.kube import queue
from weft.node import switchsettings

LINKS = ("192.0.2.0/24", "fd00::/64")


@asynccontextmanager
async def switch(path: Path, refused: list[str]) -> AsyncIterator[list[str]]:
    """A daemon that refuses each of the subnets once; yields what it was asked for."""
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = json.loads(await reader.readuntil(b"}"))
        subnet, bridge = request["params"]
        asked.append(subnet)
        assert (request["method"], bridge) == ("ovs/route/add", "br-weft")
        error = None
        if subnet in refused:
            refused.remove(subnet)
            error = "Error while inserting route.\n"
        writer.write(json.dumps({"id": 0, "result": "OK\n", "error": error}).encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(answer, path):
        yield asked


async def test_a_route_that_was_refused_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "ctl"
    done = asyncio.Event()

    async def keep(_: str) -> None:
        await switchsettings.keep_routes(path, LINKS)
        done.set()

    tried = queue.Queue[str]("switch")
    async with switch(path, [LINKS[0]]) as asked:
        tried.add("routes")
        task = asyncio.create_task(tried.run(keep))
        async with asyncio.timeout(60):
            await done.wait()
        task.cancel()
        assert asked == [*LINKS, *LINKS], "one that is refused keeps no other back"
        assert not tried.trouble, "the node is ready"


async def test_a_switch_that_does_not_answer_is_a_trouble(tmp_path: Path) -> None:
    with pytest.raises(errors.Unavailable):
        await switchsettings.keep_routes(tmp_path / "none", LINKS)
