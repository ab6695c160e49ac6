"""Serves a pod's `exec`, `attach` and `portforward`: joins a client's WebSocket to a kubelet.

A kubelet listens on a Unix socket, to which access is by file permission. A request is one JSON
line, the answer another; after it both ends send frames: a length of four bytes, and the content of
a WebSocket message. Nothing is stored: who reads slowly slows the other end down. The end of a
client is noticed all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import WSMsgType, web

from weft_lab.apiserver import hangup, logs, request, status, store
from weft_lab.apiserver.cluster import Cluster

CHANNELS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
TUNNEL = ("SPDY/3.1+portforward.k8s.io",)
VERBS = {"exec": CHANNELS, "attach": CHANNELS, "portforward": TUNNEL}
LONGEST_MESSAGE = 1 << 20  # bytes
LIMIT = 1 << 16  # bytes that a reader holds beside the frame that it reads, about twice
LONGEST_COMMAND = 128 * 1024  # bytes, as of one argument of a program
_ERROR = 3  # the channel of the Status at the end
_KNOCK = 5.0  # seconds until a client that is gone is noticed, at most
_ANSWER = 30.0  # seconds for a kubelet's answer


class Kubelets:
    """Where the kubelets listen: a path with `{node}` in it, or None if nothing can be entered."""

    def __init__(self, sockets: str | None) -> None:
        self._sockets = sockets

    async def serve(
        self, http: web.BaseRequest, cluster: Cluster, verb: str, pod: store.Item
    ) -> web.StreamResponse:
        """Serve until an end closes. Raise ApiError before the connection is upgraded."""
        obj = pod.parse()
        order = _order(http, verb, obj)
        node = obj["spec"].get("nodeName") or ""
        if not node:
            raise status.bad_request(f"pod {pod.key[1]} does not have a host assigned")
        if ("", node) not in cluster.store.collection("nodes").items:
            raise status.internal(f'error dialing backend: nodes "{node}" not found')
        protocol = _protocol(http, verb)
        socket = websocket(protocol)
        try:
            if self._sockets is None:
                raise status.not_served("this server is not connected to kubelets")
            reader, writer = await dial(self._sockets, node, order, "kubelet")
        except status.ApiError as error:
            if verb == "portforward":
                raise
            # On the connection: a client takes an upgrade that fails for a reason to try another.
            await socket.prepare(http)
            await socket.send_bytes(bytes([_ERROR]) + orjson.dumps(error.body()))
            await socket.close()
            return socket
        try:
            await socket.prepare(http)
            await join(socket, http.transport, reader, writer)
            return socket
        finally:
            writer.close()


def websocket(protocol: str) -> web.WebSocketResponse:
    """One whose messages and buffers are bounded."""
    return web.WebSocketResponse(
        protocols=[protocol],
        compress=False,
        max_msg_size=LONGEST_MESSAGE,
        writer_limit=LONGEST_MESSAGE // 16,
    )


async def dial(
    sockets: str, node: str, order: dict[str, Any], who: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the server `who` of a node that exists, which has taken the order.

    `sockets`: its path, with `{node}` in it. Raise ApiError where it refuses or does not answer;
    the code is 400 where it says that there is no such thing, 503 where another client has it. What
    was taken and failed has virt-api's words.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(sockets.format(node=node), limit=LIMIT)
    except OSError as error:
        raise status.internal(f"error dialing backend: node {node}: {error}") from None
    try:
        writer.write(orjson.dumps(order) + b"\n")
        async with asyncio.timeout(_ANSWER):
            answer = orjson.loads(await reader.readline() or b"{}")
        if absent := answer.get("absent"):
            raise status.bad_request(str(absent))
        if in_use := answer.get("in use"):
            raise status.ApiError(503, "ServiceUnavailable", str(in_use))
        if failed := answer.get("failed"):
            code = int(answer["code"])
            how = f"{code} ({code} {HTTPStatus(code).phrase})"
            raise status.internal(f"unexpected return code {how}, message: {failed}")
        if refused := answer.get("refused", None if answer.get("taken") else "it ended"):
            raise status.internal(f"node {node}: {refused}")
    except TimeoutError:
        writer.close()
        raise status.internal(f"node {node}: its {who} does not answer") from None
    except BaseException:
        writer.close()
        raise
    return reader, writer


def _order(http: web.BaseRequest, verb: str, pod: dict[str, Any]) -> dict[str, Any]:
    """What the kubelet is asked for. Raise BadRequest for options that cannot be."""
    meta, query = pod["metadata"], http.query
    order: dict[str, Any] = {
        "verb": verb,
        "namespace": meta["namespace"],
        "pod": meta["name"],
        "uid": meta["uid"],
    }
    if verb == "portforward":
        return order
    flags = {each: request.flag(query, each) for each in ("stdin", "stdout", "stderr", "tty")}
    if not (flags["stdin"] or flags["stdout"] or flags["stderr"]):
        raise status.bad_request("you must specify at least 1 of stdin, stdout, stderr")
    if flags["tty"] and flags["stderr"]:
        raise status.bad_request("tty and stderr cannot both be true")
    command = query.getall("command", [])
    if verb == "exec" and not command:
        raise status.bad_request("you must specify at least 1 command for the container")
    if sum(map(len, command)) > LONGEST_COMMAND:
        raise status.bad_request(f"the command is longer than {LONGEST_COMMAND} bytes")
    container = logs.choose_container(pod, query.get("container", ""))
    return {**order, **flags, "command": command, "container": container}


def _protocol(http: web.BaseRequest, verb: str) -> str:
    """The subprotocol, the best that both know. Raise BadRequest where there is none."""
    known = VERBS[verb]
    if http.headers.get("Upgrade", "").lower() != "websocket":
        raise status.bad_request(
            "Upgrade request required: this server speaks WebSocket alone, as kubectl does"
            " from version 1.31 on"
        )
    offered = [
        each.strip()
        for line in http.headers.getall("Sec-WebSocket-Protocol", [])
        for each in line.split(",")
    ]
    found = next((each for each in known if each in offered), None)
    if found is None:
        raise status.bad_request(f"unable to upgrade: none of the protocols {', '.join(known)}")
    return found


async def join(
    socket: web.WebSocketResponse,
    client: asyncio.BaseTransport | None,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Copy both ways until the node's end has ended, or the client's has."""

    async def inward() -> None:
        async for message in socket:
            if message.type in (WSMsgType.BINARY, WSMsgType.TEXT):
                data = message.data
                await send(writer, data.encode() if isinstance(data, str) else data)

    async def outward() -> None:
        while (frame := await receive(reader)) is not None:
            await socket.send_bytes(frame)

    async def gone() -> None:
        await hangup.wait(client)

    async def knock() -> None:
        # What a client that was killed had not sent yet keeps its end back: bytes that come for it
        # make its kernel tell. A client does not answer to a pong that it did not ask for.
        while True:
            await asyncio.sleep(_KNOCK)
            await socket.pong()

    if await first_of(inward, outward, gone, knock) is outward:
        await socket.close()
    else:
        writer.transport.abort()  # what the kubelet has not taken would delay the end


