"""What a client of port-forward can make a kubelet hold, and when it lets go."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lab.tests.support.spdyclient import Client
from tests.support.patience import PATIENCE
from weft_lab.apiserver import execstreams
from weft_lab.kubelet import portforward, spdy, streaming

FRAME = bytes(1 << 16)


class Session:
    """A client of the kubelet, and a server in the pod that does with a connection what it is told.

    `forwarder` is what the kubelet has of it.
    """

    def __init__(self, forwarder: portforward._Forwarder, far: socket.socket, port: int) -> None:
        self.forwarder, self.port = forwarder, port
        self._far, self._spdy, self._encoder = far, Client(), spdy.Encoder()
        self._decoder = spdy.Decoder()
        self.heard: list[spdy.Frame] = []

    async def send(self, frame: bytes) -> None:
        whole = len(frame).to_bytes(4, "big") + frame
        await asyncio.get_running_loop().sock_sendall(self._far, whole)

    async def open(self, number: int, kind: str, request: str = "0") -> None:
        headers = {"streamtype": kind, "requestid": request, "port": str(self.port)}
        await self.send(self._spdy.stream(number, headers))

    async def pair(self, first: int, request: str = "0") -> int:
        """Open the streams of a connection as kubectl does; the number of that for data."""
        await self.open(first, "error", request)
        await self.send(self._encoder.data(first, b"", last=True))
        await self.open(first + 2, "data", request)
        return first + 2

    async def data(self, number: int, data: bytes, *, last: bool = False) -> None:
        await self.send(self._encoder.data(number, data, last=last))

    async def reset(self, number: int) -> None:
        await self.send(self._encoder.reset(number))

    async def hear(self, of: Callable[[spdy.Frame], bool]) -> spdy.Frame:
        """The first frame like that, of all that came and come."""
        loop = asyncio.get_running_loop()
        while (found := next(filter(of, self.heard), None)) is None:
            packed = await loop.sock_recv(self._far, 1 << 16)
            assert packed, "the kubelet closed the connection"
            self._packed = getattr(self, "_packed", b"") + packed
            while len(self._packed) >= 4:
                length = int.from_bytes(self._packed[:4], "big")
                if len(self._packed) < 4 + length:
                    break
                self.heard += self._decoder.feed(self._packed[4 : 4 + length])
                self._packed = self._packed[4 + length :]
        return found

    async def end(self, number: int) -> None:
        """The end of a stream without an error."""
        last = await self.hear(lambda frame: (frame.stream, frame.is_last) == (number, True))
        assert (last.kind, last.data) == (0, b"")

    async def until(self, holds: Callable[[], bool]) -> None:
        while not holds():  # noqa: ASYNC110  it is of the code, which tells nobody
            await asyncio.sleep(0.01)

    def leave(self) -> None:
        self._far.close()


async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A pod that reads nothing."""
    cast("asyncio.ReadTransport", writer.transport).pause_reading()
    await asyncio.sleep(PATIENCE)


@contextlib.asynccontextmanager
async def session(
    pod: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any], monkeypatch: Any
) -> AsyncIterator[tuple[Session, asyncio.Task[None]]]:
    made: list[portforward._Forwarder] = []
    real = portforward._Forwarder

    def remembered(*args: Any) -> portforward._Forwarder:
        made.append(real(*args))
        return made[0]

    monkeypatch.setattr(portforward, "_Forwarder", remembered)
    near, far = socket.socketpair()
    far.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=near, limit=execstreams.LIMIT)
    box: Any = SimpleNamespace(about=SimpleNamespace(netns="", namespace="shop", pod="web"))
    connection = streaming.Connection({}, box, reader, writer, Path())
    answering: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        answering.add(task)
        with contextlib.suppress(asyncio.CancelledError):
            await pod(reader, writer)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, limit=1024)
    async with asyncio.timeout(PATIENCE), server:
        served = asyncio.ensure_future(portforward.serve(connection))
        taken = await asyncio.get_running_loop().sock_recv(far, 16)
        assert taken == b'{"taken": true}\n'
        port = server.sockets[0].getsockname()[1]
        try:
            yield Session(made[0], far, port), served
        finally:
            served.cancel()
            await asyncio.wait([served])
            writer.close()
            far.close()
            for task in answering:
                task.cancel()
            await asyncio.wait(answering) if answering else None


