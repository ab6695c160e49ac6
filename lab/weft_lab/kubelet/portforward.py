"""Forwards TCP connections of `kubectl port-forward` to ports of a pod's loopback address.

The client opens two streams for each connection: one for data, one for an error. What it sends is
held until the pod takes it, up to a budget for all its streams together: then nothing more is read
of it until the pod has taken some. Its end is noticed all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from weft import errors
from weft.host import netns
from weft_lab.apiserver import execstreams
from weft_lab.kubelet import spdy

if TYPE_CHECKING:
    from weft_lab.kubelet.streaming import Connection

CHUNK = 1 << 15
BUDGET = 1 << 20  # bytes of a client that wait for the pod, and one frame more
FRAME = 512  # bytes that a frame counts beside its content
MOST = 256  # streams of a client at one time
LONGEST_NAME = 64  # characters of what pairs two streams
CONNECT = 20.0  # seconds


@dataclass(eq=False)
class _Stream:
    """`is_paired` when its connection has both streams; `reset` when the client gives it up."""

    number: int
    kind: str
    request: str
    port: str
    is_paired: bool = False
    is_open: bool = True  # the pod takes what the client sends
    reset: asyncio.Event = field(default_factory=asyncio.Event)
    inbox: asyncio.Queue[spdy.Frame] = field(default_factory=asyncio.Queue)


async def serve(connection: Connection) -> None:
    """Serve until the client goes."""
    await connection.take()
    async with asyncio.TaskGroup() as group:
        forwarder = _Forwarder(connection, group)
        try:
            await execstreams.first_of(forwarder.follow, connection.gone)
        finally:
            forwarder.end()


class _Forwarder:
    def __init__(self, connection: Connection, group: asyncio.TaskGroup) -> None:
        self._connection = connection
        self._group = group
        self._encoder = spdy.Encoder()
        self._streams: dict[int, _Stream] = {}
        self._newest = 0  # number of a stream
        self._tasks: set[asyncio.Task[None]] = set()
        self._sending = asyncio.Lock()
        self._held = 0  # bytes of all inboxes
        self._room = asyncio.Event()

    async def follow(self) -> None:
        """Take what the client sends, to its end. Raise ConnectionError for what is no SPDY."""
        decoder = spdy.Decoder()
        while (data := await self._connection.receive()) is not None:
            for frame in decoder.feed(data):
                await self._take(frame)
                while self._held > BUDGET:
                    self._room.clear()
                    await self._room.wait()

    def end(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _take(self, frame: spdy.Frame) -> None:
        if frame.kind == spdy.PING:
            await self._send(self._encoder.ping(frame.data))
        elif frame.kind == spdy.SYN_STREAM:
            await self._open(frame)
        elif (stream := self._streams.get(frame.stream)) is None:
            return
        elif frame.kind == spdy.RST_STREAM:
            if stream.is_paired:
                stream.reset.set()
            else:
                self._forget(stream)
        elif frame.kind == 0 and stream.kind == "data":
            if not stream.is_paired:
                self._forget(stream)
                await self._send(self._encoder.reset(stream.number, spdy.REFUSED))
            elif stream.is_open:
                self._held += _cost(frame)
                stream.inbox.put_nowait(frame)

    async def _open(self, frame: spdy.Frame) -> None:
        if frame.stream % 2 == 0 or frame.stream <= self._newest:
            raise spdy.Malformed(f"stream {frame.stream} is no new one of a client's")
        self._newest = frame.stream
        headers = frame.headers or {}
        kind = headers.get("streamtype", "")
        stream = _Stream(frame.stream, kind, headers.get("requestid", ""), headers.get("port", ""))
        waiting = [
            one
            for one in self._streams.values()
            if not one.is_paired and (one.request, one.port) == (stream.request, stream.port)
        ]
        is_second = any(one.kind == kind for one in waiting)
        is_long = max(len(stream.request), len(stream.port)) > LONGEST_NAME
        is_known = kind in ("data", "error") and not is_second and not is_long
        if len(self._streams) >= MOST or not is_known:
            await self._send(self._encoder.reset(frame.stream, spdy.REFUSED))
            return
        self._streams[frame.stream] = stream
        await self._send(self._encoder.reply(frame.stream))
        for other in waiting:
            stream.is_paired = other.is_paired = True
            pair = {stream.kind: stream, other.kind: other}
            task = self._group.create_task(self._forward(pair["data"], pair["error"]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _forward(self, data: _Stream, error: _Stream) -> None:
        try:
            with contextlib.suppress(ConnectionError):  # the client goes
                await self._serve_pair(data, error)
        finally:
            self._forget(data, error)

    async def _serve_pair(self, data: _Stream, error: _Stream) -> None:
        about = self._connection.box.about
        try:
            reader, writer = await _connect(about.netns, data.port)
        except (OSError, ValueError, errors.WeftError) as failure:
            number = getattr(failure, "errno", None)
            reason = os.strerror(number) if number else str(failure) or "it takes too long"
            where = f"port {data.port} to pod {about.namespace}/{about.pod}"
            why = f"error forwarding {where}: localhost: {reason}"
            await self._send(self._encoder.data(error.number, why.encode(), last=True))
            await self._send(self._encoder.reset(data.number))
            return
        is_ended = False

        async def both() -> None:
            nonlocal is_ended
            inward = asyncio.ensure_future(self._inward(data, writer))
            try:
                if not await self._outward(data, reader):
                    inward.cancel()
                is_ended = True
                for stream in (data, error):
                    await self._send(self._encoder.data(stream.number, b"", last=True))
                await asyncio.wait([inward])
            finally:
                inward.cancel()

        async def reset() -> None:
            await data.reset.wait()

        try:
            await execstreams.first_of(both, reset)
        finally:
            writer.transport.abort()
        if not is_ended:  # a client that gives up its data waits for this end
            await self._send(self._encoder.data(error.number, b"", last=True))

    async def _outward(self, data: _Stream, reader: asyncio.StreamReader) -> bool:
        """Pass on what the pod sends, to its end; whether the pod still takes something."""
        while True:
            try:
                part = await reader.read(CHUNK)
            except OSError:
                return False
            if not part:
                return True
            await self._send(self._encoder.data(data.number, part))

    async def _inward(self, data: _Stream, writer: asyncio.StreamWriter) -> None:
        """Pass on what the client sends, until it has sent all, or the pod takes no more."""
        writer.transport.set_write_buffer_limits(high=0)  # what is held counts as held
        with contextlib.suppress(OSError):
            while data.is_open:
                frame = await data.inbox.get()
                try:
                    writer.write(frame.data)
                    await writer.drain()
                finally:
                    self._release(frame)
                if frame.is_last:
                    writer.write_eof()
                    data.is_open = False
        self._clear(data)

    def _forget(self, *streams: _Stream) -> None:
        for stream in streams:
            self._streams.pop(stream.number, None)
            self._clear(stream)

    def _clear(self, stream: _Stream) -> None:
        """Let what is still held go, and take no more."""
        stream.is_open = False
        while not stream.inbox.empty():
            self._release(stream.inbox.get_nowait())

    def _release(self, frame: spdy.Frame) -> None:
        self._held -= _cost(frame)
        self._room.set()

    async def _send(self, data: bytes) -> None:
        async with self._sending:
            await self._connection.send(data)


def _cost(frame: spdy.Frame) -> int:
    return FRAME + len(frame.data)


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
        except BaseException:
            made.close()
            raise
    assert failure is not None
    raise failure