async def collected(reader: asyncio.StreamReader, longest: int) -> bytes:
    """All frames until the end. Raises ApiError for more than so many bytes."""
    found = bytearray()
    while (frame := await receive(reader)) is not None:
        found += frame
        if len(found) > longest:
            raise status.internal(f"the node answers with more than {longest} bytes")
    return bytes(found)


async def first_of(*works: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """Run them at once, and end all when one has ended; that one. Lost connections are ends."""
    tasks = {asyncio.ensure_future(_quiet(work)): work for work in works}
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        return next(work for task, work in tasks.items() if task in done)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _quiet(work: Callable[[], Awaitable[None]]) -> None:
    with contextlib.suppress(ConnectionError):
        await work()


async def send(writer: asyncio.StreamWriter, frame: bytes) -> None:
    """Send a frame; returns when the other end keeps up."""
    writer.write(len(frame).to_bytes(4, "big") + frame)
    await writer.drain()


async def receive(reader: asyncio.StreamReader) -> bytes | None:
    """The next frame; None at the end. Raise ConnectionError for a frame that is too long."""
    try:
        length = int.from_bytes(await reader.readexactly(4), "big")
        if length > LONGEST_MESSAGE:
            raise ConnectionError(f"a frame of {length} bytes, of {LONGEST_MESSAGE} allowed")
        return await reader.readexactly(length)
    except asyncio.IncompleteReadError:
        return None
