"""When does a file grow? The kernel says so; nobody needs to look again and again."""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MODIFY, _ATTRIB, _DELETE_SELF = 0x2, 0x4, 0x400
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def watching(path: Path, changed: asyncio.Event) -> Iterator[None]:
    """Set `changed` whenever the file is written, or goes away."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(_FLAGS)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "inotify cannot be used")
    loop = asyncio.get_running_loop()

    def drain() -> None:
        os.read(descriptor, 65536)
        changed.set()

    try:
        mask = _MODIFY | _ATTRIB | _DELETE_SELF
        if libc.inotify_add_watch(descriptor, os.fsencode(path), mask) < 0:
            raise OSError(ctypes.get_errno(), f"{path} cannot be watched")
        loop.add_reader(descriptor, drain)
        yield
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
