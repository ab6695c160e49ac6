"""Runs a user's command inside a running lab: joins its namespaces and returns the exit status.

Works for the user who brought the lab up, and for root; no process of the lab is needed for it. In
a container the command has the container's limits, and neither the terminal nor the files of the
caller.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from weft import errors
from weft_lab import layout, relay
from weft_lab.kubelet import init, isolation, syscalls
from weft_lab.runtime import namespaces

KINDS = ("ipc", "uts", "net", "pid", "mnt")
NOT_FOUND, NOT_RUNNABLE, SIGNALLED = 127, 126, 128  # exit statuses as shells use them


def run(
    pid: int,
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    into: Sequence[str] = (),
    root: str = "",
    limits: Mapping[str, Any] | None = None,
) -> int:
    """Run `argv` in the namespaces of process `pid`; its exit status.

    `into`: namespace files to join after that, and `root`: a root folder to take then, both as
    processes there see them. `limits`: those of a container, as its pod's owner was ordered.
    """
    streams = None
    try:
        if limits is not None:
            # Whoever is in the container must not look into this process before it is confined.
            syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
            streams = relay.streams(isolation.outside(pid, limits))
        for space in namespaces.descend(pid, KINDS):
            namespaces.setns(space)
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
        _become(argv, env, into, root, limits, streams)
    if streams is None:
        return _status(_wait(child))
    return _status(streams.follow(child))


def _become(
    argv: Sequence[str],
    env: Mapping[str, str],
    into: Sequence[str],
    root: str,
    limits: Mapping[str, Any] | None,
    streams: relay.Streams | None,
) -> NoReturn:
    try:
        if streams is not None:
            streams.take()
        top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) if root else -1
        _be_root()
        namespaces.enter(into)
        if root:
            os.fchdir(top)
            os.chroot(".")
        os.chdir("/")
        if limits is not None:
            os.umask(0o022)
            init.bound(limits)
            isolation.confine(limits)
            os.chdir(limits.get("cwd") or "/")
        _execute(argv, env)
    except FileNotFoundError:
        os.write(2, f"weft lab exec: {argv[0]}: not found there\n".encode())
        os._exit(NOT_FOUND)
    except BaseException as error:
        why = error.strerror if isinstance(error, OSError) else error
        os.write(2, f"weft lab exec: {argv[0]}: {why}\n".encode())
        os._exit(NOT_RUNNABLE)


def _execute(argv: Sequence[str], env: Mapping[str, str]) -> NoReturn:
    """Replaces this process by the program. Raises FileNotFoundError if no folder of PATH has it.

    execvpe(3) raises PermissionError for that, too, if a folder of PATH may not be searched.
    """
    try:
        os.execvpe(argv[0], list(argv), dict(env))
    except PermissionError:
        folders = [""] if "/" in argv[0] else os.get_exec_path(env)
        if not any(os.path.exists(os.path.join(folder, argv[0])) for folder in folders):
            raise FileNotFoundError(argv[0]) from None
        raise


def _be_root() -> None:
    """Of the user namespace that was joined: the user outside may be none of its users."""
    if os.getresuid() != (0, 0, 0):
        with contextlib.suppress(PermissionError):  # where groups are fixed
            os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)


def _wait(child: int) -> int:
    """For its wait status; the terminal sends it its own Ctrl-C, and SIGTERM is passed on."""
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _: os.kill(child, number))
    return os.waitpid(child, 0)[1]


def _status(waited: int) -> int:
    code = os.waitstatus_to_exitcode(waited)
    return SIGNALLED - code if code < 0 else code


def node(name: str) -> tuple[str, ...]:
    """What to join for the node `name`."""
    return tuple(str(layout.namespace(name, kind)) for kind in layout.NAMESPACES)
