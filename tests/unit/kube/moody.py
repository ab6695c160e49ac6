"""An API server that refuses, forgets or does not answer, for as long as a test has it so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from tests.support.memory_api import MemoryApi
from weft.kube import errors
from weft.kube.resources import Resource

FORBIDDEN = errors.from_status({"reason": "Forbidden", "message": "may not"}, 403)


class Moody(MemoryApi):
    """Watches answer with `mood`, an error or "silent", for as long as it is set."""

    def __init__(self) -> None:
        super().__init__()
        self.mood: errors.ApiError | str = ""
        self.lists = 0
        self.refused = 0
        self.answered = asyncio.Event()

    async def list(self, res: Resource, namespace: str = "", **options: Any) -> Any:
        self.lists += 1
        return await super().list(res, namespace, **options)

    async def watch(  # type: ignore[override]
        self, res: Resource, resource_version: str, namespace: str = "", **options: Any
    ) -> AsyncIterator[tuple[str, Any]]:
        if isinstance(self.mood, errors.Expired):
            options["on_state"]("")  # the server takes the watch, and then says so in an event
        if isinstance(self.mood, errors.ApiError):
            raise self.mood
        if self.mood == "silent":
            options["on_state"]("no answer from the Kubernetes API")
            await self.answered.wait()
        async for each in super().watch(res, resource_version, namespace, **options):
            yield each

    async def create(self, res: Resource, obj: Any) -> Any:
        if isinstance(self.mood, errors.ApiError):
            self.refused += 1
            raise self.mood
        return await super().create(res, obj)
