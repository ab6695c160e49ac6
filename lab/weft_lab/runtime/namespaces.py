"""Makes, keeps and enters Linux namespaces.

It makes the system calls, and knows no lab and no node. The process must have one thread.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

from weft import errors

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
PR_SET_NAME = 15
_NS_GET_USERNS, _NS_GET_PARENT = 0xB701, 0xB702

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    _check(_libc.unshare(flags), "unshare")


def setns(descriptor: int) -> None:
    _check(_libc.setns(descriptor, 0), "setns")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    result = _libc.mount(
        source.encode(), target.encode(), kind.encode() or None, flags, data.encode() or None
    )
    _check(result, f"mount {source} on {target}")


def rename_process(name: str) -> None:
    """What `ps` and /proc/PID/comm call this process; the kernel keeps 15 bytes."""
    _libc.prctl(PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def leave_host() -> None:
    """Put this process into namespaces of its own; its next child is process 1 in them.

    Root keeps its real privileges if it may; everybody else, and root in a container that may
    not, becomes root of a new user namespace that stands for the same user outside.
    """
    rest = CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS
    if os.geteuid() == 0:
        try:
            unshare(rest)
            return
        except PermissionError:
            pass
    uid, gid = os.geteuid(), os.getegid()
    try:
        unshare(CLONE_NEWUSER | rest)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    except OSError as error:
        raise refused(error) from error


# Settings that forbid user namespaces: where each is, the value that forbids, one that allows.
_SETTINGS = (
    ("user.max_user_namespaces", "0", "10000"),
    ("kernel.unprivileged_userns_clone", "0", "1"),
    ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
)


def refused(error: OSError) -> errors.Unavailable:
    """Why the machine refuses to make namespaces, as far as its settings show."""
    wrong = []
    for name, forbids, allows in _SETTINGS:
        with contextlib.suppress(OSError):
            if Path("/proc/sys", *name.split(".")).read_text().strip() == forbids:
                wrong.append(f"{name}={allows}")
    if wrong:
        hint = f"as root: sysctl -w {' '.join(wrong)}; or run weft as root"
    else:
        hint = "run weft as root; in a container, start that with --privileged"
    return errors.Unavailable(
        f"this user may not make user namespaces here ({error.strerror or error})",
        where="the lab's namespaces",
        hint=hint,
    )


def mount_private(run: str = "") -> None:
    """Private mounts, and a /run, /proc and /sys that belong to this process' namespaces.

    `run` is a folder to have as /run; without it /run is a new tmpfs and /proc is new too.
    """
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    if run:
        mount(run, "/run", flags=MS_BIND)
    else:
        mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
        mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    # Refused where the host hides parts of its own /sys; then the host's view stays, read-only
    # in effect, and nothing that the lab runs depends on it.
    with contextlib.suppress(OSError):
        mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC)


def make(hostname: str, run: str, kinds: Iterable[str]) -> dict[str, int]:
    """New network, host-name and mount namespaces; descriptors that keep those of `kinds` alive.

    This process is back in its own when the call returns.
    """
    with _returning(("net", "uts", "mnt")):
        unshare(CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWNS)
        socket.sethostname(hostname)
        mount_private(run)
        return {
            kind: os.open(f"/proc/self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in kinds
        }


@contextlib.contextmanager
def inside(path: str | os.PathLike[str]) -> Iterator[None]:
    """In the network namespace at `path`, for the making of a socket say."""
    with _returning(("net",)):
        enter([path])
        yield


@contextlib.contextmanager
def _returning(kinds: Iterable[str]) -> Iterator[None]:
    back = [os.open(f"/proc/self/ns/{kind}", os.O_RDONLY) for kind in kinds]
    try:
        yield
    finally:
        for descriptor in back:
            setns(descriptor)
            os.close(descriptor)


def descend(pid: int, kinds: Iterable[str]) -> list[int]:
    """Descriptors of a process' namespaces in the order in which they can be joined.

    A user namespace gives the right to join those that it owns; those of its parents come before
    it, for it has no right to them. Raises PermissionError for what lies in none of ours.
    """
    mine = os.stat("/proc/self/ns/user").st_ino
    spaces = {kind: os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in kinds}
    users = [os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)]
    while os.fstat(users[0]).st_ino != mine:
        users.insert(0, fcntl.ioctl(users[0], _NS_GET_PARENT))
    order = []
    for user in users:
        number = os.fstat(user).st_ino
        order += [user] if number != mine else []
        for kind, space in spaces.items():
            same = os.fstat(space).st_ino == os.stat(f"/proc/self/ns/{kind}").st_ino
            if not same and _owner(space) == number:
                order.append(space)
    return order


def _owner(space: int) -> int:
    """The number of the user namespace that owns a namespace; 0 where it is none of ours."""
    try:
        user = fcntl.ioctl(space, _NS_GET_USERNS)
    except PermissionError:
        return 0
    try:
        return os.fstat(user).st_ino
    finally:
        os.close(user)


def enter(paths: Iterable[str | os.PathLike[str]]) -> None:
    """Join each namespace. All are opened first: entering a mount namespace hides paths."""
    opened = [os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in paths]
    for descriptor in opened:
        setns(descriptor)
        os.close(descriptor)
