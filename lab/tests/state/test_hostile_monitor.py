"""A machine's sockets stand in a pod: whoever serves them may be none of QEMU's."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.patience import PATIENCE
from weft import errors
from weft_lab.vm import qmp, qmpsession

GREETING = b'{"QMP": {}}\n{"return": {}}\n'


@contextlib.asynccontextmanager
async def served(path: Path, endless: bytes) -> AsyncIterator[None]:
    """A monitor that greets, and then says `endless` again and again."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GREETING)
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(endless)
                await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(serve, path):
        yield


async def test_events_without_end_are_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "qmp.sock"
    async with served(path, b'{"event": "RESET"}\n'):
        with pytest.raises(errors.Unavailable, match="query-chardev: 64 events"):
            async with qmp.Monitor(path) as monitor:
                await monitor.execute("query-chardev")


async def test_a_line_without_end_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "qmp.sock"
    async with served(path, b"x" * 65536):
        with pytest.raises(errors.Unavailable, match="closed the connection"):
            async with qmp.Monitor(path) as monitor:
                await monitor.execute("query-chardev")


async def test_events_without_end_end_a_session(tmp_path: Path) -> None:
    path = tmp_path / "qmp.sock"
    async with served(path, b'{"event": "STOP", "data": "none"}\n'):
        seen: list[qmpsession.Event] = []
        with pytest.raises(errors.Unavailable, match="closed the connection"):
            async with qmpsession.Session(path, seen.append) as session:
                await session.execute("query-status")
    assert len(seen) == qmpsession.MAX_EVENTS + 1
    assert seen[0] == {"event": "STOP", "data": {}}


async def test_a_line_without_end_ends_a_session(tmp_path: Path) -> None:
    path = tmp_path / "qmp.sock"
    async with served(path, b"x" * 65536):
        with pytest.raises(errors.Unavailable, match="closed the connection"):
            async with qmpsession.Session(path) as session:
                await session.execute("query-status")


@pytest.mark.parametrize("greeting", [b"", GREETING], ids=["not even greets", "greets alone"])
@pytest.mark.parametrize("opened", [qmp.Monitor, qmpsession.Session])
async def test_whoever_never_answers_is_left(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    opened: type[qmp.Monitor] | type[qmpsession.Session],
    greeting: bytes,
) -> None:
    path = tmp_path / "qmp.sock"
    left = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        await reader.read()
        left.set()
        writer.close()

    for module in (qmp, qmpsession):
        monkeypatch.setattr(module, "ANSWER", 0.1)
    async with await asyncio.start_unix_server(serve, path):
        with pytest.raises(errors.Unavailable, match="no answer"):
            async with opened(path) as monitor:
                await monitor.execute("query-status")
        await asyncio.wait_for(left.wait(), PATIENCE)


@pytest.mark.parametrize(
    "answer",
    [b"null", b"7", b"[7]", b'[{"fds": 7}]', b'[{"fds": [7]}]', b'[{"fds": [{"opaque": "p"}]}]'],
)
async def test_sets_of_descriptors_in_another_form_are_not_read(
    tmp_path: Path, answer: bytes
) -> None:
    path = tmp_path / "qmp.sock"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'{"QMP": {}}\n')
        while line := await reader.readline():
            returned = answer if b"query-fdsets" in line else b"{}"
            writer.write(b'{"return": %s}\n' % returned)
        writer.close()

    server = await asyncio.start_unix_server(serve, path)
    async with server, qmpsession.Session(path) as session:
        with pytest.raises(errors.Unavailable, match="answer is not QEMU's"):
            await session.remove_sets("p")
