"""Answers the API server's requests to enter a pod of this node: exec, attach, port-forward.

The socket is in the node's own /run, where no pod sees it; who may connect may enter any pod. The
API server has asked before whether the user may. Protocol: `weft_lab.apiserver.execstreams`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from weft import errors
from weft_lab import layout, state
from weft_lab.apiserver import execstreams, hangup
from weft_lab.kubelet import containerconfig, podcommands, portforward, sandbox
from weft_lab.multus import plugin

log = logging.getLogger(__name__)
MOST = 512  # connections at one time
SHARE = {"exec": 64, "attach": 16, "portforward": 16}  # of those, to one pod
NAMESPACE_SHARE = 256  # to all pods of a namespace
_LONGEST_REQUEST = 1 << 20  # bytes
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

    async def end(self) -> None:
        """Close it. Returns when the client has all that was sent, or has gone."""
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


_VERBS: Mapping[str, Serve] = {
    "exec": podcommands.execute,
    "attach": podcommands.attach,
    "portforward": portforward.serve,
}


async def run(folder: Path, environment: containerconfig.Environment) -> None:
    """Serve until cancelled; `folder` is for the node's runtime state."""
    running = 0
    opened: Counter[tuple[str, str]] = Counter()  # by uid of a pod, and verb; by namespace

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal running
        running += 1
        try:
            if running > MOST:
                raise errors.Unavailable(f"{MOST} streams are open already", where="kubelet")
            await _answer(reader, writer, environment, opened)
        except errors.WeftError as error:
            writer.write(orjson.dumps({"refused": str(error)}) + b"\n")
        except (ConnectionError, TimeoutError, ValueError) as error:
            log.info("a stream ended: %s", error)
        finally:
            running -= 1
            writer.close()

    server = await asyncio.start_unix_server(
        answer, sock=state.listener(folder / layout.KUBELET_SOCKET.name), limit=execstreams.LIMIT
    )
    async with server:
        await server.serve_forever()


async def _answer(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    environment: containerconfig.Environment,
    opened: Counter[tuple[str, str]],
) -> None:
    async with asyncio.timeout(_REQUEST):
        line = await _first_line(reader)
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
    with _counted(opened, box.about, request["verb"]):
        connection = Connection(request, box, reader, writer, environment.logs)
        await _VERBS[request["verb"]](connection)
        await connection.end()


@contextlib.contextmanager
def _counted(opened: Counter[tuple[str, str]], about: plugin.Sandbox, verb: str) -> Iterator[None]:
    """Count a connection among those of its pod and namespace. Raise Unavailable beyond a share."""
    own, all_verbs = (about.uid, verb), (about.namespace, "")
    if opened[own] >= SHARE[verb]:
        why = f"{SHARE[verb]} streams of {verb} are open already"
        raise errors.Unavailable(why, where=f"pod {about.namespace}/{about.pod}")
    if opened[all_verbs] >= NAMESPACE_SHARE:
        why = f"{NAMESPACE_SHARE} streams are open already on this node"
        raise errors.Unavailable(why, where=f"namespace {about.namespace}")
    opened.update((own, all_verbs))
    try:
        yield
    finally:
        opened.subtract((own, all_verbs))
        for key in (own, all_verbs):
            if not opened[key]:
                del opened[key]


async def _first_line(reader: asyncio.StreamReader) -> bytes:
    """The request; nothing at the end. It may be longer than what a reader holds later.

    No byte comes behind it before it is answered. Raise ValueError for one that is too long.
    """
    line = bytearray()
    while not line.endswith(b"\n"):
        part = await reader.read(execstreams.LIMIT)
        line += part
        if not part:
            return b""
        if len(line) > _LONGEST_REQUEST:
            raise ValueError(f"a request of more than {_LONGEST_REQUEST} bytes")
    return bytes(line)
