"""When does a socket start to listen? The kernel tells (inotify(7)); nobody asks twice."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import socket
from pathlib import Path

IN_CREATE, IN_MOVED_TO = 0x100, 0x80

_libc = ctypes.CDLL(None, use_errno=True)


async def wait_socket(path: Path) -> None:
    """Return when something accepts connections at `path`, whose folder exists."""
    loop = asyncio.get_running_loop()
    descriptor = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "inotify_init1")
    changed = asyncio.Event()

    def drain() -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(descriptor, 1 << 16)
        changed.set()

    try:
        folder = os.fsencode(path.parent)
        if _libc.inotify_add_watch(descriptor, folder, IN_CREATE | IN_MOVED_TO) < 0:
            raise OSError(ctypes.get_errno(), f"cannot watch {path.parent}")
        loop.add_reader(descriptor, drain)
        while not _listens(path):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), _patience(path))
            changed.clear()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _patience(path: Path) -> float | None:
    """A file that is there and does not answer is either an old one, to be replaced, or between
    its bind() and listen(), of which the kernel tells nothing: look again."""
    return 0.005 if path.exists() else None


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(os.fspath(path))
        except OSError:
            return False
    return True
