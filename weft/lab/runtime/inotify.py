"""When does a socket start to listen, when is a file gone? The kernel tells (inotify(7))."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import socket
from pathlib import Path

CAME = 0x100 | 0x80  # IN_CREATE, IN_MOVED_TO
WENT = 0x200 | 0x40  # IN_DELETE, IN_MOVED_FROM

_libc = ctypes.CDLL(None, use_errno=True)


class Folders:
    """One descriptor for all waits of a process: a user may have few of them."""

    def __init__(self) -> None:
        self._descriptor = -1
        self._changed = asyncio.Event()

    async def wait_socket(self, path: Path) -> None:
        """Return when something accepts connections at `path`, whose folder exists."""
        self._watch(path.parent)
        while not _listens(path):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _patience(path))

    async def wait_removed(self, path: Path) -> None:
        """Return when nothing is at `path` any more."""
        self._watch(path.parent)
        while _is_there(path):
            await self._changed.wait()

    def _watch(self, folder: Path) -> None:
        if self._descriptor < 0:
            self._descriptor = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
            if self._descriptor < 0:
                raise OSError(ctypes.get_errno(), "inotify_init1")
            asyncio.get_running_loop().add_reader(self._descriptor, self._drain)
        if _libc.inotify_add_watch(self._descriptor, os.fsencode(folder), CAME | WENT) < 0:
            raise OSError(ctypes.get_errno(), f"cannot watch {folder}")

    def _drain(self) -> None:
        """Whatever happened, everybody who waits looks again; those who come later start anew."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._descriptor, 1 << 16)
        self._changed.set()
        self._changed = asyncio.Event()


def _is_there(path: Path) -> bool:
    return path.exists()


def _patience(path: Path) -> float | None:
    """A file that is there and does not answer is between its bind() and listen(), of which the
    kernel tells nothing: look again."""
    return 0.005 if path.exists() else None


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(os.fspath(path))
        except OSError:
            return False
    return True
