"""Speaks JSON over a stream socket of QEMU: one object a line, answers in order.

Shared by the monitor (qmp.py) and the guest agent (agentclient.py); knows neither's commands.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson

from weft import errors
from weft_lab import state

LIMIT = 16 << 20  # the output of a command in the guest comes as one line
LONGEST_WORDS = 512  # characters of a refusal


def request(command: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The question that both protocols ask; names of arguments are as Python writes them."""
    named = {name.replace("_", "-"): value for name, value in arguments.items()}
    return {"execute": command, **({"arguments": named} if named else {})}


def value(command: str, answer: dict[str, Any], where: Path) -> Any:
    """What the answer returns; raises Unavailable with the words of a refusal."""
    if "error" in answer:
        message = answer["error"]
        words = str(message.get("desc") if isinstance(message, dict) else message)[:LONGEST_WORDS]
        raise errors.Unavailable(f"{command}: {words}", where=str(where))
    return answer.get("return")


class Stream:
    """A connection; `send` and `receive` are the whole of it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, where: str):
        self._reader = reader
        self._writer = writer
        self._where = where

    @classmethod
    async def connect(cls, path: Path, limit: int = LIMIT) -> Stream:
        """`limit` is the longest line, in bytes.

        Raises Unavailable when nobody listens there (yet), or too many wait already."""
        try:
            with state.door(path) as name:
                reader, writer = await asyncio.open_unix_connection(name, limit=limit)
        except OSError as error:
            raise errors.Unavailable(
                f"the virtual machine does not answer ({error.strerror})",
                where=str(path),
                hint="see whether it runs: kubectl get vmi -A",
            ) from error
        return cls(reader, writer, str(path))

    async def send(self, message: dict[str, Any], *, before: bytes = b"") -> None:
        self._writer.write(before + orjson.dumps(message) + b"\n")
        try:
            await self._writer.drain()
        except OSError as error:
            raise self._lost() from error

    async def receive(self) -> dict[str, Any]:
        """The next object; anything else (line noise before a sync) is skipped."""
        while True:
            try:
                line = await self._reader.readline()
            except (OSError, ValueError) as error:
                raise self._lost() from error
            if not line:
                raise self._lost()
            try:
                message = orjson.loads(line.rpartition(b"\xff")[2])
            except orjson.JSONDecodeError:
                continue
            if isinstance(message, dict):
                return message

    async def close(self) -> None:
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            pass  # it was gone already

    def cut(self) -> None:
        """Close it at once: what was not sent yet never is."""
        self._writer.transport.abort()

    def _lost(self) -> errors.Unavailable:
        return errors.Unavailable("the virtual machine closed the connection", where=self._where)
