"""Serves the CNI plugin on a unix socket, one call per connection.

Checks the caller, limits the request, and turns each outcome into an answer of the CNI
specification. When a caller hangs up (its runtime gave up), its call is cancelled and undone.
`attach.py`, `gc.py` and `health.py` carry out calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import struct
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import orjson

from weft import errors, logid, names
from weft.api.pod import Pod
from weft.cni import wire
from weft.host import netns, uninterrupted
from weft.metrics import Figures, Metric
from weft.model import ObjectKey
from weft.nic import result
from weft.node import arrivals, attach, call, gc, health, plugging, repair, routes
from weft.node.dependencies import Dependencies
from weft.node.keyedlock import KeyedLock

log = logging.getLogger(__name__)

_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid
_READ_PATIENCE = 10.0


class Cancelled(errors.NotReady):
    """The pod of an ADD was deleted meanwhile."""


async def serve(server: Server) -> None:
    """Answers calls, repairs ports and routes until cancelled; first removes ports without pods."""
    deps = server.deps
    swept = await gc.sweep(deps)
    if swept:
        log.info("removed %d ports of pods that are gone", swept)
    async with listening(Path(deps.settings.socket), server):
        log.info("answering CNI calls at %s", deps.settings.socket)
        async with asyncio.TaskGroup() as group:
            group.create_task(server.repairer.run(), name="interfaces")
            group.create_task(server.plugging.run(), name="plugging")
            group.create_task(server.arrivals.run(), name="arrivals")
            group.create_task(
                routes.RouteReconciler(deps, server.is_busy, server.repairer.vanished).run(),
                name="routes",
            )


@contextlib.asynccontextmanager
async def listening(path: Path, server: Server) -> AsyncIterator[None]:
    """Takes calls at `path` for as long as the scope lasts."""
    sock = bind(path)
    mine = os.stat(path).st_ino
    listener = await asyncio.start_unix_server(server.answer, sock=sock)
    try:
        yield
    finally:
        listener.close()
        await server.finish()
        unlink_own(path, mine)


def bind(path: Path) -> socket.socket:
    """Returns a listening socket of mode 0600 that replaces an earlier agent's atomically."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    sock.bind(str(fresh))
    fresh.chmod(0o600)
    sock.listen(512)
    fresh.rename(path)
    return sock


def unlink_own(path: Path, inode: int) -> None:
    """Removes the socket unless a newer agent has replaced it."""
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_ino == inode:
            path.unlink()


