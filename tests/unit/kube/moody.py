"""An API server that refuses, forgets or does not answer, for as long as a test has it so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from tests.support.memory_api import MemoryApi
from weft.kube import errors
from weft.kube.resources import Resource

FORBIDDEN = errors.from_status({"reason": "Forbidden", "message": "may not"}, 403)
EXPIRED = errors.from_status({"reason": "Expired", "message": "too old"}, 410)
MOODS: dict[str, errors.ApiError | str] = {
    "403": FORBIDDEN,
    "410": EXPIRED,
    "500": errors.from_status({"message": "out of order"}, 500),
    "429": errors.from_status({"message": "too many"}, 429),
    "cut": errors.unreachable("https://x", OSError("refused")),
    "closing": "closing",
}


class Moody(MemoryApi):
    """Watches answer with `mood` for as long as it is set: an error, "silent" or "closing"."""

    def __init__(self) -> None:
        super().__init__()
        self.mood: errors.ApiError | str = ""
        self.asked: list[tuple[str, float]] = []  # "list" or "watch", and when
        self.refused = 0
        self.answered = asyncio.Event()

    def _note(self, verb: str) -> None:
        self.asked.append((verb, asyncio.get_running_loop().time()))

    def count(self, verb: str) -> int:
        return sum(each == verb for each, _ in self.asked)

    async def list(self, res: Resource, namespace: str = "", **options: Any) -> Any:
        self._note("list")
        return await super().list(res, namespace, **options)

    async def watch(  # type: ignore[override]
        self, res: Resource, resource_version: str, namespace: str = "", **options: Any
    ) -> AsyncIterator[tuple[str, Any]]:
        self._note("watch")
        if isinstance(self.mood, errors.Expired):
            options["on_open"]()  # the server takes the watch, and then says so in an event
        if isinstance(self.mood, errors.ApiError):
            raise self.mood
        if self.mood == "silent":
            await self.answered.wait()
        if self.mood == "closing":
            options["on_open"]()
            return
        async for each in super().watch(res, resource_version, namespace, **options):
            yield each

    async def create(self, res: Resource, obj: Any) -> Any:
        if isinstance(self.mood, errors.ApiError):
            self.refused += 1
            raise self.mood
        return await super().create(res, obj)
