"""Keeps the standard input of containers that have one, and the terminals of those with `tty`.

Used by the owner of a pod's processes, in its loop. What a container writes to its terminal goes to
its log, as the output of other containers does by itself. The standard library alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import socket
import termios
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]
CHUNK = 1 << 16


def make_terminal(link: socket.socket, limits: Json) -> int:
    """Make a terminal in the caller's root, send its near end on `link`; the far end."""
    near, far = os.openpty()
    with contextlib.suppress(PermissionError):
        os.fchown(far, limits.get("uid") or 0, limits.get("gid") or 0)
    socket.send_fds(link, [b'{"screen": true}\n'], [near])
    os.close(near)
    return far


def take_terminal(far: int) -> None:
    """Have the terminal as standard files, and as the one that controls this session."""
    for number in range(3):
        os.dup2(far, number)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@dataclass
class _Console:
    """`feed` is a pipe's end, or, with a log, a terminal's near end; -1 if nobody may write."""

    feed: int
    once: bool
    log: int = -1
    left: int = 0  # bytes that may still go to the log


class Consoles:
    """Those of the containers of one pod."""

    def __init__(self, poll: select.poll) -> None:
        self._poll = poll
        self._consoles: dict[str, _Console] = {}

    def add(self, name: str, request: Json, feed: int, log: int) -> None:
        """Keep a container's; `log` is its own descriptor for a terminal, else -1."""
        self.end(name)
        if feed < 0:
            return
        limit = request.get("longest_file") or 1 << 62
        once = bool(request.get("stdin_once"))
        self._consoles[name] = _Console(feed, once, log, limit)
        if log >= 0:
            os.set_blocking(feed, False)
            self._poll.register(feed, select.POLLIN)

    def copy(self, descriptor: int) -> bool:
        """Copy what a terminal shows to its log; whether the descriptor is one."""
        for console in self._consoles.values():
            if console.feed == descriptor and console.log >= 0:
                if not _copy(console):
                    self._poll.unregister(descriptor)
                    os.close(console.log)
                    console.log = -1
                return True
        return False

    def attach(self, name: str) -> tuple[dict[str, Any], int]:
        """What to tell a client, and what it writes to; -1 if the container does not read."""
        console = self._consoles.get(name)
        if console is None or console.feed < 0:
            return {"attached": False}, -1
        given = os.dup(console.feed)
        if console.once and console.log < 0:
            os.close(console.feed)  # the client's is the last one now
            console.feed = -1
        return {"attached": True, "tty": console.log >= 0}, given

    def end(self, name: str) -> None:
        """The container has ended."""
        console = self._consoles.pop(name, None)
        if console is None:
            return
        if console.log >= 0:
            while _copy(console):
                if not select.select([console.feed], [], [], 0)[0]:
                    break
            self._poll.unregister(console.feed)
            os.close(console.log)
        if console.feed >= 0:
            os.close(console.feed)


def _copy(console: _Console) -> bool:
    """Whether more may come."""
    try:
        data = os.read(console.feed, CHUNK)
    except BlockingIOError:
        return True
    except OSError:
        data = b""
    with contextlib.suppress(OSError):  # a full disk costs the log, and not the pod
        os.write(console.log, data[: max(console.left, 0)])
    console.left -= len(data)
    return bool(data)


def collect(link: socket.socket) -> tuple[str, int]:
    """What a fork says until it becomes the container, and the near end of its terminal or -1."""
    message, screen = b"", -1
    while True:
        data, files, _, _ = socket.recv_fds(link, 4096, 1, socket.MSG_CMSG_CLOEXEC)
        screen = files[0] if files else screen
        message += b"" if files else data
        if not data:
            return message.decode(errors="replace"), screen
