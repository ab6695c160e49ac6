"""Answers the API server's requests to enter a pod of this node: exec, attach, port-forward.

The socket is in the node's own /run, where no pod sees it; who may connect may enter any pod. The
API server has asked before whether the user may. Protocol: `weft_lab.apiserver.execstreams`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from weft import errors
from weft_lab import layout
from weft_lab.apiserver import execstreams, hangup
from weft_lab.kubelet import containerconfig, podcommands, portforward, sandbox

log = logging.getLogger(__name__)
MOST = 512  # connections at one time
_REQUEST = 10.0  # seconds for a request to arrive

Serve = Callable[["Connection"], Awaitable[None]]


@dataclass
class Connection:
    """A request of the API server that concerns `box`, and where its frames come and go."""

    request: Mapping[str, Any]
    box: sandbox.Sandbox
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    logs: Path

    async def take(self) -> None:
        """Say that frames follow."""
        self.writer.write(b'{"taken": true}\n')
        await self.writer.drain()

    async def send(self, frame: bytes) -> None:
        await execstreams.send(self.writer, frame)

    async def receive(self) -> bytes | None:
        return await execstreams.receive(self.reader)

    async def gone(self) -> None:
        """Return when the client has gone, even if what it sent is not read."""
        await hangup.wait(self.writer.transport)


_VERBS: Mapping[str, Serve] = {
    "exec": podcommands.execute,
    "attach": podcommands.attach,
    "portforward": portforward.serve,
}


async def run(folder: Path, environment: containerconfig.Environment) -> None:
    """Serve until cancelled; `folder` is for the node's runtime state."""
    running = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal running
        running += 1
        try:
            if running > MOST:
                raise errors.Unavailable(f"{MOST} streams are open already", where="kubelet")
            await _answer(reader, writer, environment)
        except errors.WeftError as error:
            writer.write(orjson.dumps({"refused": str(error)}) + b"\n")
        except (ConnectionError, TimeoutError, ValueError) as error:
            log.info("a stream ended: %s", error)
        finally:
            running -= 1
            writer.close()

    server = await asyncio.start_unix_server(
        answer, sock=_listening(folder / layout.KUBELET_SOCKET.name), limit=1 << 20
    )
    async with server:
        await server.serve_forever()


def _listening(path: Path) -> socket.socket:
    """A socket at `path` for this user alone; that of an earlier kubelet is removed."""
    path.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(path))
    path.chmod(0o600)
    return made


async def _answer(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    environment: containerconfig.Environment,
) -> None:
    async with asyncio.timeout(_REQUEST):
        line = await reader.readline()
    if not line:
        return
    request = orjson.loads(line)
    box = next(
        (
            one
            for one in await asyncio.to_thread(sandbox.find, environment.folder)
            if one.about.uid == request["uid"]
        ),
        None,
    )
    if box is None:
        raise errors.Unavailable(
            "does not run here", where=f"pod {request['namespace']}/{request['pod']}"
        )
    await _VERBS[request["verb"]](Connection(request, box, reader, writer, environment.logs))
