"""Keeps a record file of each attachment on the node: the source of its rows in Open vSwitch.

A record is written when an ADD has succeeded, and removed by its DEL. A restarted agent reads them,
and a lost Open vSwitch database is filled from them. The folder is in /run: a node that boots has
no attachments.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from weft import errors
from weft.host import files, uninterrupted
from weft.nic import record

log = logging.getLogger(__name__)

_SUFFIX = ".json"


class Records:
    """Records by device. `load` reads the files once; from then on memory counts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, record.Record] = {}
        self._ports: dict[str, str] = {}  # device by logical port

    def __len__(self) -> int:
        return len(self._known)

    def get(self, device: str) -> record.Record | None:
        return self._known.get(device)

    def all(self) -> Iterable[record.Record]:
        return tuple(self._known.values())

    def of_port(self, logical_port: str) -> record.Record | None:
        """Returns the record with this iface-id, if any."""
        return self._known.get(self._ports.get(logical_port, ""))

    async def load(self) -> None:
        """Reads the files of an earlier agent; renames and logs those that are invalid."""
        for each in await uninterrupted.in_thread(self._read):
            self._remember(each)

    async def put(self, each: record.Record) -> None:
        """Writes a record, to disk first; raises Unavailable if that fails, and so does the ADD."""
        try:
            await uninterrupted.in_thread(self._write, each)
        except OSError as error:
            raise errors.Unavailable(
                f"the attachment cannot be remembered: {error.strerror}",
                where=str(self._path(each.device)),
                hint="free some space, or see why the folder cannot be written",
            ) from error
        self._remember(each)

    async def forget(self, device: str) -> None:
        """Removes the record of a device, if there is one."""
        known = self._known.pop(device, None)
        if known is not None and self._ports.get(known.logical_port) == device:
            del self._ports[known.logical_port]
        try:
            await uninterrupted.in_thread(self._path(device).unlink, missing_ok=True)
        except OSError as error:  # the next agent sees that its pod is gone
            log.warning("%s cannot be removed: %s", self._path(device), error.strerror)

    def _remember(self, each: record.Record) -> None:
        before = self._known.get(each.device)
        if before is not None and self._ports.get(before.logical_port) == each.device:
            del self._ports[before.logical_port]
        self._known[each.device] = each
        self._ports[each.logical_port] = each.device

    def _path(self, device: str) -> Path:
        return self._folder / f"{device}{_SUFFIX}"

    def _write(self, each: record.Record) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        files.replace(self._path(each.device), record.render(each))

    def _read(self) -> list[record.Record]:
        found = []
        for path in sorted(self._folder.glob(f"[!.]*{_SUFFIX}")):
            try:
                each = record.parse(path.read_bytes(), str(path))
                if each.device != path.stem:
                    raise errors.InvalidInput(str(path), "device", each.device, "is another's")
                found.append(each)
            except OSError as error:
                log.warning("%s cannot be read: %s", path, error.strerror)
            except errors.WeftError as error:
                log.warning("%s; it is kept as %s.broken", error, path.name)
                path.replace(path.with_name(f"{path.name}.broken"))
        return found
