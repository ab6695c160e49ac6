"""Runs a node's parts of live migrations: one task for each that leads here or away.

The tasks are found by what instances' statuses say: a handler that is started again has the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple

from weft import errors
from weft.control import loop
from weft.kube import cache, events, resources
from weft.kube.client import Client, NotFound, Object
from weft.model import ObjectKey
from weft_lab.vm import (
    launcher,
    lifecycle,
    migration,
    migrationdisks,
    migrationkey,
    migrationlink,
    migrationsource,
    migrationtarget,
    migrationtls,
)

log = logging.getLogger(__name__)

RETRY_PAUSE = 1.0


class _Task(NamedTuple):
    """`role` is source or target; `instance` and `migration` are uids."""

    role: str
    name: ObjectKey
    instance: str
    migration: str


class Migrations:
    """Follows `vmis`; `address` is the node's, on which the handler listens."""

    def __init__(
        self,
        client: Client,
        node: str,
        address: str,
        vmis: cache.Cache,
        recorder: events.Recorder,
        run_folder: Path = launcher.RUN,
    ) -> None:
        self._client, self._node, self._address = client, node, address
        self._vmis, self._recorder, self._run_folder = vmis, recorder, run_folder
        self._tasks: dict[_Task, asyncio.Task[None]] = {}
        self._sources: dict[str, migrationsource.Source] = {}  # by uid of the migration
        self._targets: dict[str, migrationtarget.Target] = {}
        self._callers: dict[str, frozenset[str]] = {}  # addresses of the source's node, likewise
        self._relays = migrationdisks.Relays()
        self._keys = migrationtls.folder(run_folder)

    async def run(self) -> None:
        migrationtls.emptied(self._keys)
        key = await self._key()
        listener = migrationlink.Listener(self._address, key, self._serve, self._admits)
        async with asyncio.TaskGroup() as group:

            def on_change(name: ObjectKey, old: Object | None, new: Object | None) -> None:
                self._follow(group, name, new, key, listener.port)

            group.create_task(listener.run(), name="migration listener")
            self._vmis.subscribe(on_change)

    async def _key(self) -> bytes:
        while True:
            try:
                return await migrationkey.read(self._client)
            except errors.WeftError as error:
                log.info("%s", error)
            await asyncio.sleep(RETRY_PAUSE)  # made when the lab starts

    def _follow(
        self, group: asyncio.TaskGroup, name: ObjectKey, vmi: Object | None, key: bytes, port: int
    ) -> None:
        """Start the task that an instance needs of this node; end those that it needs no more."""
        state = migration.state(vmi)
        uid = str(state.get("migrationUid") or "")
        source = self._sources.get(uid)
        if source is not None:
            source.news.set()
        expected = self._expected(name, vmi)
        for known in [each for each in self._tasks if each.name == name and each not in expected]:
            arrives = known.role == "target" and migration.is_received(vmi)
            if not arrives and not self._tasks[known].done():
                self._tasks[known].cancel()
            if not arrives:
                del self._tasks[known]
        for task in expected:
            if task in self._tasks:
                continue
            work = self._receive if task.role == "target" else self._send
            self._tasks[task] = group.create_task(
                self._retried(work, task, key, port), name=f"{task.role} {name}"
            )

    def _expected(self, name: ObjectKey, vmi: Object | None) -> list[_Task]:
        if vmi is None or lifecycle.is_final(vmi):
            return []
        state = migration.state(vmi)
        uid = str(state.get("migrationUid") or "")
        labels = vmi["metadata"].get("labels") or {}
        found: list[_Task] = []
        if not uid:
            return found
        if state.get("sourceNode") == self._node:
            found.append(_Task("source", name, _uid(vmi), uid))
        is_target = self._node == state.get("targetNode") == labels.get(migration.TARGET_NODE)
        if is_target and migration.is_under_way(vmi):
            found.append(_Task("target", name, _uid(vmi), uid))
        return found

    async def _retried(
        self,
        work: Callable[[_Task, bytes, int], Coroutine[Any, Any, None]],
        task: _Task,
        key: bytes,
        port: int,
    ) -> None:
        """Until it ends without an error: then nothing is left to do for this migration here."""
        while True:
            try:
                await work(task, key, port)
                return
            except errors.WeftError as error:
                log.info("migration of %s: %s", task.name, error)
            except ExceptionGroup as failures:
                log.info("migration of %s: %s", task.name, loop.first_cause(failures))
            except Exception:  # the failure of one task must not end the others
                log.exception("migration of %s: unexpected failure, trying again", task.name)
            await asyncio.sleep(RETRY_PAUSE)
            if task not in self._expected(task.name, self._vmis.get(task.name)):
                return

    async def _send(self, task: _Task, key: bytes, port: int) -> None:
        source = migrationsource.Source(
            self._client,
            self._recorder,
            self._node,
            self._folder(task.name),
            self._reader(task),
            (key, self._keys),
        )
        self._sources[task.migration] = source
        try:
            await source.run()
        finally:
            self._sources.pop(task.migration, None)

    async def _receive(self, task: _Task, key: bytes, port: int) -> None:
        target = migrationtarget.Target(
            self._client,
            self._recorder,
            self._node,
            self._folder(task.name),
            self._reader(task),
            (self._address, port),
            (migrationtls.key(key, task.migration), self._keys),
            self._relays,
        )
        self._callers[task.migration] = await self._addresses(task)
        self._targets[task.migration] = target
        try:
            await target.run()
        finally:
            self._targets.pop(task.migration, None)
            self._callers.pop(task.migration, None)

    async def _addresses(self, task: _Task) -> frozenset[str]:
        """Of the node from which a machine comes. Raises NotReady where the cluster has none."""
        name = str(migration.state(self._vmis.get(task.name)).get("sourceNode"))
        try:
            node = await self._client.get(resources.NODES, name)
        except NotFound:
            node = {}
        listed = (node.get("status") or {}).get("addresses") or ()
        found = frozenset(str(each.get("address")) for each in listed if each.get("address"))
        if not found:
            raise errors.NotReady("the source node has no address", where=f"Node {name}")
        return found

    def _admits(self, caller: str) -> bool:
        """Whether an address is that of a node from which a machine is expected."""
        return any(caller in each for each in self._callers.values())

    def _folder(self, name: ObjectKey) -> Path:
        return launcher.folder(*name, self._run_folder)

    def _reader(self, task: _Task) -> Callable[[], Object | None]:
        """The instance as it is now; None if it is another, or its migration is."""

        def read() -> Object | None:
            vmi = self._vmis.get(task.name)
            if vmi is None or _uid(vmi) != task.instance:
                return None
            return vmi if migration.state(vmi).get("migrationUid") == task.migration else None

        return read

    async def _serve(self, hello: migrationlink.Message, line: migrationlink.Line) -> None:
        uid = str(hello.get("migration"))
        target = self._targets.get(uid)
        if target is None or line.peer not in self._callers.get(uid, ()):
            await migrationlink.welcome(line, hello, "no machine is expected here")
            return
        await target.serve(hello, line)


def _uid(vmi: Object) -> str:
    return str(vmi["metadata"]["uid"])
