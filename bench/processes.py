"""Starts processes that are measured, and asks them for their figures.

Such a process (`serve` runs in it) prints one JSON object a line: the first when it is ready, one
more for each line on its standard input.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weft.kube.client import Client

ROOT = Path(__file__).resolve().parents[1]
_TICKS = os.sysconf("SC_CLK_TCK")
Found = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds so far, and the most MiB of memory at any time."""

    cpu: float
    memory: float


def usage(pid: int) -> Usage:
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = Path(f"/proc/{pid}/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return Usage((int(stat[11]) + int(stat[12])) / _TICKS, int(peak.split()[1]) / 1024)


class Traffic:
    """Counts the requests of a client; its bytes the client counts itself."""

    def __init__(self, client: Client) -> None:
        self._client, self.requests = client, 0
        door = client._door
        once, stream = door._once, door.stream

        async def counted(*given: Any, **named: Any) -> bytes:
            self.requests += 1
            return await once(*given, **named)

        def counted_stream(
            *given: Any, **named: Any
        ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
            self.requests += 1
            return stream(*given, **named)

        vars(door)["_once"], vars(door)["stream"] = counted, counted_stream

    def figures(self) -> Found:
        used = usage(os.getpid())
        return {
            "received": self._client.received / (1 << 20),
            "requests": self.requests,
            "cpu": used.cpu,
            "memory": used.memory,
            "now": time.monotonic(),
        }


async def serve(figures: Callable[[], Mapping[str, Any]]) -> None:
    """Prints figures now, and for each line on standard input until that ends."""
    print(json.dumps(figures()), flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(figures()), flush=True)


class Measured:
    """A process that `serve`s figures."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self._child = child

    async def figures(self) -> Found:
        """Its first figures when it is ready; later ones after `ask`."""
        assert self._child.stdout is not None
        line = await self._child.stdout.readline()
        assert line, f"measured process {self._child.pid} ended"
        found: Found = json.loads(line)
        return found

    async def ask(self) -> Found:
        """Its figures now."""
        assert self._child.stdin is not None
        self._child.stdin.write(b"\n")
        return await self.figures()

    async def until(self, reached: Callable[[Found], bool], seconds: float) -> Found:
        """Its figures once they are as expected, asked ten times a second."""
        found: Found = {}
        try:
            async with asyncio.timeout(seconds):
                while not reached(found := await self.ask()):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"after {seconds:g} s it still says {found}") from None
        return found

    async def quiet(self) -> Found:
        """Its figures when nothing has arrived for a second."""
        before = await self.ask()
        while True:
            await asyncio.sleep(1)
            after = await self.ask()
            if after["received"] == before["received"]:
                return after
            before = after

    async def end(self) -> None:
        if self._child.returncode is None:
            self._child.terminate()
        await self._child.wait()


@asynccontextmanager
async def measured(*module: str) -> AsyncIterator[Measured]:
    """Runs `python -m MODULE…`, whose first figures are not read yet."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *module),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=None if os.environ.get("WEFT_DEBUG") else subprocess.DEVNULL,
        limit=1 << 24,
        cwd=ROOT,
    )
    found = Measured(child)
    try:
        yield found
    finally:
        await found.end()
