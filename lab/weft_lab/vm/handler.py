"""Watches the guests of a node: virt-handler's role.

One task for each instance of the node; guestwatch.py has what it reads and writes.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from weft import errors
from weft.control import loop
from weft.kube import cache, events, resources
from weft.kube.client import Client, Object
from weft.model import ObjectKey
from weft_lab import layout
from weft_lab.vm import (
    guestconsoles,
    guestorders,
    guestthaws,
    guestwatch,
    launcher,
    lifecycle,
    migrations,
    nicsync,
    qmp,
)

log = logging.getLogger(__name__)

# A launcher's folder is made inside a pod; there is no watch for it, only looking.
LOOK_PAUSE = 0.1
RETRY_PAUSE = 1.0


class Handler:
    """Keeps one task for each instance of the node while it is there."""

    def __init__(
        self,
        client: Client,
        node_name: str,
        run_folder: Path = launcher.RUN,
        address: str = "127.0.0.1",
    ) -> None:
        self._client = client
        self._node = node_name
        self._run_folder = run_folder
        self._vmis = cache.Cache(client, resources.VMIS)
        self._recorder = events.Recorder(client, "virt-handler")
        self._migrations = migrations.Migrations(
            client, node_name, address, self._vmis, self._recorder, run_folder
        )
        self._nics = nicsync.NicSync(client, node_name, self._vmis, self._recorder, run_folder)
        self._thaws = guestthaws.Thaws(client, node_name, self._vmis, self._changed, run_folder)
        self._orders = guestorders.Orders(
            self._recorder, self._vmis.get, self._changed, self._thaws
        )
        self._consoles = guestconsoles.Consoles(run_folder, self._orders)
        self._guests: dict[str, guestwatch.Guest] = {}  # by uid
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        await loop.together(
            vmis=self._vmis.run(),
            events=self._recorder.run(),
            guests=self._follow_all(),
            migrations=self._migrations.run(),
            nics=self._nics.run(),
            thaws=self._thaws.run(),
            consoles=self._consoles.run(self._run_folder.parent / layout.HANDLER_SOCKET.name),
        )

    async def _follow_all(self) -> None:
        async with asyncio.TaskGroup() as group:

            def on_change(key: ObjectKey, old: Object | None, new: Object | None) -> None:
                if old is not None and (new is None or not self._is_here(new)):
                    self._leave(_uid(old))
                if new is not None and self._is_here(new) and _uid(new) not in self._tasks:
                    self._tasks[_uid(new)] = group.create_task(
                        self._follow(key, new), name=str(key)
                    )

            self._vmis.subscribe(on_change)
            await asyncio.Event().wait()

    def _changed(self, uid: str) -> None:
        if guest := self._guests.get(uid):
            guest.look()

    def _leave(self, uid: str) -> None:
        task = self._tasks.pop(uid, None)
        if task is not None:
            task.cancel()

    def _is_here(self, vmi: Object) -> bool:
        is_ours = (vmi.get("status") or {}).get("nodeName") == self._node
        return is_ours and lifecycle.phase(vmi) in ("Scheduled", "Running")

    async def _follow(self, key: ObjectKey, vmi: Object) -> None:
        """Until the instance is gone from here, when this task is cancelled."""
        folder = launcher.folder(*key, self._run_folder)
        while True:
            found = guestwatch.facts(folder)
            if found is None or found.uid != _uid(vmi):
                await asyncio.sleep(LOOK_PAUSE)
                continue
            try:
                guest = guestwatch.Guest(self._client, self._recorder, vmi, folder, found.macs)
                self._guests[_uid(vmi)] = guest
                async with qmp.Monitor(folder / "monitor.sock") as monitor:
                    self._nics.follow(_uid(vmi), key, guest)
                    await guest.follow(monitor)
            except errors.WeftError as error:
                log.info("%s: %s", key, error)
            except ExceptionGroup as failures:
                log.info("%s: %s", key, loop.first_cause(failures))
            except Exception:  # the failure of one task must not end the others
                log.exception("%s: unexpected failure, trying again", key)
            finally:
                self._nics.leave(_uid(vmi))
                self._guests.pop(_uid(vmi), None)
            # QEMU is gone, or the API was: the pod's end follows, or the next try.
            await asyncio.sleep(RETRY_PAUSE)


def _uid(vmi: Object) -> str:
    return str(vmi["metadata"]["uid"])


async def run(
    client: Client, node_name: str, address: str, run_folder: Path = launcher.RUN
) -> None:
    """Run the handler until cancelled; `address` is the node's, for the handlers of others."""
    await Handler(client, node_name, run_folder, address).run()
