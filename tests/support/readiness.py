"""Asks a process for its readiness, as who runs it asks: again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import aiohttp

from tests.support.patience import PATIENCE


class Ready:
    """A process's `/readyz`, at a unix socket."""

    def __init__(self, address: Path) -> None:
        self._address = address

    async def ask(self) -> tuple[int, str]:
        connector = aiohttp.UnixConnector(str(self._address))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get("http://localhost/readyz") as response,
        ):
            return response.status, await response.text()

    async def until(self, holds: Callable[[int, str], bool]) -> str:
        """What it said when it was as expected."""
        response: tuple[int, str] | None = None
        try:
            async with asyncio.timeout(PATIENCE):
                while not holds(*(response := await self.ask())):  # noqa: ASYNC110 (nobody tells)
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(response) from None
        assert response is not None
        return response[1]
