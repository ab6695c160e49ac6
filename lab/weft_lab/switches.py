"""Writes the settings of a node's Open vSwitch, watches them, and writes them again."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable
from pathlib import Path

from weft import errors, rows
from weft.kube import queue
from weft.nic import port
from weft.ovsdb import replica
from weft_lab.runtime import ovssettings
from weft_lab.services import Running, Services

_KEY = "settings"
_PAUSE = 0.1  # seconds between two writes: somebody else may write as often as we do
_PATIENCE = 60.0  # seconds for the database server to come


class Progress:
    """Reports on the settings in the service's state, note and log."""

    def __init__(self, one: Running, services: Services, log: Path) -> None:
        self._one, self._services, self._log = one, services, log
        self._trouble = ""

    def written(self, what: str) -> None:
        """All is as desired; `what` was changed by somebody, empty for nothing."""
        if what:
            changed = f"somebody changed {what}; written again"
            self._note(f"{changed} ({time.strftime('%H:%M:%S')})")
        elif self._one.note == self._trouble:
            self._one.note = ""
        self._trouble = ""
        if not self._one.is_up:
            self._services.become_ready(self._one)

    def failed(self, error: errors.WeftError) -> None:
        why = error.in_full()
        if why != self._trouble:  # not for each time that it is tried
            self._trouble = why
            self._note(why)
            self._services.become_broken(self._one)

    def _note(self, text: str) -> None:
        self._one.note = text
        with contextlib.suppress(OSError), open(self._log, "a") as log:  # a disk may be full
            log.write(f"{text}\n")


class SwitchReconciler:
    """`address` is that of the node's database of Open vSwitch."""

    def __init__(self, address: str, desired: Iterable[rows.Row], progress: Progress) -> None:
        self._address, self._desired, self._progress = address, tuple(desired), progress
        self._queue = queue.Queue[str](
            "Open vSwitch", on_error=lambda _, error: progress.failed(error), longest_pause=5.0
        )

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                opened = await replica.Replica.open(
                    *(self._address, port.DATABASE, ovssettings.TABLES),
                    on_reset=self._look,
                    patience=_PATIENCE,
                )
            except errors.WeftError as error:
                self._progress.failed(error)
                continue
            async with opened as ovs:
                for table in ovssettings.TABLES:
                    ovs.subscribe(table.name, lambda *_: self._look())
                self._look()
                await self._queue.run(lambda _: self._write(ovs))

    def _look(self) -> None:
        self._queue.add(_KEY)

    async def _write(self, ovs: replica.Replica) -> None:
        is_new = ovs.get("Open_vSwitch", "") is None
        different: list[str] = []
        for row in self._desired:
            found = ovs.get(row.table, row.key)
            different += rows.differing(row, found and found[1])
        if await ovs.apply(self._desired):
            what = ", ".join(different) or "ports of a bridge"
            self._progress.written("" if is_new else what)
            await asyncio.sleep(_PAUSE)
        else:
            self._progress.written("")
