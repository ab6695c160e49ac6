"""Watches files with inotify(7), in asyncio's loop or another.

One descriptor serves all files, because a user may have few.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import struct
from collections.abc import Callable
from pathlib import Path

MODIFIED, ATTRIB, DELETED = 0x2, 0x4, 0x400  # IN_MODIFY, IN_ATTRIB, IN_DELETE_SELF: on a file
MOVED = 0x800  # IN_MOVE_SELF
APPEARED = 0x100 | 0x80  # IN_CREATE, IN_MOVED_TO: in a folder
DISAPPEARED = 0x200 | 0x40  # IN_DELETE, IN_MOVED_FROM

_EVENT = struct.Struct("iIII")  # watch, mask, cookie, length of the name after it
_libc = ctypes.CDLL(None, use_errno=True)


class Watches:
    """The watches of one descriptor; raises OSError if the kernel refuses one."""

    def __init__(self) -> None:
        self._descriptor = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise _refusal("inotify_init1")

    def fileno(self) -> int:
        """The descriptor, to wait on."""
        return int(self._descriptor)

    def add(self, path: Path | str, mask: int) -> int:
        """The number of the watch; a path that is watched already keeps its number."""
        watch: int = _libc.inotify_add_watch(self._descriptor, os.fsencode(path), mask)
        if watch < 0:
            raise _refusal(f"{path} cannot be watched")
        return watch

    def remove(self, watch: int) -> None:
        """Remove a watch; the kernel may have removed it already, with the file."""
        _libc.inotify_rm_watch(self._descriptor, watch)

    def close(self) -> None:
        os.close(self._descriptor)

    def read(self) -> list[tuple[int, str]]:
        """(watch, name in the folder) for each change since the last call; does not block."""
        found, data = [], b""
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._descriptor, 1 << 16)
        while data:
            watch, _, _, length = _EVENT.unpack_from(data)
            end = _EVENT.size + length
            found.append((watch, os.fsdecode(data[_EVENT.size : end].rstrip(b"\0"))))
            data = data[end:]
        return found


class Inotify(Watches):
    """Calls `changed` in the running loop after a change of any watched file."""

    def __init__(self, changed: Callable[[], None]) -> None:
        super().__init__()
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._descriptor, self._read)

    def close(self) -> None:
        self._loop.remove_reader(self._descriptor)
        super().close()

    def _read(self) -> None:
        self.read()
        self._changed()


def _refusal(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")