async def test_what_waits_for_a_pod_is_bounded_for_all_streams_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with session(deaf, monkeypatch) as (client, _):
        numbers = [await client.pair(1 + 4 * one, str(one)) for one in range(8)]

        async def flood() -> None:
            while True:
                for number in numbers:
                    await client.data(number, FRAME)

        def held() -> int:
            return sum(
                len(frame.data)
                for stream in client.forwarder._streams.values()
                for frame in cast("Any", stream.inbox)._queue
            )

        flooding = asyncio.create_task(flood())
        async with asyncio.timeout(PATIENCE):
            while held() <= portforward.BUDGET / 4:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)
        flooding.cancel()
        await asyncio.wait([flooding])
        assert held() <= portforward.BUDGET + len(FRAME)


async def test_data_for_no_connection_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async with session(deaf, monkeypatch) as (client, _):
        await client.open(1, "data")
        await client.data(1, FRAME)
        await client.hear(lambda frame: (frame.kind, frame.stream) == (spdy.RST_STREAM, 1))
        assert not client.forwarder._streams


@pytest.mark.parametrize("numbers", [(1, 3, 3), (1, 3, 1), (2,), (1, 4)])
async def test_a_number_is_new_and_odd(
    monkeypatch: pytest.MonkeyPatch, numbers: tuple[int, ...]
) -> None:
    """A known one was forwarded once more each time, with a socket of its own."""
    async with session(deaf, monkeypatch) as (client, served):
        for number in numbers:
            await client.open(number, "error" if number == 1 else "data")
        await served


async def test_names_of_a_stream_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    async with session(deaf, monkeypatch) as (client, _):
        await client.open(1, "error", "r" * 1000)
        await client.hear(lambda frame: (frame.kind, frame.stream) == (spdy.RST_STREAM, 1))
        assert not client.forwarder._streams


async def test_a_second_stream_of_a_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async with session(deaf, monkeypatch) as (client, _):
        await client.open(1, "error")
        await client.open(3, "error")
        await client.hear(lambda frame: (frame.kind, frame.stream) == (spdy.RST_STREAM, 3))
        await client.open(5, "data")
        await client.open(7, "data")
        await client.hear(lambda frame: (frame.kind, frame.stream) == (spdy.SYN_REPLY, 7))
        assert len(client.forwarder._tasks) == 1


async def test_a_client_that_goes_is_noticed_while_its_input_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with session(deaf, monkeypatch) as (client, served):
        number = await client.pair(1)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                while True:
                    await client.data(number, FRAME)
        assert not served.done()
        client.leave()
        await served


async def test_a_client_that_resets_is_let_go_while_its_input_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with session(deaf, monkeypatch) as (client, _):
        number = await client.pair(1)
        await client.data(number, bytes(portforward.BUDGET // 2))
        await client.reset(number)
        await client.end(1)  # kubectl waits for that of its error stream
        await client.until(lambda: not client.forwarder._streams)
        assert client.forwarder._held == 0


@pytest.mark.parametrize("how", ["reset", "fin"])
async def test_connections_that_a_pod_resets_leave_room_for_others(
    monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    async def pod(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        if how == "reset":
            writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
            )
            writer.transport.abort()
        writer.close()

    async with session(pod, monkeypatch) as (client, _):
        number = -3
        for request in range(portforward.MOST // 2 + 1):
            number = await client.pair(number + 4, str(request))
            await client.data(number, b"x")
            await client.end(number)
            if how == "fin":
                await client.reset(number)  # as kubectl does when the pod has ended
            client.heard.clear()
        await client.until(lambda: not client.forwarder._streams)


async def test_bytes_arrive_both_ways_and_an_end_is_passed_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read())  # all, to the client's end
        writer.close()

    async with session(echo, monkeypatch) as (client, _):
        number = await client.pair(1)
        for one in range(4):
            await client.data(number, FRAME, last=one == 3)
        await client.end(number)
        came = b"".join(frame.data for frame in client.heard if frame.stream == number)
        assert len(came) == 4 * len(FRAME)
        await client.until(lambda: not client.forwarder._streams)
