"""A kubelet for a test: it runs the commands of `kubectl exec` on this machine, in no pod.

It speaks to the lab's API server as the lab's own kubelets do (`weft_lab.apiserver.execstreams`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from weft.host import process

PART = 1 << 15  # bytes of a message
STDOUT, STDERR, STATUS, CLOSE = 1, 2, 3, 255


@dataclass
class Kubelet:
    """`inside` is put before each command. `orders`: what the API server has asked for."""

    inside: Sequence[str] = ()
    env: Mapping[str, str] | None = None
    orders: list[dict[str, Any]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        order = json.loads(await reader.readline())
        self.orders.append(order)
        writer.write(b'{"taken": true}\n')
        argv = (*self.inside, *order["command"])
        try:
            async with process.start(argv, env=self.env, stdin=True) as program:
                assert program.stdin is not None
                feeding = asyncio.create_task(_feed(reader, program.stdin))
                running = asyncio.create_task(_end(argv, program))
                try:
                    await asyncio.wait({running, feeding}, return_when=asyncio.FIRST_COMPLETED)
                    if running.done():
                        for frame in _frames(running.result()):
                            writer.write(len(frame).to_bytes(4, "big") + frame)
                            await writer.drain()
                finally:
                    running.cancel()
                    feeding.cancel()
                    await asyncio.gather(running, feeding, return_exceptions=True)
        finally:
            writer.close()


async def _feed(reader: asyncio.StreamReader, stdin: asyncio.StreamWriter) -> None:
    """Gives a program its input as it comes; returns when who asked has gone."""
    with contextlib.suppress(asyncio.IncompleteReadError):
        while (frame := await _receive(reader))[0] != CLOSE:
            with contextlib.suppress(ConnectionError):  # a program need not read it
                stdin.write(frame[1:])
                await stdin.drain()
        stdin.close()
        await reader.read()


async def _end(argv: Sequence[str], program: asyncio.subprocess.Process) -> process.Completed:
    assert program.stdout is not None
    assert program.stderr is not None
    stdout, stderr, status = await asyncio.gather(
        program.stdout.read(), program.stderr.read(), program.wait()
    )
    return process.Completed(tuple(argv), status, stdout, stderr)


async def _receive(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))


def _frames(done: process.Completed) -> list[bytes]:
    """What the program has written, and how it has ended."""
    verdict: dict[str, Any] = {"status": "Success"}
    if done.status:
        causes = [{"reason": "ExitCode", "message": str(done.status)}]
        details = {"causes": causes}
        verdict = {"status": "Failure", "reason": "NonZeroExitCode", "details": details}
    return [
        *(
            bytes([channel]) + content[at : at + PART]
            for channel, content in ((STDOUT, done.stdout), (STDERR, done.stderr))
            for at in range(0, len(content), PART)
        ),
        bytes([STATUS]) + json.dumps(verdict).encode(),
    ]


@asynccontextmanager
async def kubelet(
    path: Path, inside: Sequence[str] = (), env: Mapping[str, str] | None = None
) -> AsyncIterator[Kubelet]:
    """One that listens at a path until the scope ends."""
    made = Kubelet(inside, env)
    async with await asyncio.start_unix_server(made.serve, path):
        yield made
