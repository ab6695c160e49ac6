"""Forwards TCP connections of `kubectl port-forward` to ports of a pod's loopback address.

The client opens two streams for each connection: one for data, one for an error. Each stream has
a bounded queue; when one is full, nothing more is read of the client until it has room.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from weft.host import netns
from weft_lab.kubelet import spdy

if TYPE_CHECKING:
    from weft_lab.kubelet.streaming import Connection

CHUNK = 1 << 15
QUEUE = 32  # frames of a stream that wait for the pod
MOST = 256  # streams of a client at one time
CONNECT = 20.0  # seconds


@dataclass
class _Stream:
    number: int
    kind: str
    request: str
    port: str
    inbox: asyncio.Queue[spdy.Frame] = field(default_factory=lambda: asyncio.Queue(QUEUE))


async def serve(connection: Connection) -> None:
    """Serve until the client goes."""
    await connection.take()
    async with asyncio.TaskGroup() as group:
        forwarder = _Forwarder(connection, group)
        await forwarder.follow()
        forwarder.end()


class _Forwarder:
    def __init__(self, connection: Connection, group: asyncio.TaskGroup) -> None:
        self._connection = connection
        self._group = group
        self._encoder = spdy.Encoder()
        self._streams: dict[int, _Stream] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._sending = asyncio.Lock()

    async def follow(self) -> None:
        decoder = spdy.Decoder()
        with contextlib.suppress(ConnectionError):
            while (data := await self._connection.receive()) is not None:
                for frame in decoder.feed(data):
                    await self._take(frame)

    def end(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _take(self, frame: spdy.Frame) -> None:
        if frame.kind == spdy.PING:
            await self._send(self._encoder.ping(frame.data))
        elif frame.kind == spdy.SYN_STREAM:
            await self._open(frame)
        elif frame.kind in (0, spdy.RST_STREAM):
            stream = self._streams.get(frame.stream)
            if stream is not None and stream.kind == "data":
                await stream.inbox.put(frame)

    async def _open(self, frame: spdy.Frame) -> None:
        headers = frame.headers or {}
        kind = headers.get("streamtype", "")
        if len(self._streams) >= MOST or kind not in ("data", "error"):
            await self._send(self._encoder.reset(frame.stream, spdy.REFUSED))
            return
        stream = _Stream(frame.stream, kind, headers.get("requestid", ""), headers.get("port", ""))
        self._streams[frame.stream] = stream
        await self._send(self._encoder.reply(frame.stream))
        pair = {
            one.kind: one
            for one in self._streams.values()
            if (one.request, one.port) == (stream.request, stream.port)
        }
        if len(pair) == 2:
            task = self._group.create_task(self._forward(pair["data"], pair["error"]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _forward(self, data: _Stream, error: _Stream) -> None:
        about = self._connection.box.about
        try:
            reader, writer = await _connect(about.netns, data.port)
        except (OSError, ValueError) as failure:
            number = getattr(failure, "errno", None)
            reason = os.strerror(number) if number else str(failure) or "it takes too long"
            where = f"port {data.port} to pod {about.namespace}/{about.pod}"
            why = f"error forwarding {where}: localhost: {reason}"
            await self._send(self._encoder.data(error.number, why.encode(), last=True))
            await self._send(self._encoder.reset(data.number))
            self._forget(data, error)
            return
        inward = asyncio.ensure_future(_inward(data, writer))
        try:
            with contextlib.suppress(ConnectionError):
                while part := await reader.read(CHUNK):
                    await self._send(self._encoder.data(data.number, part))
            for stream in (data, error):
                await self._send(self._encoder.data(stream.number, b"", last=True))
            await inward
        finally:
            inward.cancel()
            writer.close()
            self._forget(data, error)

    def _forget(self, *streams: _Stream) -> None:
        for stream in streams:
            self._streams.pop(stream.number, None)
            while not stream.inbox.empty():  # so that nothing waits for room in it
                stream.inbox.get_nowait()

    async def _send(self, data: bytes) -> None:
        async with self._sending:
            await self._connection.send(data)


async def _inward(stream: _Stream, writer: asyncio.StreamWriter) -> None:
    """Pass on what the client sends, until it has sent all, or the pod takes no more."""
    with contextlib.suppress(ConnectionError):
        while True:
            frame = await stream.inbox.get()
            if frame.kind == spdy.RST_STREAM:
                writer.transport.abort()
                return
            writer.write(frame.data)
            await writer.drain()
            if frame.is_last:
                writer.write_eof()
                return
    while True:  # it is read on, so that other streams go on
        await stream.inbox.get()


async def _connect(namespace: str, port: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to the port of the pod's loopback: IPv4, else IPv6. Raise OSError if none."""
    number = int(port)
    if not 0 < number < 65536:
        raise ValueError(f"{port} is no port")
    failure: OSError | None = None
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):

        def make(family: int = family) -> socket.socket:
            return socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)

        made = await netns.run_inside(namespace, make) if namespace else make()
        try:
            async with asyncio.timeout(CONNECT):
                await asyncio.get_running_loop().sock_connect(made, (host, number))
            return await asyncio.open_connection(sock=made, limit=CHUNK)
        except OSError as error:
            failure = failure or error
            made.close()
    assert failure is not None
    raise failure
