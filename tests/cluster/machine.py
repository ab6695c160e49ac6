"""Process 1 of a machine: starts and ends its services as it is told, and collects orphans.

It is told by a Unix socket in the machine's folder, one JSON line each way:
{"start": NAME, "argv": [...], "env": {...}, "log": PATH, "notifies": true} is answered when the
service has told systemd's way that it is ready, or has ended; {"stop": NAME, "signal": 15} when it
has ended. An answer is {"pid": N}, {"ended": STATUS} or {"error": TEXT}.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from pathlib import Path
from typing import Any

from weft_lab.runtime.processes import Processes

SOCKET = "control.sock"
NOTICES = Path("/run/notices")


class Machine:
    """What runs here, by the service's name."""

    def __init__(self) -> None:
        self._processes = Processes()
        self._running: dict[str, tuple[int, asyncio.Future[int]]] = {}

    async def serve(self, listener: socket.socket) -> None:
        self._processes.install()
        server = await asyncio.start_unix_server(self._talk, sock=listener)
        async with server:
            await server.serve_forever()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                try:
                    answer = await self._answer(json.loads(line))
                except (OSError, KeyError) as error:
                    answer = {"error": repr(error)}
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        writer.close()

    async def _answer(self, asked: dict[str, Any]) -> dict[str, object]:
        if "start" in asked:
            return await self._start(asked)
        if "stop" in asked:
            return await self._stop(asked["stop"], asked["signal"])
        return {"running": {name: pid for name, (pid, _) in self._running.items()}}

    async def _start(self, asked: dict[str, Any]) -> dict[str, object]:
        name = asked["start"]
        if name in self._running:
            return {"error": f"{name} runs already"}
        with _Notices(name) as notices:
            log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            env = dict(asked["env"])
            if asked["notifies"]:
                env["NOTIFY_SOCKET"] = str(notices.path)
            try:
                pid = self._processes.start(asked["argv"], env=env, log=log)
            finally:
                os.close(log)
            end = self._processes.watch(pid)
            self._running[name] = (pid, end)
            end.add_done_callback(lambda _: self._running.pop(name, None))
            if asked["notifies"]:
                told = asyncio.ensure_future(notices.ready())
                end.add_done_callback(lambda _: told.cancel())
                await asyncio.wait({told})
        return {"ended": end.result()} if end.done() else {"pid": pid}

    async def _stop(self, name: str, number: int) -> dict[str, object]:
        if name not in self._running:
            return {"error": f"{name} does not run"}
        pid, end = self._running[name]
        self._processes.signal(pid, number)
        return {"ended": await asyncio.shield(end)}


class _Notices:
    """Where a service says READY=1 as to systemd (sd_notify(3))."""

    def __init__(self, name: str) -> None:
        self.path = NOTICES / name

    def __enter__(self) -> _Notices:
        NOTICES.mkdir(exist_ok=True)
        self.path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(str(self.path))
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self.path.unlink(missing_ok=True)

    async def ready(self) -> None:
        loop = asyncio.get_running_loop()
        while b"READY=1" not in await loop.sock_recv(self._socket, 4096):
            pass


def listen(folder: Path) -> socket.socket:
    """The machine's socket; made before the machine has a root of its own."""
    listener = socket.socket(socket.AF_UNIX)
    path = folder / SOCKET
    path.unlink(missing_ok=True)
    # A path of a socket has room for 108 bytes: it is bound from its folder.
    back = os.open(".", os.O_PATH)
    try:
        os.chdir(folder)
        listener.bind(SOCKET)
    finally:
        os.fchdir(back)
        os.close(back)
    listener.listen()
    return listener
