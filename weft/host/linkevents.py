"""Events of the links in one network namespace, as a socket that becomes readable."""

from __future__ import annotations

import contextlib
import errno
import socket

from weft.host import netns

_RTMGRP_LINK = 1  # rtnetlink(7)
_AT_ONCE = 256  # messages; a pod may make any number


def opened(namespace: str) -> socket.socket:
    """Call it in a worker thread. The socket keeps the namespace alive until it is closed."""
    with netns.entered(namespace):
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        events = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
        try:
            events.bind((0, _RTMGRP_LINK))
        except OSError:
            events.close()
            raise
        return events


def drain(events: socket.socket) -> None:
    """Read away what has come, a bounded number at once; what it says does not matter."""
    with contextlib.suppress(BlockingIOError):
        for _ in range(_AT_ONCE):
            try:
                events.recv(1)
            except OSError as error:
                if error.errno != errno.ENOBUFS:  # more came than the socket holds
                    raise
