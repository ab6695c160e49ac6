"""A kubelet for a test: it runs the commands of `kubectl exec` on this machine, in no pod.

It speaks to the lab's API server as the lab's own kubelets do (`weft_lab.apiserver.execstreams`).
"""

from __future__ import annotations

import asyncio
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
        given = bytearray()
        while (frame := await _receive(reader))[0] != CLOSE:
            given += frame[1:]
        argv = (*self.inside, *order["command"])
        running = asyncio.create_task(
            process.run(argv, data=bytes(given), env=self.env, check=False, timeout=None)
        )
        gone = asyncio.create_task(reader.read())
        try:
            await asyncio.wait({running, gone}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                for frame in _frames(running.result()):
                    writer.write(len(frame).to_bytes(4, "big") + frame)
                    await writer.drain()
        finally:
            running.cancel()
            gone.cancel()
            await asyncio.gather(running, gone, return_exceptions=True)
            writer.close()


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
