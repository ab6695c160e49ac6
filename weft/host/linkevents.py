"""Events of the links in one network namespace, as a socket that becomes readable."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator

from weft.host import netns

_RTMGRP_LINK = 1  # rtnetlink(7)
_RTM_NEWLINK, _RTM_DELLINK = 16, 17
_IFF_UP = 0x1
_AT_ONCE = 256  # datagrams; a pod may make any number
_LARGEST = 1 << 16
# nlmsghdr's length and type; then of ifinfomsg the index and flags.
_MESSAGE = struct.Struct("=IH10x4xiI4x")


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


def downs(events: socket.socket) -> Iterator[int]:
    """Indexes of links that were down, or went, since the last call; 0 when some news was lost.

    Reads a bounded number of messages (rtnetlink(7), struct nlmsghdr and ifinfomsg).
    """
    for _ in range(_AT_ONCE):
        try:
            data = events.recv(_LARGEST)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:  # more came than the socket holds
                raise
            yield 0
            continue
        while len(data) >= _MESSAGE.size:
            length, kind, index, flags = _MESSAGE.unpack_from(data)
            if kind == _RTM_DELLINK or (kind == _RTM_NEWLINK and not flags & _IFF_UP):
                yield index
            data = data[max(length + 3 & ~3, _MESSAGE.size) :]
