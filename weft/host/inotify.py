"""How does the kernel tell of changes to files? inotify(7), in the loop of asyncio.

One descriptor, of which a user may have few. What a change means to whoever watches is not known
here.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
from collections.abc import Callable
from pathlib import Path

MODIFIED, TOUCHED, GONE = 0x2, 0x4, 0x400  # IN_MODIFY, IN_ATTRIB, IN_DELETE_SELF: of a file
CAME = 0x100 | 0x80  # IN_CREATE, IN_MOVED_TO: in a folder
WENT = 0x200 | 0x40  # IN_DELETE, IN_MOVED_FROM

_libc = ctypes.CDLL(None, use_errno=True)


class Inotify:
    """Calls `changed` after any change of what was added; raises OSError where it is refused."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._descriptor = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise _refusal("inotify_init1")
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._descriptor, self._drain)

    def add(self, path: Path | str, mask: int) -> int:
        """The number of the watch, the same one for what is watched already."""
        watch: int = _libc.inotify_add_watch(self._descriptor, os.fsencode(path), mask)
        if watch < 0:
            raise _refusal(f"{path} cannot be watched")
        return watch

    def remove(self, watch: int) -> None:
        """It has gone by itself where nobody has the file open any more."""
        _libc.inotify_rm_watch(self._descriptor, watch)

    def close(self) -> None:
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._descriptor, 1 << 16)
        self._changed()


def _refusal(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")
