"""Programs that wait for packets on a node do not outlive who asked for them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

PATIENCE = 120.0
ORDERS: dict[str, dict[str, object]] = {
    "onnodeprobe": {"packet": {"protocol": "TCP", "source": "default_web"}},
    "onnodeask": {
        "port": "default_web",
        "pod": "default/web",
        "address": "10.9.0.2",
        "mac": "0a:58:0a:09:00:02",
    },
}


@pytest.mark.parametrize("module", ORDERS)
@pytest.mark.parametrize("end", ["stdin", "stdout"])
async def test_it_ends_when_who_asked_has_gone(tmp_path: Path, module: str, end: str) -> None:
    """Open vSwitch takes its connection and does not answer."""
    called = asyncio.Event()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called.set()
        await reader.read()
        writer.close()

    path = tmp_path / "db.sock"
    listening, writing = os.pipe()
    async with await asyncio.start_unix_server(accept, path), asyncio.timeout(PATIENCE):
        program = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", f"weft.observe.explain.{module}"),
            stdin=asyncio.subprocess.PIPE,
            stdout=writing,
            stderr=asyncio.subprocess.PIPE,
        )
        os.close(writing)
        try:
            assert program.stdin is not None
            assert program.stderr is not None
            order = {"ovs": f"unix:{path}", "patience": 1, **ORDERS[module]}
            program.stdin.write(json.dumps(order).encode() + b"\n")
            await program.stdin.drain()
            await called.wait()
            if end == "stdin":
                program.stdin.close()
                assert await asyncio.to_thread(os.read, listening, 1 << 12) == b"", "no answer"
            else:
                os.close(listening)
            assert await program.stderr.read() == b""
            assert await program.wait() == 0
        finally:
            if end == "stdin":
                os.close(listening)
            if program.returncode is None:
                program.kill()
                await program.wait()
