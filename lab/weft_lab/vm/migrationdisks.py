"""Copies the disks that only their node has to a migration's target, by QEMU's own mirror.

The target's QEMU serves its empty images (NBD) on a socket of the handler's; connections of the
source's handler, which have proved themselves, are relayed to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from weft import errors
from weft_lab import state
from weft_lab.vm import migrationlink, qmpsession

MAX_DISKS = 32  # of one machine
MAX_RELAYS = 128  # of a node; each has two descriptors and a quarter of a MiB
PATIENCE = 15.0  # seconds for the first answer of a target's disk
_CHUNK = 1 << 18
_SERVER = "nbd"


@dataclass(frozen=True, slots=True)
class Copied:
    """A drive whose content goes along; `layered`: it has a base that both nodes have."""

    node: str
    layered: bool = False


@dataclass(frozen=True, slots=True)
class Exports:
    """The socket on which the target's QEMU serves its drives."""

    path: Path

    async def relay(self, line: migrationlink.Line) -> None:
        """Carry bytes both ways until either side closes."""
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as inside:
            inside.setblocking(False)
            try:
                with state.door(self.path) as path:
                    await asyncio.get_running_loop().sock_connect(inside, path)
                ways = [
                    asyncio.create_task(_pump(line.connection, inside)),
                    asyncio.create_task(_pump(inside, line.connection)),
                ]
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for each in ways:
                        each.cancel()
                    await asyncio.wait(ways)
            except OSError:
                pass  # QEMU has gone; the source's mirror fails
            finally:
                line.close()

    async def end(self, session: qmpsession.Session) -> None:
        """Nothing is left: QEMU lets go of its disks only without their exports."""
        try:
            with contextlib.suppress(errors.Unavailable):  # it has ended, or serves none
                await session.execute("nbd-server-stop")
        finally:
            shutil.rmtree(self.path.parent, ignore_errors=True)


class Relays:
    """The disks' connections that a node carries, for all machines that come to it."""

    def __init__(self, most: int = MAX_RELAYS) -> None:
        self._most = most
        self._tasks: dict[asyncio.Task[None], object] = {}

    def full(self, owner: object) -> str:
        """Why a migration gets no other connection; "" if it does."""
        own = sum(each is owner for each in self._tasks.values())
        if own >= MAX_DISKS:
            return f"{MAX_DISKS} disks of this machine are copied already"
        if len(self._tasks) >= self._most:
            return f"the node copies {self._most} disks already: try again when one has ended"
        return ""

    def start(self, owner: object, exports: Exports, line: migrationlink.Line) -> None:
        """Carry a connection until it ends, or all of its migration are ended."""
        task = asyncio.create_task(exports.relay(line))
        self._tasks[task] = owner
        task.add_done_callback(lambda task: self._tasks.pop(task, None))

    def end(self, owner: object) -> None:
        """Those of one migration."""
        for task in [task for task, whose in self._tasks.items() if whose is owner]:
            task.cancel()


async def _pump(source: socket.socket, sink: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        while chunk := await loop.sock_recv(source, _CHUNK):
            await loop.sock_sendall(sink, chunk)


async def export(
    session: qmpsession.Session, names: object, credentials: str, keys: Path
) -> Exports:
    """Serve these drives of the target's QEMU, by TLS alone. Raises Unavailable.

    The socket is in a folder of `keys`, which a handler empties when it starts.
    """
    if not isinstance(names, list) or len(names) > MAX_DISKS:
        raise errors.Unavailable("the source names no disks")
    exports = Exports(Path(tempfile.mkdtemp(prefix="disks-", dir=keys)) / "nbd.sock")
    try:
        await _serve(session, exports.path, names, credentials)
    except BaseException:
        await exports.end(session)
        raise
    return exports


async def _serve(
    session: qmpsession.Session, path: Path, names: list[object], credentials: str
) -> None:
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as listening:
        with state.short(path) as called:
            listening.bind(called)
        listening.listen(MAX_DISKS)
        await session.pass_on(_SERVER, listening.fileno())
        await session.execute(
            "nbd-server-start",
            addr={"type": "fd", "data": {"str": _SERVER}},
            max_connections=MAX_DISKS,
            tls_creds=credentials,
        )
    for name in names:
        await session.execute(
            "block-export-add",
            type="nbd",
            id=f"export-{name}",
            node_name=str(name),
            name=str(name),
            writable=True,
        )


@dataclass(frozen=True, slots=True)
class Copies:
    """The copies that one migration makes of the source's drives.

    QEMU's objects are named by the migration: one that failed may leave some for a moment.
    """

    every: Sequence[Copied]
    migration: str

    def node(self, copied: Copied) -> str:
        return f"to-{copied.node}-{self.migration[:8]}"

    def job(self, copied: Copied) -> str:
        return f"mirror-{copied.node}-{self.migration[:8]}"

    async def mirror(
        self,
        session: qmpsession.Session,
        copied: Copied,
        line: migrationlink.Line,
        credentials: str,
    ) -> None:
        """Begin to copy one drive over this connection, by TLS."""
        name = self.node(copied)
        await session.pass_on(name, line.connection.fileno())
        adding = session.execute(
            "blockdev-add",
            driver="raw",
            node_name=name,
            file={
                "driver": "nbd",
                "node-name": _connection(name),
                "server": {"type": "fd", "str": name},
                "export": copied.node,
                "tls-creds": credentials,
            },
        )
        # QEMU waits for the first answer, and the guest with it.
        task = asyncio.ensure_future(adding)
        await asyncio.wait({task}, timeout=PATIENCE)
        if not task.done():
            await self.cut(session)
        await task
        await session.execute(
            "blockdev-mirror",
            job_id=self.job(copied),
            device=copied.node,
            target=name,
            sync="top" if copied.layered else "full",
            copy_mode="write-blocking",
        )

    async def finish(self, session: qmpsession.Session) -> None:
        """Source and copy are equal, and the guest stands still: let go of the copies."""
        for each in self.every:
            await session.execute("block-job-cancel", device=self.job(each))

    async def cut(self, session: qmpsession.Session) -> None:
        """End the connections: a target that does not answer must not hold up the guest's writes,
        nor QEMU itself."""
        for each in self.every:
            instance = {"type": "block-node", "node-name": _connection(self.node(each))}
            await session.urge("yank", instances=[instance])

    async def give_up(self, session: qmpsession.Session) -> None:
        """The guest stays: nothing of the copies is left."""
        for each in self.every:
            for command, name in (
                ("block-job-cancel", {"device": self.job(each), "force": True}),
                ("blockdev-del", {"node_name": self.node(each)}),
            ):
                with contextlib.suppress(errors.Unavailable):  # it has ended with its connection
                    await session.execute(command, **name)


def _connection(name: str) -> str:
    return f"{name}-nbd"
