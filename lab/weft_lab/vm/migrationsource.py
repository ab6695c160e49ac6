"""Sends a machine to its new node: what virt-handler does for a migration's source.

QEMU moves the guest by itself once both handlers have connected it. This watches over it: it says
when the guest has stopped, ends a migration that is cancelled or makes no progress, and ends the
QEMU that is left behind. All that it must remember is in the instance's status and in QEMU: a
handler that is started again goes on, or fails the migration.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from weft import errors
from weft.kube import events, resources
from weft.kube.client import Client, NotFound, Object
from weft_lab.reasons import Reason
from weft_lab.vm import (
    guestwatch,
    lifecycle,
    machine,
    migration,
    migrationcost,
    migrationdisks,
    migrationlink,
    migrationpace,
    migrationprogress,
    migrationstate,
    migrationtarget,
    migrationtls,
    qmpsession,
)
from weft_lab.vm.status import is_paused

log = logging.getLogger(__name__)

TICK = 1.0  # seconds between two looks at QEMU's figures
PATIENCE = 60.0  # seconds in which QEMU lets go of a migration; then it is asked anew
_MOVING = ("setup", "active", "pre-switchover", "device", "cancelling")


class Failed(Exception):
    """The migration is over and the guest stays; the text is the failureReason."""


class Source:
    """One migration, on the node that it leads from. `vmi_of` gives the instance as it is now."""

    def __init__(
        self,
        client: Client,
        recorder: events.Recorder,
        node: str,
        folder: Path,
        vmi_of: Callable[[], Object | None],
        secrets: tuple[bytes, Path],
    ) -> None:
        self._client, self._recorder, self._node = client, recorder, node
        self._folder, self._vmi_of, (self._key, self._keys) = folder, vmi_of, secrets
        self.news = asyncio.Event()  # the instance has changed
        self._control: migrationlink.Line | None = None
        self._copies = migrationdisks.Copies((), "")
        self._ready: set[str] = set()  # mirrors that are equal to their source
        self._cost = migrationcost.Clock()
        self._notifying: asyncio.Task[None] | None = None
        self._encryption = contextlib.AsyncExitStack()
        self._why = ""  # this ended it, where it is not QEMU's own end

    async def run(self) -> None:
        """Until the instance has moved and its old QEMU has ended, or the migration has failed."""
        vmi = self._vmi_of()
        found = guestwatch.facts(self._folder)
        if vmi is None or found is None or found.uid != vmi["metadata"]["uid"]:
            return  # its pod has ended, which the instance's controller sees
        uid = str(migration.state(vmi).get("migrationUid"))
        self._copies = migrationdisks.Copies(found.copied, uid)
        try:
            await self._run()
        except errors.Unavailable as error:
            if not self._state().get("startTimestamp"):
                await self._report(error.what)  # nothing was sent: the guest is here
            raise

    async def _run(self) -> None:
        path = self._folder / "migration.sock"
        async with (
            qmpsession.Session(path, self._hear) as session,
            contextlib.AsyncExitStack() as self._encryption,
        ):
            try:
                await self._move(session)
            except Failed as failure:
                await self._fail(session, str(failure))
            except errors.Unavailable as error:
                if migrationcost.SENT in self._cost.at:
                    raise  # the target may have the guest: look again at what has become of it
                await self._fail(session, error.what)
            finally:
                if self._control is not None:
                    self._control.close()

    async def _fail(self, session: qmpsession.Session, reason: str) -> None:
        """The guest stays, and the instance says why. Raises Unavailable to be tried again."""
        try:
            await self._stay(session)
        finally:
            await self._report(reason)

    def _state(self) -> dict[str, Any]:
        return dict(migration.state(self._vmi_of()))

    async def _move(self, session: qmpsession.Session) -> None:
        if self._has_left():
            await _end_left_behind(session)
            return
        status = (await session.ask("query-migrate")).get("status")
        if not migration.is_under_way(self._vmi_of()):
            await self._stay(session)
            return
        if status in _MOVING or (status == "completed" and self._state().get("startTimestamp")):
            with contextlib.suppress(errors.Unavailable):  # a handler that was started again
                await self._connect()
        elif self._state().get("startTimestamp"):
            raise Failed("the handler of the source node was restarted before the memory was sent")
        else:
            while not self._state().get("targetNodeAddress"):
                self._check_abort()
                await self._changed()
            await self._begin(session)
        await self._watch(session)

    async def _changed(self) -> None:
        self.news.clear()
        await self.news.wait()

    def _check_abort(self) -> None:
        if self._state().get("abortRequested"):
            raise Failed(migration.ABORTED)
        if not migration.is_under_way(self._vmi_of()):
            raise Failed("it was ended meanwhile")

    async def _call(self, kind: str, **more: str) -> migrationlink.Line:
        state = self._state()
        port = next(iter(state["targetDirectMigrationNodePorts"]))
        hello = {"kind": kind, "migration": state["migrationUid"], "node": self._node, **more}
        return await migrationlink.call(state["targetNodeAddress"], int(port), self._key, hello)

    async def _connect(self) -> None:
        self._control = await self._call("control")

    async def _begin(self, session: qmpsession.Session) -> None:
        """Connect both QEMUs and let them begin."""
        vmi = self._vmi_of()
        assert vmi is not None
        settings = self._state().get("migrationConfiguration") or {}
        self._cost.mark(migrationcost.BEGUN)
        await self._connect()
        started = {"startTimestamp": lifecycle.stamp(datetime.now(UTC))}
        if await migrationstate.write(self._client, vmi, started) is None:
            raise Failed("it was ended meanwhile")
        self._recorder.emit(vmi, Reason.MIGRATING, "VirtualMachineInstance is migrating.")
        await migrationpace.begin(session, settings, copies=bool(self._copies.every))
        secret = migrationtls.key(self._key, str(self._state()["migrationUid"]))
        encrypted = migrationtls.encrypted(session, secret, migrationtls.CLIENT, self._keys)
        credentials = await self._encryption.enter_async_context(encrypted)
        if self._copies.every:
            await self._copy(session, credentials)
        line = await self._call(migrationtarget.MEMORY)
        try:
            migrationpace.keep_short(line.connection)
            await session.pass_on(migrationtarget.MEMORY, line.connection.fileno())
        finally:
            line.close()
        self._cost.mark(migrationcost.MEMORY)
        await session.execute("migrate", uri=f"fd:{migrationtarget.MEMORY}")

    async def _copy(self, session: qmpsession.Session, credentials: str) -> None:
        assert self._control is not None
        await self._control.send(
            {"do": "disks", "names": [each.node for each in self._copies.every]}
        )
        answer = await self._control.receive()
        if answer.get("did") != "disks":
            raise Failed("the target does not serve its disks")
        for each in self._copies.every:
            line = await self._call("disk")
            try:
                await line.send({"do": "relay"})  # all of the answer is read: the rest is QEMU's
                await self._copies.mirror(session, each, line, credentials)
            finally:
                line.close()
        self._cost.mark(migrationcost.DISKS)
        while len(self._ready) < len(self._copies.every):
            self._check_abort()
            await self._step(session)

    # While QEMU works

    async def _watch(self, session: qmpsession.Session) -> None:
        """Until it is over: the guest has gone (returns), or stays (raises Failed)."""
        progress = migrationprogress.Progress(self._deadlines())
        hearing: asyncio.Task[migrationlink.Message] | None = None
        try:
            while True:
                if hearing is None and self._control is not None:
                    hearing = asyncio.create_task(self._control.receive())
                await self._step(session, hearing)
                if hearing is not None and hearing.done():
                    hearing = self._heard(hearing)
                if self._has_left():
                    await self._measured(session)
                    await _end_left_behind(session)
                    return
                info = await session.ask("query-migrate")
                status = info.get("status")
                if status == "completed":
                    await self._await_target(session)
                elif status in ("failed", "cancelled", "none", None):
                    raise Failed(self._why or migrationprogress.cause(info))
                elif not self._why:
                    self._judge(info, progress)
                    if self._why:
                        await migrationstate.explain(self._client, self._vmi_of(), self._why)
                        await self._copies.cut(session)
                        await session.execute("migrate_cancel")
        finally:
            if hearing is not None:
                hearing.cancel()

    def _heard(
        self, hearing: asyncio.Task[migrationlink.Message]
    ) -> asyncio.Task[migrationlink.Message] | None:
        try:
            if hearing.result().get("did") == "resume":
                self._cost.mark(migrationcost.RESUMED)
        except errors.Unavailable:
            if self._control is not None:
                self._control.close()
            self._control = None
        return None

    def _judge(self, info: dict[str, Any], progress: migrationprogress.Progress) -> None:
        """Notes why the migration must end, if it must."""
        state = self._state()
        if state.get("abortRequested"):
            self._why = migration.ABORTED
        elif not migration.is_under_way(self._vmi_of()):
            self._why = str(state.get("failureReason") or "it was ended meanwhile")
        elif self._control is None:
            self._why = "the connection to the target node's handler was lost"
        else:
            self._why = progress.verdict(info, time.monotonic())

    def _deadlines(self) -> tuple[float, float]:
        vmi = self._vmi_of()
        memory = machine.read(vmi).memory if vmi is not None else 0
        return migrationprogress.deadlines(self._state().get("migrationConfiguration"), memory)

    async def _step(
        self,
        session: qmpsession.Session,
        hearing: asyncio.Task[migrationlink.Message] | None = None,
    ) -> None:
        """Wait for the next thing to happen, at most a tick, and follow QEMU's events."""
        news = asyncio.create_task(self.news.wait())
        event = asyncio.create_task(session.events.get())
        tasks: set[asyncio.Task[Any]] = {news, event, *((hearing,) if hearing else ())}
        try:
            await asyncio.wait(tasks, timeout=TICK, return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()
            self.news.clear()
            if not event.done():
                event.cancel()
        if event.done() and not event.cancelled():
            await self._follow(session, event.result())
            while not session.events.empty():
                await self._follow(session, session.events.get_nowait())

    async def _follow(self, session: qmpsession.Session, event: qmpsession.Event | None) -> None:
        if event is None:
            raise errors.Unavailable("QEMU has ended", where=str(self._folder))
        name, data = event["event"], event["data"]
        if name == "BLOCK_JOB_READY":
            self._ready.add(str(data.get("device")))
        elif name in ("BLOCK_JOB_ERROR", "BLOCK_JOB_COMPLETED") and data.get("error"):
            raise Failed(self._why or f"a disk was not copied: {str(data['error'])[:200]}")
        elif name == "MIGRATION_PASS" and migrationcost.STOPPED not in self._cost.at:
            await migrationpace.follow(session, data.get("pass"))
        elif name == "MIGRATION" and data.get("status") == "pre-switchover":
            await self._copies.finish(session)
            await session.execute("migrate-continue", state="pre-switchover")
        elif name == "MIGRATION" and data.get("status") == "completed":
            self._cost.mark(migrationcost.SENT)

    def _hear(self, event: qmpsession.Event) -> None:
        """At once, also while a command waits for its answer: QEMU is busy at this very time."""
        if event["event"] == "STOP" and self._control is not None:
            self._cost.mark(migrationcost.STOPPED)
            self._notifying = asyncio.create_task(self._notify({"do": "announce"}))

    async def _notify(self, message: migrationlink.Message) -> None:
        if self._control is not None:
            with contextlib.suppress(errors.Unavailable):
                await self._control.send(message)

    # How it ends

    def _has_left(self) -> bool:
        """Whether the instance's status names another node than this one."""
        vmi = self._vmi_of()
        node = ((vmi or {}).get("status") or {}).get("nodeName")
        return vmi is not None and bool(node) and node != self._node

    async def _await_target(self, session: qmpsession.Session) -> None:
        """Everything is sent. The guest is the target's, unless its pod has ended: then it was not
        started there, or is no more, and goes on here."""
        state, vmi = self._state(), self._vmi_of()
        if vmi is None or self._has_left():
            return
        try:
            pod = await self._client.get(
                resources.PODS, str(state.get("targetPod")), vmi["metadata"]["namespace"]
            )
        except NotFound:
            pod = None
        if pod is None or (pod.get("status") or {}).get("phase") in lifecycle.FINAL:
            raise Failed("the target pod ended before the guest ran there")

    async def _stay(self, session: qmpsession.Session) -> None:
        """The guest runs on here, whatever QEMU was at."""
        await self._copies.cut(session)
        info = await session.ask("query-migrate")
        if info.get("status") in _MOVING:
            await session.execute("migrate_cancel")
            await self._await_end(session)
        await self._copies.give_up(session)
        status = (await session.ask("query-status")).get("status")
        if status in ("postmigrate", "finish-migrate"):
            await self._await_gone(session)
            stood = is_paused(self._vmi_of())  # before: its status follows the guest
            await session.execute("cont")
            if stood:
                await session.execute("stop")

    async def _await_end(self, session: qmpsession.Session) -> None:
        """Until QEMU has let go of a migration; each step of that is an event."""
        try:
            async with asyncio.timeout(PATIENCE):
                while (await session.ask("query-migrate")).get("status") in _MOVING:
                    if await session.events.get() is None:
                        return
        except TimeoutError as error:
            what = f"QEMU has not let go of the migration within {PATIENCE:g} s"
            raise errors.Unavailable(what, where=str(self._folder)) from error

    async def _await_gone(self, session: qmpsession.Session) -> None:
        """Until no other QEMU can have the guest: its pod has ended."""
        while True:
            try:
                if self._has_left():
                    return
                await self._await_target(session)
            except Failed:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed(), TICK)

    async def _report(self, reason: str) -> None:
        """The failure, in the instance's status and as an Event."""
        vmi = self._vmi_of()
        if vmi is None or self._has_left():
            return
        now = lifecycle.stamp(datetime.now(UTC))
        cancelled = reason == migration.ABORTED
        state = migration.marked_failed(vmi, reason, now, cancelled=cancelled)
        if await migrationstate.write(self._client, vmi, state) is not None:
            uid, why = migration.state(vmi)["migrationUid"], state["failureReason"]
            text = f"VirtualMachineInstance migration uid {uid} failed. reason: {why}"
            self._recorder.emit(vmi, Reason.FAILED_MIGRATION, text)

    async def _measured(self, session: qmpsession.Session) -> None:
        with contextlib.suppress(errors.WeftError):
            info = await session.ask("query-migrate")
            vmi = self._vmi_of()
            if vmi is not None:
                await migrationcost.record(self._client, self._recorder, vmi, self._cost, info)


async def _end_left_behind(session: qmpsession.Session) -> None:
    """The QEMU that the guest has left."""
    with contextlib.suppress(errors.Unavailable):
        if (await session.ask("query-status")).get("status") == "postmigrate":
            await session.execute("quit")
