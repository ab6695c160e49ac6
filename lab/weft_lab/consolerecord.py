"""Keeps, in a lab's folder, the address of the console that serves its pages in the background.

Who serves holds a lock, by which the kernel knows its process: an address without a lock is of a
console that has ended, however it did.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import struct
from collections.abc import Iterator
from pathlib import Path

from weft.host import files
from weft_lab import state

PATIENCE = 5.0  # seconds until a console that was asked to end is killed
_FLOCK = "hhqqi"  # l_type, l_whence, l_start, l_len, l_pid: fcntl_locking(2), on 64 bits


def _paths(folder: state.Folder) -> tuple[Path, Path]:
    """The address', and the lock's."""
    return folder.path / "console", folder.path / "console.lock"


@contextlib.contextmanager
def serving(folder: state.Folder) -> Iterator[bool]:
    """Hold the lock; False if another console serves the lab."""
    handle = os.open(_paths(folder)[1], os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            _paths(folder)[0].unlink(missing_ok=True)
            yield True
    finally:
        os.close(handle)


def write(folder: state.Folder, address: str) -> None:
    """Name the address to open next: each is good for one browser. Only who serves may do this."""
    files.replace(_paths(folder)[0], address.encode())


def address(folder: state.Folder) -> str:
    """The address to open next; empty if no console serves the lab."""
    if not _owner(folder):
        return ""
    try:
        return _paths(folder)[0].read_text()
    except FileNotFoundError:
        return ""  # it has just begun


def end(folder: state.Folder) -> bool:
    """End the console of the lab, and return when it is gone; False if there was none."""
    pid = _owner(folder)
    if not pid:
        return False
    with contextlib.suppress(ProcessLookupError):
        process = os.pidfd_open(pid)
        try:
            if _owner(folder) == pid:  # else the number may be another process' by now
                _end(process)
        finally:
            os.close(process)
    return True


def _end(process: int) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        signal.pidfd_send_signal(process, number)
        if select.select([process], [], [], PATIENCE)[0]:
            return


def _owner(folder: state.Folder) -> int:
    """The process that holds the lock; 0 if none does."""
    try:
        handle = os.open(_paths(folder)[1], os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, *_, pid = struct.unpack(_FLOCK, fcntl.fcntl(handle, fcntl.F_GETLK, asked))
        return int(pid) if kind != fcntl.F_UNLCK else 0
    finally:
        os.close(handle)
