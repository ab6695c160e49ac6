"""Sends commands to a running QEMU and receives its events (QMP)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from weft import errors
from weft_lab.vm import jsonlines
from weft_lab.vm.jsonlines import Stream

LONGEST_LINE = 1 << 20  # bytes
MAX_EVENTS = 64  # that wait for a reader
ANSWER = 60.0  # seconds for an answer, also of a QEMU that has just been started


class Monitor:
    """One monitor connection. QEMU serves one client on each monitor socket at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream: Stream | None = None
        self._events: list[dict[str, Any]] = []

    async def __aenter__(self) -> Self:
        self._stream = await Stream.connect(self._path, LONGEST_LINE)
        try:
            async with self._limit("greeting"):
                await self._stream.receive()
            await self.execute("qmp_capabilities")
        except BaseException:
            self._stream.cut()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._connected().close()

    async def execute(self, command: str, **arguments: Any) -> Any:
        """The command's return value; events that come meanwhile are kept for `events`.

        Raises Unavailable for more events than QEMU has, or for no answer: a pod may serve the
        socket.
        """
        return await self._send(command, jsonlines.request(command, arguments))

    async def add_device(self, properties: dict[str, Any]) -> None:
        """Plug a device; the names of its properties are sent as they are."""
        await self._send("device_add", {"execute": "device_add", "arguments": properties})

    async def _send(self, command: str, request: dict[str, Any]) -> Any:
        async with self._limit(command):
            await self._connected().send(request)
            answer = await self._answer(command)
        return jsonlines.value(command, answer, self._path)

    async def _answer(self, command: str) -> dict[str, Any]:
        while "event" in (message := await self._connected().receive()):
            if len(self._events) >= MAX_EVENTS:
                what = f"{command}: {MAX_EVENTS} events came before an answer"
                raise errors.Unavailable(what, where=str(self._path))
            self._events.append(message)
        return message

    @contextlib.asynccontextmanager
    async def _limit(self, command: str) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(ANSWER):
                yield
        except TimeoutError as error:
            self._connected().cut()  # a late answer would be taken for that of another command
            raise errors.Unavailable(f"{command}: no answer", where=str(self._path)) from error

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """Events as they happen, until QEMU goes. No command may be executed meanwhile."""
        while True:
            while self._events:
                yield self._events.pop(0)
            try:
                message = await self._connected().receive()
            except errors.Unavailable:
                return
            if "event" in message:
                yield message

    def _connected(self) -> Stream:
        if self._stream is None:
            raise errors.Unavailable("the monitor is not connected", where=str(self._path))
        return self._stream
