"""Serves and asks the control socket of a running lab: JSON lines, one request and many answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from weft import errors
from weft_lab import state

Answers = AsyncIterator[dict[str, object]]
Handler = Callable[[dict[str, object]], Answers]


def bind(path: Path) -> socket.socket:
    """The control socket, for its user alone; an old one in its place is removed.

    Process 1 itself must call listen(): clients get the number of the process that did (unix(7)).
    """
    path.unlink(missing_ok=True)
    link = socket.socket(socket.AF_UNIX)
    with state.short(path) as name:
        link.bind(name)
    path.chmod(0o600)
    return link


async def serve(link: socket.socket, handle: Handler) -> None:
    """Answer every connection until cancelled."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError):
                async for line in reader:
                    await _answer(json.loads(line), handle, writer)
        finally:
            writer.close()

    # start_unix_server would look for the socket's file at close (Python 3.13), and the name that
    # it was bound to, through an open folder, is not there any more.
    server = await asyncio.start_server(talk, sock=link)
    async with server:
        await server.serve_forever()


async def _answer(
    request: dict[str, object], handle: Handler, writer: asyncio.StreamWriter
) -> None:
    async def send(answer: dict[str, object]) -> None:
        writer.write(json.dumps(answer).encode() + b"\n")
        await writer.drain()

    await _guarded(request, handle, send)
    await send({"end": True})


async def _guarded(
    request: dict[str, object],
    handle: Handler,
    send: Callable[[dict[str, object]], Awaitable[None]],
) -> None:
    try:
        async for answer in handle(request):
            await send(answer)
    except errors.WeftError as error:
        await send({"error": error.what, "where": error.where, "hint": error.hint})
    except OSError as error:
        await send({"error": str(error), "where": "the lab's supervisor", "hint": ""})
