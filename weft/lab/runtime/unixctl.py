"""How is a running OVS or OVN daemon told something? One JSON-RPC call (ovs-appctl(8))."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from weft import errors
from weft.lab import state

PATIENCE = 5.0


async def call(path: Path, method: str, *arguments: str) -> str:
    """The daemon's answer; Unavailable if it refuses or does not answer."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await _call(path, method, arguments)
    except (OSError, TimeoutError) as error:
        raise errors.Unavailable(f"{method}: {error or 'no answer'}", where=str(path)) from None


async def _call(path: Path, method: str, arguments: tuple[str, ...]) -> str:
    with state.short(path) as name:
        reader, writer = await asyncio.open_unix_connection(name)
    try:
        request = {"id": 0, "method": method, "params": list(arguments)}
        writer.write(json.dumps(request).encode())
        received = b""
        while data := await reader.read(1 << 16):
            received += data
            try:
                answer = json.loads(received)
            except ValueError:  # the rest is still to come
                continue
            if answer["error"] is not None:
                raise errors.Unavailable(f"{method}: {answer['error']}", where=str(path))
            return str(answer["result"])
        raise ConnectionResetError("closed without an answer")
    finally:
        writer.close()
