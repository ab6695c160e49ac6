"""Joins clients to the serial consoles and screens of a node's machines: part of virt-handler.

What they ask of a guest beside it has its answer from guestorders.py.

The API server connects to a Unix socket of the node, with the protocol that kubelets speak
(weft_lab.apiserver.execstreams); who may connect to a machine it has decided before. A machine has
one client of each kind: a new one takes the place of the one before, as on KubeVirt. Nothing is
stored: who reads slowly slows the other end down.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from weft import errors
from weft.model import ObjectKey
from weft_lab import state
from weft_lab.apiserver import execstreams, hangup
from weft_lab.vm import guestorders, guestwatch, launcher, qemu

log = logging.getLogger(__name__)

SOCKETS = {"console": "serial.sock", "vnc": qemu.SCREEN}
MOST = 256  # connections at one time
CHUNK = 1 << 15  # bytes
ABSENT = "No graphics devices are present."
IN_USE = "Active VNC connection. Request denied."  # KubeVirt's words, which its clients look for
_REQUEST = 10.0  # seconds for a request to arrive
_CONNECT = 5.0  # seconds for QEMU's socket


class Consoles:
    """Serves them; `run_folder` has the folders of the node's machines."""

    def __init__(
        self, run_folder: Path = launcher.RUN, orders: guestorders.Orders | None = None
    ) -> None:
        self._run_folder, self._orders = run_folder, orders
        self._held: dict[tuple[str, str], asyncio.Event] = {}  # by uid and kind: set to end it
        self._running = 0

    async def run(self, path: Path) -> None:
        """Serve at `path` until cancelled."""
        server = await asyncio.start_unix_server(
            self._answer, sock=state.listener(path), limit=execstreams.LIMIT
        )
        async with server:
            await server.serve_forever()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._running += 1
        try:
            if self._running > MOST:
                raise errors.Unavailable(f"{MOST} consoles are open already", where="virt-handler")
            async with asyncio.timeout(_REQUEST):
                line = await reader.readline()
            if line:
                await self._serve(orjson.loads(line), reader, writer)
        except errors.WeftError as error:
            writer.write(orjson.dumps({"refused": str(error)}) + b"\n")
        except (OSError, TimeoutError, ValueError, KeyError, TypeError) as error:
            log.info("a console ended: %s", error)
        finally:
            self._running -= 1
            writer.close()

    async def _serve(
        self,
        request: Mapping[str, Any],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        key = str(request["uid"]), str(request["verb"])
        place = self._place(request)
        if key[1] in guestorders.VERBS:
            await self._carry_out(request, place, writer)
            return
        before = self._held.get(key)
        if before is not None and request["verb"] == "vnc" and request.get("preserve"):
            writer.write(orjson.dumps({"in use": IN_USE}) + b"\n")
            return
        path = place / SOCKETS[key[1]]
        if path.name == qemu.SCREEN and not path.exists():
            writer.write(orjson.dumps({"absent": ABSENT}) + b"\n")
            return
        if before is not None:
            before.set()
        ends = self._held[key] = asyncio.Event()
        try:
            guest_in, guest_out = await _connected(path, request)
            try:
                writer.write(b'{"taken": true}\n')
                await _join(ends, reader, writer, guest_in, guest_out)
            finally:
                guest_out.transport.abort()
        finally:
            if self._held.get(key) is ends:
                del self._held[key]

    async def _carry_out(
        self, request: Mapping[str, Any], place: Path, writer: asyncio.StreamWriter
    ) -> None:
        """Answer with what the client gets, in frames."""
        name = ObjectKey(str(request["namespace"]), str(request["name"]))
        if self._orders is None:
            raise errors.Unavailable("it takes no orders", where="virt-handler")
        try:
            found = await self._orders.carry_out(
                str(request["verb"]), name, str(request["uid"]), place, request.get("body")
            )
        except guestorders.Refused as refused:
            answer = {"failed": str(refused), "code": refused.code}
            writer.write(orjson.dumps(answer) + b"\n")
            return
        writer.write(b'{"taken": true}\n')
        for start in range(0, len(found), CHUNK):
            await execstreams.send(writer, found[start : start + CHUNK])

    def _place(self, request: Mapping[str, Any]) -> Path:
        """The folder of the machine. Raises Unavailable if that instance is not here."""
        namespace, name = str(request["namespace"]), str(request["name"])
        place = launcher.folder(namespace, name, self._run_folder)
        found = guestwatch.facts(place)
        if found is None or found.uid != request["uid"]:
            where = f"VirtualMachineInstance {namespace}/{name}"
            raise errors.Unavailable("does not run here", where=where)
        return place


async def _connected(
    path: Path, request: Mapping[str, Any]
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    where = f"VirtualMachineInstance {request['namespace']}/{request['name']}"
    try:
        with state.door(path) as called:
            async with asyncio.timeout(_CONNECT):
                return await asyncio.open_unix_connection(called, limit=CHUNK)
    except (OSError, TimeoutError) as error:
        why = f"its {request['verb']} does not answer: {error or 'in time'}"
        raise errors.Unavailable(why, where=where) from error


async def _join(
    ends: asyncio.Event,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    guest_in: asyncio.StreamReader,
    guest_out: asyncio.StreamWriter,
) -> None:
    """Copy both ways until an end is gone, or another client takes the place of this one."""

    async def inward() -> None:
        while (frame := await execstreams.receive(reader)) is not None:
            guest_out.write(frame)
            await guest_out.drain()

    async def outward() -> None:
        while data := await guest_in.read(CHUNK):
            await execstreams.send(writer, data)

    async def gone() -> None:
        await hangup.wait(writer.transport)

    async def replaced() -> None:
        await ends.wait()

    if await execstreams.first_of(inward, outward, gone, replaced) is not outward:
        writer.transport.abort()  # nobody waits for what has not been taken yet
