"""A machine's sockets stand in a pod: whoever serves them may be none of QEMU's."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

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
