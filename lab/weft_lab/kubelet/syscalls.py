"""Makes system calls for a pod's first processes, with the standard library alone.

Numbers are those of x86_64; the lab runs on no other architecture.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
from collections.abc import Iterable

NEWNS, NEWUTS, NEWIPC, NEWUSER = 0x20000, 0x4000000, 0x8000000, 0x10000000
NEWPID, NEWNET = 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND = 1, 2, 4, 8, 4096
MS_REC, MS_PRIVATE = 16384, 1 << 18
MS_REMOUNT = 32
MNT_DETACH = 2
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV, ATTR_NOEXEC = 1, 2, 4, 8
RESOLVE_NO_MAGICLINKS, RESOLVE_BENEATH = 2, 8
PR_SET_PDEATHSIG, PR_SET_NAME, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 15, 24, 38
PR_SET_DUMPABLE = 4

_CLONE, _PIVOT_ROOT, _OPENAT2, _MOUNT_SETATTR, _CAPSET = 56, 155, 437, 442, 126
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_CAPABILITY_VERSION = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)
# PyDLL holds the interpreter's lock during the call: a clone's child continues in it.
_raw = ctypes.PyDLL(None, use_errno=True)


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    fields = [text.encode() or None for text in (source, target, kind)]
    _check(
        _libc.mount(*fields, ctypes.c_ulong(flags), data.encode() or None),
        f"mount {source} on {target}",
    )


def restrict(target: str, attributes: int) -> None:
    """Add attributes to a mount and all mounts below it (mount_setattr(2))."""
    fields = struct.pack("=QQQQ", attributes, 0, 0, 0)
    result = _libc.syscall(
        _MOUNT_SETATTR, _AT_FDCWD, target.encode(), _AT_RECURSIVE, fields, len(fields)
    )
    _check(result, f"mount_setattr {target}")


def take_root(folder: str) -> None:
    """Make the mount at `folder` the root, and unmount the old root (pivot_root(2))."""
    os.chdir(folder)
    _check(_libc.syscall(_PIVOT_ROOT, b".", b"."), f"pivot_root {folder}")
    _check(_libc.umount2(b".", MNT_DETACH), "umount of the former root")
    os.chdir("/")


def unshare(flags: int) -> None:
    _check(_libc.unshare(flags), "unshare")


def setns(descriptor: int, kind: int) -> None:
    _check(_libc.setns(descriptor, kind), "setns")


def clone(flags: int) -> int:
    """Fork into new namespaces; return 0 in the child. Only for a process with one thread."""
    python = ctypes.pythonapi
    python.PyOS_BeforeFork()
    pid = int(_raw.syscall(_CLONE, ctypes.c_ulong(flags | signal.SIGCHLD), 0, 0, 0, 0))
    if pid == 0:
        python.PyOS_AfterFork_Child()
        return 0
    number = ctypes.get_errno()
    python.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(number, f"clone: {os.strerror(number)}")
    return pid


def open_beneath(folder: int, path: str, flags: int) -> int:
    """Open a file below a folder; no link and no `..` may lead out of it (openat2(2))."""
    how = struct.pack("=QQQ", flags, 0, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)
    result = _libc.syscall(_OPENAT2, folder, os.fsencode(path), how, len(how))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return int(result)


def prctl(option: int, argument: int | bytes) -> None:
    value = argument if isinstance(argument, bytes) else ctypes.c_ulong(argument)
    _check(_libc.prctl(option, value, 0, 0, 0), f"prctl {option}")


def bound_capabilities(kept: Iterable[int]) -> None:
    """Limit the capabilities that this process and its children can ever gain."""
    with open("/proc/sys/kernel/cap_last_cap") as file:
        last = int(file.read())
    for number in set(range(last + 1)) - set(kept):
        prctl(PR_CAPBSET_DROP, number)


def set_capabilities(numbers: Iterable[int]) -> None:
    """Set this process's permitted and effective capabilities; none is inherited."""
    mask = sum(1 << number for number in set(numbers))
    header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    data = struct.pack("=6I", low, low, 0, high, high, 0)
    _check(_libc.syscall(_CAPSET, header, data), "capset")
