"""How does a user's command get into a running lab? Joins its namespaces, runs there, comes back.

Works for the user who brought the lab up, and for root. Nothing in the lab takes part in it.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from typing import NoReturn

from weft import errors
from weft.lab import layout
from weft.lab.runtime import namespaces

# The user namespace first, for the right to join the others; the mounts last, for they hide /proc.
KINDS = ("user", "ipc", "uts", "net", "pid", "mnt")
NOT_FOUND, NOT_RUNNABLE, SIGNALLED = 127, 126, 128  # exit statuses as shells use them


def run(
    pid: int,
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    into: Sequence[str] = (),
    root: str = "",
) -> int:
    """Run `argv` in the namespaces of process `pid`; its exit status.

    `into`: namespace files to join after that, and `root`: a root folder to take then, both as
    processes there see them.
    """
    joined = [f"/proc/{pid}/ns/{kind}" for kind in KINDS if not _same(pid, kind)]
    try:
        namespaces.enter(joined)
    except PermissionError:
        raise errors.Unavailable(
            "it belongs to another user",
            where="this lab",
            hint="run weft as the user who started it",
        ) from None
    except (FileNotFoundError, ProcessLookupError):
        raise errors.Unavailable("it has just ended", where="this lab") from None
    child = os.fork()  # only a child is in the PID namespace
    if child == 0:
        _become(argv, env, into, root)
    return _follow(child)


def _same(pid: int, kind: str) -> bool:
    """Joining one's own user namespace is refused by the kernel."""
    with contextlib.suppress(OSError):
        mine, theirs = os.stat(f"/proc/self/ns/{kind}"), os.stat(f"/proc/{pid}/ns/{kind}")
        return mine.st_ino == theirs.st_ino
    return False


def _become(
    argv: Sequence[str], env: Mapping[str, str], into: Sequence[str], root: str
) -> NoReturn:
    try:
        top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) if root else -1
        namespaces.enter(into)
        if root:
            os.fchdir(top)
            os.chroot(".")
        os.chdir("/")
        os.execvpe(argv[0], list(argv), dict(env))
    except FileNotFoundError:
        os.write(2, f"weft lab exec: {argv[0]}: not found there\n".encode())
        os._exit(NOT_FOUND)
    except OSError as error:
        os.write(2, f"weft lab exec: {argv[0]}: {error.strerror}\n".encode())
        os._exit(NOT_RUNNABLE)


def _follow(child: int) -> int:
    """Wait for it; the terminal sends it its own Ctrl-C, and SIGTERM is passed on."""
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _: os.kill(child, number))
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return SIGNALLED - code if code < 0 else code


def node(name: str) -> tuple[str, ...]:
    """What to join for the node `name`."""
    return tuple(str(layout.namespace(name, kind)) for kind in layout.NAMESPACES)
