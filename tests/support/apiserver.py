"""A Kubernetes API server for a test: in a process of its own, on a loopback port of its own."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

CRDS = Path(__file__).parents[2] / "lab/weft_lab/crds"


@dataclass(frozen=True)
class Server:
    """A running server; `url` is plain HTTP, the kubeconfig speaks TLS."""

    url: str
    token: str
    kubeconfig: Path
    logs: Path
    process: asyncio.subprocess.Process

    @property
    def pid(self) -> int:
        return self.process.pid

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@asynccontextmanager
async def running(
    folder: Path, *arguments: str, crds: Iterable[Path] = (CRDS,)
) -> AsyncIterator[Server]:
    """Start a server whose state is in `folder`, and end it; the state stays, for a next start."""
    state, logs = folder / "apiserver", folder / "pod-logs"
    logs.mkdir(parents=True, exist_ok=True)
    reader, writer = os.pipe()
    command = [sys.executable, "-m", "weft_lab.apiserver.main", "--state", str(state)]
    command += ["--listen", "https://127.0.0.1:0", "--listen", "http://127.0.0.1:0"]
    command += ["--logs", str(logs), "--ready-fd", str(writer)]
    command += arguments
    for place in crds:
        command += ["--crds", str(place)]
    process = await asyncio.create_subprocess_exec(*command, pass_fds=(writer,))
    os.close(writer)
    try:
        line = await asyncio.to_thread(_read_line, reader)
        assert line, "the API server ended before it was ready: see its messages above"
        _, url = line.split()
        token = (state / "tokens.csv").read_text().partition(",")[0]
        yield Server(url, token, state / "kubeconfig", logs, process)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _read_line(descriptor: int) -> str:
    with os.fdopen(descriptor) as pipe:
        return pipe.readline()
