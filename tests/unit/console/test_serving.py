"""How often a page's updates come."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.support import objects as made
from tests.support.memory_api import MemoryApi
from tests.support.patience import PATIENCE
from weft.console import serving
from weft.console.computing import Computing
from weft.console.page import Read, Reading
from weft.console.stores import Store
from weft.kube import resources


class Response:
    """What was sent."""

    def __init__(self) -> None:
        self.sent: asyncio.Queue[bytes] = asyncio.Queue()

    async def write(self, data: bytes) -> None:
        self.sent.put_nowait(data)


def show(read: Reading) -> str:
    return f"{len(read.of(resources.NODES))} nodes"


async def follow_a_change(store: Store, response: Response) -> None:
    """Until the page that showed no node shows the one that came."""
    async with asyncio.timeout(PATIENCE):
        assert b"0 nodes" in await response.sent.get()
        store.change("ADDED", made.named(resources.NODES, "a"))
        while b"1 nodes" not in await response.sent.get():
            pass


async def test_who_waits_for_a_turn_is_not_updated_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = 0.2
    monkeypatch.setattr(serving, "_SHARE", 2 * PATIENCE / held)
    store, response, computing = Store(MemoryApi(), Read(resources.NODES)), Response(), Computing()
    long = asyncio.create_task(computing.run(time.sleep, held))
    await asyncio.sleep(0)
    update = serving._update(response, computing, show, [store], "")  # type: ignore[arg-type]
    updating = asyncio.create_task(update)
    await follow_a_change(store, response)
    updating.cancel()
    await asyncio.gather(long, updating, return_exceptions=True)


async def test_a_page_that_waited_for_a_processor_is_not_updated_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waited = 0.2
    monkeypatch.setattr(serving, "_SHARE", 2 * PATIENCE / waited)

    def slowly(read: Reading) -> str:
        time.sleep(waited)
        return show(read)

    store, response = Store(MemoryApi(), Read(resources.NODES)), Response()
    update = serving._update(response, Computing(), slowly, [store], "")  # type: ignore[arg-type]
    updating = asyncio.create_task(update)
    await follow_a_change(store, response)
    updating.cancel()
    await asyncio.gather(updating, return_exceptions=True)


async def test_a_page_that_takes_long_gives_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "_SIGN_OF_LIFE", 0.01)
    response = Response()
    await serving._rest(response, 0.035)  # type: ignore[arg-type]
    assert response.sent.qsize() == 3
