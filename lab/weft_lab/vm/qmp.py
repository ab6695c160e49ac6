"""Sends commands to a running QEMU and receives its events (QMP)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from weft import errors
from weft_lab.vm import jsonlines
from weft_lab.vm.jsonlines import Stream

LONGEST_LINE = 1 << 20  # bytes
MAX_EVENTS = 64  # that wait for a reader


class Monitor:
    """One monitor connection. QEMU serves one client on each monitor socket at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream: Stream | None = None
        self._events: list[dict[str, Any]] = []

    async def __aenter__(self) -> Self:
        self._stream = await Stream.connect(self._path, LONGEST_LINE)
        await self._stream.receive()  # the greeting
        await self.execute("qmp_capabilities")
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

        Raises Unavailable for more events than QEMU has: a pod may serve the socket.
        """
        return await self._send(command, jsonlines.request(command, arguments))

    async def add_device(self, properties: dict[str, Any]) -> None:
        """Plug a device; the names of its properties are sent as they are."""
        await self._send("device_add", {"execute": "device_add", "arguments": properties})

    async def _send(self, command: str, request: dict[str, Any]) -> Any:
        stream = self._connected()
        await stream.send(request)
        while True:
            message = await stream.receive()
            if "event" in message:
                if len(self._events) >= MAX_EVENTS:
                    what = f"{command}: {MAX_EVENTS} events came before an answer"
                    raise errors.Unavailable(what, where=str(self._path))
                self._events.append(message)
            else:
                return jsonlines.value(command, message, self._path)

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
