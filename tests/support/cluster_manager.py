"""The cluster manager as a process of its own, started as a user starts it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


class Running:
    """`log` holds the lines that were read so far."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.log: list[str] = []

    async def says(self, words: str) -> str:
        """The next line of the log that contains `words`."""
        assert self.process.stderr is not None
        while line := (await self.process.stderr.readline()).decode():
            self.log.append(line)
            if words in line:
                return line
        raise AssertionError(f"ended without saying {words!r}:\n" + "".join(self.log))

    async def drain(self) -> None:
        assert self.process.stderr is not None
        while line := await self.process.stderr.readline():
            self.log.append(line.decode())

    async def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        await self.process.wait()


@asynccontextmanager
async def running(kubeconfig: Path, *options: str) -> AsyncIterator[Running]:
    command = [sys.executable, "-m", "weft.cli.main", "cluster-manager"]
    process = await asyncio.create_subprocess_exec(
        *command, "--kubeconfig", str(kubeconfig), *options, stderr=PIPE
    )
    manager = Running(process)
    reading = None
    try:
        if "--leader-elect" not in options:
            await manager.says("in charge")
            reading = asyncio.create_task(manager.drain())
        yield manager
    finally:
        if process.returncode is None:
            process.terminate()
        if reading is not None:
            await reading
        else:
            await manager.drain()
        await process.wait()
