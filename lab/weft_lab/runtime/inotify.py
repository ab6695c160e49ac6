"""Waits until a socket listens or a file is gone, by inotify(7)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from pathlib import Path

from weft.host import inotify


class Folders:
    """One descriptor for all waits of a process, since a user may have few of them."""

    def __init__(self) -> None:
        self._inotify: inotify.Inotify | None = None
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
        if self._inotify is None:
            self._inotify = inotify.Inotify(self._wake)
        self._inotify.add(folder, inotify.APPEARED | inotify.DISAPPEARED)

    def _wake(self) -> None:
        """Have all waiting callers look again, whatever the event was."""
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
