"""Enters, creates, names and removes network namespaces.

A namespace belongs to a thread: a worker thread enters it, works, and returns to its own; the
event loop's thread never moves. Devices and addresses are in `weft.host.netlink`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ParamSpec, TypeVar

from weft import errors
from weft.host import uninterrupted

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_MS_BIND = 4096
_MNT_DETACH = 2
_HOME = "/proc/thread-self/ns/net"

P = ParamSpec("P")
T = TypeVar("T")


class Gone(errors.WeftError):
    """The namespace does not exist (any more)."""


def _call(name: str, *arguments: object) -> None:
    if getattr(_LIBC, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


@contextlib.contextmanager
def opened(path: str) -> Iterator[int]:
    """A descriptor of the namespace at `path`."""
    try:
        target = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise Gone(f"cannot be opened: {error.strerror}", where=f"netns {path}") from error
    try:
        yield target
    finally:
        os.close(target)


@contextlib.contextmanager
def entered(path: str) -> Iterator[None]:
    """This thread is in the namespace at `path` until the block ends."""
    home = os.open(_HOME, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with opened(path) as target:
            try:
                _call("setns", target, _CLONE_NEWNET)
            except OSError as error:
                what = f"is no network namespace: {error.strerror}"
                raise Gone(what, where=f"netns {path}") from error
        try:
            yield
        finally:
            _call("setns", home, _CLONE_NEWNET)
    finally:
        os.close(home)


async def run_inside(path: str, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `work` in a thread in the namespace; it runs to its end even if cancelled."""

    def enter() -> T:
        with entered(path):
            return work(*args, **kwargs)

    return await uninterrupted.in_thread(enter)


def identity(path: str) -> tuple[int, int] | None:
    """(device, inode), which identifies a namespace; None if nothing is at `path`."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def bind(source: str, path: Path) -> None:
    """Bind-mount the namespace at `source` (below /proc) to `path`, which keeps it alive."""
    path.touch(mode=0o600)
    try:
        _call("mount", source.encode(), str(path).encode(), b"none", _MS_BIND, None)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def unbind(path: Path) -> None:
    """Remove the mount; the namespace ends with its last process. A missing one is no error."""
    with contextlib.suppress(OSError):
        _call("umount2", str(path).encode(), _MNT_DETACH)
    path.unlink(missing_ok=True)


def make(path: Path) -> None:
    """Create an empty namespace at this path; it blocks, in a thread that ends afterwards."""
    failure: list[OSError] = []

    def work() -> None:
        try:
            _call("unshare", _CLONE_NEWNET)
            bind(_HOME, path)
        except OSError as error:
            failure.append(error)

    thread = threading.Thread(target=work, name="netns")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
