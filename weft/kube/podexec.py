"""Runs a program in a container of a running pod, as `kubectl exec` does, by a WebSocket.

The first byte of each message names its channel. That the program's input has ended can be said in
v5 of the subprotocol alone, which servers speak since Kubernetes 1.30.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import orjson
from aiohttp import ClientWebSocketResponse, WSMsgType

from weft import errors
from weft.kube.client import Client
from weft.model import ObjectKey

PROTOCOL = "v5.channel.k8s.io"
_INPUT, _OUTPUT, _COMPLAINT, _STATUS, _CLOSE = 0, 1, 2, 3, 255
_PART = 32 << 10  # bytes of a message to the server
_LONGEST = 1 << 20  # bytes of one from it
_MOST_COMPLAINTS = 1 << 16  # bytes of what the program says on standard error
_SHOWN = 300  # characters of it


async def run(
    api: Client,
    pod: ObjectKey,
    container: str,
    argv: Sequence[str],
    data: bytes,
    *,
    patience: float,
    most: int,
    holds: bool = False,
) -> bytes:
    """What a program writes that is given `data` as its whole input: at most `most` bytes, within
    `patience` seconds. With `holds` the input ends only with this: the program can see that nobody
    waits any more.

    Raises an ApiError if the server refuses it, and Unavailable if the program fails.
    """
    where = f"pod {pod}"
    try:
        async with (
            asyncio.timeout(patience),
            api.websocket(
                f"/api/v1/namespaces/{_quoted(pod.namespace)}/pods/{_quoted(pod.name)}/exec",
                {
                    "container": container,
                    "command": list(argv),
                    **dict.fromkeys(("stdin", "stdout", "stderr"), "true"),
                },
                protocol=PROTOCOL,
                longest=_LONGEST,
                where=where,
            ) as socket,
        ):
            if socket.protocol != PROTOCOL:
                what = f"the API server does not speak {PROTOCOL} (Kubernetes 1.30 or later does)"
                raise errors.Unavailable(what, where=where)
            for at in range(0, len(data), _PART):
                await socket.send_bytes(bytes([_INPUT]) + data[at : at + _PART])
            if not holds:
                await socket.send_bytes(bytes([_CLOSE, _INPUT]))
            return await _output(socket, argv[0], where, most)
    except TimeoutError:
        what = f"{argv[0]} gave no answer within {patience:g} s"
        raise errors.Unavailable(what, where=where) from None
    except ConnectionError as error:
        what = f"the connection ended before {argv[0]} did"
        raise errors.Unavailable(what, where=where) from error


def _quoted(name: str) -> str:
    return quote(name, safe="")


async def _output(socket: ClientWebSocketResponse, program: str, where: str, most: int) -> bytes:
    """What the program has written when the server closes the connection, which follows its end."""
    found, complaint, status = bytearray(), bytearray(), b""
    async for message in socket:
        if message.type is not WSMsgType.BINARY or not message.data:
            continue
        channel, content = message.data[0], message.data[1:]
        if channel == _OUTPUT:
            found += content
        elif channel == _COMPLAINT:
            complaint += content[: _MOST_COMPLAINTS - len(complaint)]
        elif channel == _STATUS:
            status = content
        if len(found) > most:
            raise errors.Unavailable(f"its answer has more than {most} bytes", where=where)
    if not status:
        raise errors.Unavailable(f"the connection ended before {program} did", where=where)
    if failure := _failure(status, program):
        text = errors.printable(complaint.decode(errors="replace").strip()[-_SHOWN:])
        raise errors.Unavailable(f"{failure}: {text}" if text else failure, where=where)
    return bytes(found)


def _failure(content: bytes, program: str) -> str:
    """How the program has failed, by the Status at its end; empty if it has not."""
    try:
        status: Any = orjson.loads(content)
        if status["status"] == "Success":
            return ""
        if status.get("reason") == "NonZeroExitCode":
            causes = status["details"]["causes"]
            code = next(one["message"] for one in causes if one["reason"] == "ExitCode")
            return f"{program} ended with status {errors.printable(str(code)[-_SHOWN:])}"
        return errors.printable(str(status["message"])[-_SHOWN:])
    except (ValueError, LookupError, TypeError, AttributeError, StopIteration):
        return f"how {program} ended cannot be read"
