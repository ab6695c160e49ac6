"""A monitor connection that passes descriptors, and hears events while commands run (QMP).

`qmp.Monitor` is the simpler one, of which a client either asks or listens. A pod may serve the
socket: answers and events have bounds.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from weft import errors
from weft_lab import state
from weft_lab.vm import jsonlines

LONGEST_LINE = 1 << 20  # bytes
MAX_EVENTS = 256  # that wait for a reader
MOST_SETS = 64  # of one purpose: QEMU gets one at a time
ANSWER = 30.0  # seconds for an answer
_CHUNK = 65536
_UNAWAITED = "unawaited"

Event = Mapping[str, Any]


class Session:
    """`events` gets each event, and None when QEMU has closed the connection.

    `at_once` is called with each event as it comes, also while a command waits for its answer.
    """

    def __init__(self, path: Path, at_once: Callable[[Event], None] = lambda event: None) -> None:
        self._path, self._at_once = path, at_once
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        self._turn = asyncio.Lock()
        self._answer: asyncio.Future[dict[str, Any]] | None = None
        self._reader: asyncio.Task[None] | None = None
        self.events: asyncio.Queue[Event | None] = asyncio.Queue(MAX_EVENTS)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        try:
            with state.door(self._path) as name:
                await loop.sock_connect(self._socket, name)
        except OSError as error:
            self._socket.close()
            raise errors.Unavailable(
                f"the virtual machine does not answer ({error.strerror})", where=str(self._path)
            ) from error
        self._reader = loop.create_task(self._read(), name=f"monitor {self._path.parent.name}")
        try:
            await self.execute("qmp_capabilities", enable=["oob"])
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait([self._reader])
        self._socket.close()

    async def execute(self, command: str, *, passing: int = -1, **arguments: Any) -> Any:
        """The command's return value; `passing` is a descriptor that goes with it.

        Raises Unavailable with QEMU's words, and where it has gone or does not answer.
        """
        loop = asyncio.get_running_loop()
        async with self._turn:
            if self._reader is None or self._reader.done():
                raise self._lost()
            self._answer = loop.create_future()
            try:
                async with asyncio.timeout(ANSWER):
                    line = orjson.dumps(jsonlines.request(command, arguments)) + b"\n"
                    if passing >= 0:  # the first byte carries it
                        socket.send_fds(self._socket, [line[:1]], [passing])
                        line = line[1:]
                    await loop.sock_sendall(self._socket, line)
                    message = await self._answer
            except TimeoutError as error:
                self._reader.cancel()  # a late answer would be taken for that of another command
                raise errors.Unavailable(f"{command}: no answer", where=str(self._path)) from error
            except OSError as error:
                raise self._lost() from error
            finally:
                self._answer = None
        return jsonlines.value(command, message, self._path)

    async def ask(self, command: str) -> dict[str, Any]:
        """What a command answers that answers with an object; {} for anything else."""
        found = await self.execute(command)
        return found if isinstance(found, dict) else {}

    async def urge(self, command: str, **arguments: Any) -> None:
        """Have QEMU do it even while another command hangs; nobody waits for its answer."""
        request = jsonlines.request(command, arguments)
        request = {"exec-oob": request.pop("execute"), **request, "id": _UNAWAITED}
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().sock_sendall(
                self._socket, orjson.dumps(request) + b"\n"
            )

    async def add_set(self, descriptor: int, purpose: str) -> dict[str, Any]:
        """Give QEMU a descriptor in a set of its own, which it keeps until it is removed."""
        added = await self.execute("add-fd", passing=descriptor, opaque=purpose)
        return added if isinstance(added, dict) else {}

    async def remove_sets(self, purpose: str) -> None:
        """Those of this purpose, whoever added them: another process may have been killed."""
        listed = await self.execute("query-fdsets")
        try:
            found = [
                each["fdset-id"]
                for each in listed
                if any(one.get("opaque") == purpose for one in each["fds"])
            ]
        except (AttributeError, KeyError, TypeError) as error:
            what = "query-fdsets: the machine's answer is not QEMU's"
            raise errors.Unavailable(what, where=str(self._path)) from error
        for number in found[:MOST_SETS]:
            await self.execute("remove-fd", fdset_id=number)

    async def pass_on(self, name: str, descriptor: int) -> None:
        """Give QEMU a descriptor, by the name under which commands use it."""
        await self.execute("getfd", passing=descriptor, fdname=name)

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        pending = b""
        try:
            while chunk := await loop.sock_recv(self._socket, _CHUNK):
                *lines, pending = (pending + chunk).split(b"\n")
                for line in lines:
                    self._take(line)
                if len(pending) > LONGEST_LINE:
                    break
        except (OSError, orjson.JSONDecodeError, asyncio.QueueFull):
            pass
        finally:
            if self._answer is not None and not self._answer.done():
                self._answer.set_exception(self._lost())
            with contextlib.suppress(asyncio.QueueFull):
                self.events.put_nowait(None)

    def _take(self, line: bytes) -> None:
        message = orjson.loads(line) if line.strip() else None
        if not isinstance(message, dict) or "QMP" in message:
            return
        if "event" in message:
            data = message.get("data")
            message = {"event": message["event"], "data": data if isinstance(data, dict) else {}}
            self._at_once(message)
            self.events.put_nowait(message)
        elif (
            message.get("id") != _UNAWAITED and self._answer is not None and not self._answer.done()
        ):
            self._answer.set_result(message)

    def _lost(self) -> errors.Unavailable:
        return errors.Unavailable(
            "the virtual machine closed the connection", where=str(self._path)
        )


def copied(connection: socket.socket) -> int:
    """A descriptor of its own for QEMU to take over; the caller closes it."""
    return os.dup(connection.fileno())
