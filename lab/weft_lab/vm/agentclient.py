"""Speaks with a guest's agent: asks what it knows, and runs commands in it. (QEMU guest agent)

The agent serves one client at a time and others wait in line at the socket, so a session is
short: connect, ask, leave.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from weft import errors
from weft_lab.vm import agentanswers, jsonlines
from weft_lab.vm.agentanswers import GuestInterface, Outcome
from weft_lab.vm.jsonlines import Stream

DEADLINE = 10.0
FLUSH = b"\xff"  # makes the agent drop an incomplete request of an earlier client
_tickets = itertools.count(1)
_Read = TypeVar("_Read")

__all__ = ["Agent", "GuestInterface", "Outcome"]


class Agent:
    """A session with the agent in a guest. Raises Unavailable while none answers."""

    def __init__(self, path: Path, deadline: float = DEADLINE) -> None:
        self._path = path
        self._deadline = deadline
        self._stream: Stream | None = None
        self._turn = asyncio.Lock()  # answers come in the order of the questions

    async def __aenter__(self) -> Self:
        async with self._limit():
            self._stream = await self._join()
            ticket = next(_tickets)
            request = {"execute": "guest-sync-delimited", "arguments": {"id": ticket}}
            await self._stream.send(request, before=FLUSH)
            while (await self._stream.receive()).get("return") != ticket:
                pass  # answers to a client that has disconnected
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._stream is not None:
            await self._stream.close()

    async def ask(self, command: str, **arguments: Any) -> Any:
        """One command's return value."""
        if self._stream is None:
            raise errors.Unavailable("the guest agent is not connected", where=str(self._path))
        async with self._limit(), self._turn:
            await self._stream.send(jsonlines.request(command, arguments))
            answer = await self._stream.receive()
        return jsonlines.value(command, answer, self._path)

    async def hostname(self) -> str:
        return await self._ask("guest-get-host-name", agentanswers.hostname)

    async def system(self) -> dict[str, str]:
        """guest-get-osinfo as the agent gives it."""
        return await self._ask("guest-get-osinfo", agentanswers.system)

    async def is_frozen(self) -> bool:
        """Whether its file systems are. No agent knows that on every system."""
        try:
            return bool(await self.ask("guest-fsfreeze-status") == "frozen")
        except errors.Unavailable:
            return False

    async def reboot(self) -> None:
        """Have the guest shut down and start again. Raises Unavailable where it refuses.

        An agent answers nothing else: what goes down is silent.
        """
        if self._stream is None:
            raise errors.Unavailable("the guest agent is not connected", where=str(self._path))
        command = "guest-shutdown"
        async with self._turn:
            async with self._limit():
                await self._stream.send(jsonlines.request(command, {"mode": "reboot"}))
            try:
                async with asyncio.timeout(self._deadline):
                    answer = await self._stream.receive()
            except (errors.Unavailable, TimeoutError):
                return
        jsonlines.value(command, answer, self._path)

    async def interfaces(self) -> list[GuestInterface]:
        """Every card with a MAC; the loopback interface is left out."""
        return await self._ask("guest-network-get-interfaces", agentanswers.interfaces)

    async def _ask(self, command: str, read: Callable[[object], _Read], **arguments: Any) -> _Read:
        """What the answer says; a guest that answers otherwise than an agent has none."""
        answer = await self.ask(command, **arguments)
        try:
            return read(answer)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            what = f"{command}: the guest's answer is none of a guest agent"
            raise errors.Unavailable(what, where=str(self._path)) from error

    async def execute(
        self, *argv: str, stdin: bytes = b"", deadline: float | None = None
    ) -> Outcome:
        """Run a program in the guest to its end; several may run at the same time.

        The agent reports the end of a program only when asked, so this polls.
        """
        program, *arguments = argv
        request: dict[str, Any] = {"path": program, "arg": arguments, "capture_output": True}
        given = {"input_data": base64.b64encode(stdin).decode()} if stdin else {}
        number = await self._ask("guest-exec", agentanswers.started, **request, **given)
        pause = 0.02
        async with self._limit(deadline):
            while (
                ended := await self._ask("guest-exec-status", agentanswers.ended, pid=number)
            ) is None:
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, 0.5)
        return ended

    async def _join(self) -> Stream:
        """Connect; where another client is in line already the kernel refuses at once."""
        pause = 0.02
        while True:
            try:
                return await Stream.connect(self._path)
            except errors.Unavailable as error:
                if not isinstance(error.__cause__, BlockingIOError):
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.5)

    def _limit(self, seconds: float | None = None) -> _Limit:
        return _Limit(seconds or self._deadline, self._path)


class _Limit:
    """A deadline; when it passes, the error names what did not answer."""

    def __init__(self, seconds: float, path: Path) -> None:
        self._timeout = asyncio.timeout(seconds)
        self._seconds = seconds
        self._path = path

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self._timeout.__aexit__(kind, error, traceback)
        except TimeoutError as late:
            raise errors.Unavailable(
                f"the guest agent did not answer within {self._seconds:g} s",
                where=str(self._path),
                hint="the guest may still be booting, or has no agent",
            ) from late
