"""Calls a running OVS or OVN daemon by JSON-RPC, as ovs-appctl(8) does."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from weft import errors

PATIENCE = 5.0
_LARGEST = 1 << 20  # bytes of a reply


class Refused(errors.WeftError):
    """The daemon refused: it does not know the command or its arguments."""


async def call(path: Path | str, method: str, *arguments: str) -> str:
    """The daemon's reply; raises Refused if it refuses, Unavailable if it does not answer."""
    return await _within_time(path, method, arguments, may_be_cut=False)


async def beginning(
    path: Path | str,
    method: str,
    *arguments: str,
    most: int = _LARGEST,
    patience: float = PATIENCE,
) -> str:
    """As `call`, but of a reply beyond `most` bytes the whole lines of its beginning."""
    return await _within_time(path, method, arguments, most, patience, may_be_cut=True)


async def _within_time(
    path: Path | str,
    method: str,
    arguments: tuple[str, ...],
    most: int = _LARGEST,
    patience: float = PATIENCE,
    *,
    may_be_cut: bool,
) -> str:
    try:
        async with asyncio.timeout(patience):
            return await _call(str(path), method, arguments, most, may_be_cut=may_be_cut)
    except (OSError, TimeoutError) as error:
        raise errors.Unavailable(f"{method}: {error or 'no answer'}", where=str(path)) from None


async def _call(
    path: str, method: str, arguments: tuple[str, ...], most: int, *, may_be_cut: bool
) -> str:
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        request = {"id": 0, "method": method, "params": list(arguments)}
        writer.write(json.dumps(request).encode())
        received = bytearray()
        while len(received) < most and (data := await reader.read(1 << 16)):
            received += data
            if not data.rstrip().endswith(b"}"):
                continue  # the end of a long answer is not parsed for each part of it
            try:
                answer = json.loads(received)
            except ValueError:  # incomplete so far
                continue
            if answer["error"] is not None:
                raise Refused(f"{method}: {str(answer['error']).strip()}", where=path)
            return str(answer["result"])
        if len(received) < most:
            raise ConnectionResetError("closed without an answer")
        if may_be_cut and (lines := _lines(bytes(received))):
            return lines
        raise OSError(f"the answer has more than {most} bytes")
    finally:
        writer.close()


def _lines(received: bytes) -> str:
    """The whole lines of a result whose end is missing; "" where there is none."""
    _, begun, rest = received.partition(b'"result":"')
    whole, ended, _ = rest.rpartition(b"\\n")
    return str(json.loads(b'"' + whole + b'"')) if begun and ended else ""