class Server:
    """Answers calls; those about one interface of one sandbox run one after the other."""

    def __init__(self, deps: Dependencies) -> None:
        self.deps = deps
        self._turns = KeyedLock()
        self.repairer = repair.Repairer(deps, self._turns)
        self.plugging = plugging.Plugging(deps)
        self.arrivals = arrivals.Arrivals(deps)
        self._adds: dict[asyncio.Task[Any], call.Call] = {}
        self._connections: set[asyncio.Task[Any]] = set()
        deps.pods.subscribe(self._pod_changed)

    async def finish(self) -> None:
        """Cancels calls in progress and waits until they are undone."""
        for task in self._connections:
            task.cancel()
        if self._connections:
            # A second cancellation must not leave what the first one is undoing.
            await uninterrupted.finish(_ended(self._connections))

    def figures(self) -> Figures:
        return {Metric.CNI: self.deps.calls, Metric.CNI_STEP: self.deps.steps}

    def is_busy(self, device: str) -> bool:
        """Whether a call or repair works on this device now."""
        return any(names.host_device(*key) == device for key in self._turns.keys)

    def _pod_changed(self, key: ObjectKey, old: Pod | None, new: Pod | None) -> None:
        """Cancels the ADDs of a deleted pod."""
        if new is not None or old is None:
            return
        for task, cni_call in self._adds.items():
            if cni_call.pod == key and cni_call.uid in ("", old.uid):
                task.cancel(f"Pod {key} was deleted")

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection: one request, one reply."""
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            status, body = await self._converse(reader, writer)
            if body is not None:
                writer.write(wire.frame_reply(status, body))
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.close()

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[int, bytes | None]:
        """Returns exit status and output; no output (None) when the caller has hung up."""
        refusal = check_peer(writer.get_extra_info("socket"))
        if refusal:
            return refuse(call.Refused(call.Code.ENVIRONMENT, refusal), b"")
        try:
            async with asyncio.timeout(_READ_PATIENCE):
                env, config = await read_request(reader)
        except wire.Malformed as error:
            return refuse(call.Refused(call.Code.IO, str(error)), b"")
        except TimeoutError:
            late = f"the request was not complete within {_READ_PATIENCE:g} s"
            return refuse(call.Refused(call.Code.IO, late), b"")
        except asyncio.IncompleteReadError:
            return 1, None
        work = asyncio.create_task(self._perform(env, config), name="CNI call")
        hung_up = asyncio.create_task(reader.read(1), name="caller")
        try:
            await asyncio.wait({work, hung_up}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel("the caller hung up")
                await asyncio.wait({work})
                return 1, None
            return work.result()
        finally:
            for task in (work, hung_up):
                task.cancel()
            await uninterrupted.finish(_ended({work, hung_up}))

    async def _perform(self, env: dict[str, str], config: bytes) -> tuple[int, bytes]:
        """Returns exit status and output of a call; every error becomes an answer."""
        started = time.perf_counter()
        status, body = await self._answered(env, config, started)
        command = env.get("CNI_COMMAND", "")
        if command in call.COMMANDS:
            outcome = "refused" if status else "ok"
            self.deps.calls.observe(time.perf_counter() - started, command, outcome)
        return status, body

    async def _answered(
        self, env: dict[str, str], config: bytes, started: float
    ) -> tuple[int, bytes]:
        subject = f"{env.get('CNI_COMMAND')} {env.get('CNI_IFNAME', '')}"
        try:
            cni_call = call.parse(env, config)
            logid.current.set(cni_call.uid or cni_call.sandbox)  # of this call's own task
            body = await self._carry_out(cni_call)
        except netns.Gone as error:
            return refuse(call.Refused(call.Code.CONTAINER, error.what, where=error.where), config)
        except errors.WeftError as error:
            log.warning("%s refused: %s", subject, error)
            return refuse(error, config)
        except Exception:
            log.exception("%s failed unexpectedly", subject)
            what = "the node agent failed on this call"
            return refuse(call.Refused(call.Code.INTERNAL, what, hint="see its log"), config)
        log.info(
            "%s for %s done in %.0f ms",
            subject,
            cni_call.sandbox or cni_call.config.get("name"),
            1000 * (time.perf_counter() - started),
        )
        return 0, body

    async def _carry_out(self, cni_call: call.Call) -> bytes:
        deps = self.deps
        match cni_call.command:
            case "VERSION":
                known = {"cniVersion": cni_call.version, "supportedVersions": result.VERSIONS}
                return orjson.dumps(known)
            case "STATUS":
                await health.check(deps)
                return b""
            case "GC":
                await gc.collect(cni_call, deps)
                return b""
        if cni_call.command in ("ADD", "DEL") and cni_call.args.get("K8S_POD_NAME"):
            self.plugging.called(cni_call.pod, cni_call.interface)
        try:
            async with self._turns.of((cni_call.sandbox, cni_call.interface)):
                match cni_call.command:
                    case "ADD":
                        return orjson.dumps(await self._add(cni_call))
                    case "DEL":
                        await attach.delete(cni_call, deps)
                    case _:
                        await attach.check(cni_call, deps)
                return b""
        finally:
            self.repairer.examine(names.host_device(cni_call.sandbox, cni_call.interface))

    async def _add(self, cni_call: call.Call) -> result.Result:
        task = asyncio.current_task()
        assert task is not None
        _ = cni_call.pod  # refuses a call that names no pod
        self._adds[task] = cni_call
        try:
            return await attach.add(cni_call, self.deps)
        except asyncio.CancelledError as error:
            reason = str(error.args[0]) if error.args else ""
            if not reason.startswith("Pod "):
                raise
            task.uncancel()
            raise Cancelled(reason) from None
        finally:
            del self._adds[task]


async def _ended(tasks: Iterable[asyncio.Task[Any]]) -> None:
    await asyncio.wait(set(tasks))


async def read_request(reader: asyncio.StreamReader) -> tuple[dict[str, str], bytes]:
    """Reads a request; raises Malformed, or IncompleteReadError if the caller hangs up."""
    try:
        line = await reader.readuntil(b"\n")
    except asyncio.LimitOverrunError:
        raise wire.Malformed("the request's first line does not end") from None
    head = wire.parse_head(line)
    env = await reader.readexactly(head.env)
    return wire.parse_env(env), await reader.readexactly(head.config)


def check_peer(sock: Any) -> str:
    """Returns why this caller may not call, else "". The socket's mode enforces the same."""
    data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(data)
    if uid in (0, os.geteuid()):
        return ""
    return f"process {pid} of user {uid} calls; only root and the agent's own user may"


def refuse(error: errors.WeftError, config: bytes) -> tuple[int, bytes]:
    """Returns exit status and output (an error object) for a call that failed."""
    code = call.code_of(error)
    version = call.requested_version(config)
    return 1, orjson.dumps(result.failure(code, str(error), error.hint, version))
