"""Runs a command in a container that runs already, as `kubectl exec` does.

The owner of a pod's processes forks it, so that it is in the pod's PID namespace, and ends with
the pod. It has the container's root, namespaces, user, capabilities and limits. The program uses
the standard library alone, as `init.py`, which imports it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from weft_lab.kubelet import consoles, isolation, syscalls

Json = Mapping[str, Any]
MOST = 64  # commands of a pod at one time
NOT_FOUND, NOT_RUNNABLE = 127, 126  # exit statuses as shells use them


@dataclass(frozen=True)
class Place:
    """The container of a command: its first process, 0 if none runs, and what binds it.

    `bound` sets the limits of `limits` that are no matter of namespaces.
    """

    container: str
    leader: int
    namespaces: Mapping[str, int]
    limits: Json
    bound: Callable[[Json], None]


class Commands:
    """The commands that run in the containers of one pod."""

    def __init__(self) -> None:
        self._running: dict[int, tuple[socket.socket, str]] = {}  # by process id

    def start(
        self, order: Json, files: Sequence[int], link: socket.socket, place: Place
    ) -> str | None:
        """Fork the command; why that is not possible, or None.

        `files` become its 0, 1 and 2. With a terminal, its near end is sent on `link`, and so is
        an error by the fork.
        """
        if not place.leader:
            return f"container {place.container} is not running"
        if len(self._running) >= MOST:
            return f"{MOST} commands run in this pod already"
        pid = os.fork()
        if pid == 0:
            _become(order, files, link, place)
        self._running[pid] = link, place.container
        return None

    def ended(self, pid: int) -> socket.socket | None:
        """Forget a command that was collected; the connection on which its end is told."""
        return self._running.pop(pid, (None, ""))[0]

    def closed(self, link: socket.socket) -> None:
        """Nobody hears of the command on this connection any more: end it."""
        for pid in [pid for pid, (other, _) in self._running.items() if other is link]:
            del self._running[pid]
            kill_session(pid)

    def end(self, container: str) -> None:
        """End the commands of a container that has ended."""
        for pid, (_, name) in list(self._running.items()):
            if name == container:
                kill_session(pid)


def kill_session(leader: int) -> None:
    """Kill a process and all of its session."""
    for member in _members(leader):
        with contextlib.suppress(ProcessLookupError):
            os.kill(member, signal.SIGKILL)


def _members(leader: int) -> list[int]:
    found = [leader]
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) in (1, leader):
            continue
        try:
            if os.getsid(int(entry)) == leader:
                found.append(int(entry))
        except ProcessLookupError:
            continue
    return found


def _become(order: Json, files: Sequence[int], link: socket.socket, place: Place) -> NoReturn:
    limits = place.limits
    argv = [str(each) for each in order["argv"]]
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for each in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(each, signal.SIG_DFL)
        # The pod's other processes must not inspect it before it is confined.
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
        _enter(place.leader, place.namespaces)
        env = {str(key): str(value) for key, value in limits["env"].items()}
        if order.get("tty"):
            consoles.take_terminal(consoles.make_terminal(link, limits))
            env.setdefault("TERM", "xterm")
        for number, descriptor in enumerate(files):
            os.dup2(descriptor, number)
        os.umask(0o022)
        place.bound(limits)
        isolation.confine(limits)
        os.chdir(limits.get("cwd") or "/")
        os.execvpe(argv[0], argv, env)
    except BaseException as error:
        missing = getattr(error, "errno", 0) == errno.ENOENT
        with contextlib.suppress(OSError):
            link.sendall(json.dumps({"error": _why(argv[0][:256], error)}).encode() + b"\n")
        os._exit(NOT_FOUND if missing else NOT_RUNNABLE)


def _why(program: str, error: BaseException) -> str:
    """In a container runtime's words, by which people know that `kubectl cp` needs tar."""
    if isinstance(error, FileNotFoundError) and "/" not in program:
        return f'exec: "{program}": executable file not found in $PATH'
    return f"{program}: {error.strerror if isinstance(error, OSError) else error}"


def _enter(leader: int, namespaces: Mapping[str, int]) -> None:
    """Join the namespaces of the pod and the mounts of the container, and take its root."""
    mounts = os.open(f"/proc/{leader}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    top = os.open(f"/proc/{leader}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    isolation.join(namespaces)
    syscalls.setns(mounts, syscalls.NEWNS)
    os.fchdir(top)
    os.chroot(".")
