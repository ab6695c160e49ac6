"""Writes files atomically, and opens files safely in folders that others write to."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def replace(path: Path, data: bytes) -> None:
    """Replace a file atomically; only its owner may read it."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(fresh, flags, 0o600), "wb") as file:
            file.write(data)
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise


def regular_file(path: str, flags: int) -> int:
    """An opener for `open(…, opener=regular_file)`: raises OSError for any other kind of file."""
    handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "is not a regular file", path)
    return handle
