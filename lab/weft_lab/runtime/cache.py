"""Finds the folder of what the lab downloads, and locks it for those who change it.

Everything in the cache can be fetched again; no state of a lab is in it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from weft import errors


def folder() -> Path:
    """`$WEFT_CACHE`, else `$XDG_CACHE_HOME/weft`, else `~/.cache/weft`; made if absent."""
    chosen = os.environ.get("WEFT_CACHE")
    if not chosen:
        parent = os.environ.get("XDG_CACHE_HOME") or os.path.join(Path.home(), ".cache")
        chosen = os.path.join(parent, "weft")
    path = Path(chosen).absolute()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise errors.Unavailable(
            f"the cache folder cannot be made ({error.strerror})",
            where=str(path),
            hint="set WEFT_CACHE to a folder that you can write to",
        ) from error
    return path


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Lock `path`; a second process waits. The lock ends with the process at the latest."""
    with open(path, "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def require_space(path: Path, needed: int) -> None:
    """Raise Unavailable if the disk has less than `needed` bytes free."""
    free = shutil.disk_usage(path).free
    if free < needed:
        raise errors.Unavailable(
            f"{needed / 1e6:.0f} MB are needed and {free / 1e6:.0f} MB are free",
            where=str(path),
            hint="free some space, or set WEFT_CACHE to a folder on another disk",
        )
