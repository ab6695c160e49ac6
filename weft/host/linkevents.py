"""Receives link events of one network namespace through a socket that becomes readable."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator

from weft.host import netns

# rtnetlink(7)
_RTMGRP_LINK, _RTMGRP_IPV4_IFADDR, _RTMGRP_IPV6_IFADDR = 0x1, 0x10, 0x100
_RTM_NEWLINK, _RTM_DELLINK, _RTM_DELADDR = 16, 17, 21
_IFF_UP = 0x1
_AT_ONCE = 256  # datagrams in one call; a pod can cause any number
_LARGEST = 1 << 16
# Length and type from nlmsghdr, then index and flags from ifinfomsg; ifaddrmsg has its index there.
_MESSAGE = struct.Struct("=IH10x4xiI4x")


def opened(namespace: str, *, addresses: bool = False) -> socket.socket:
    """A socket for the namespace's link events; call it in a worker thread.

    It keeps the namespace alive until it is closed. `addresses`: removed addresses are events, too.
    """
    groups = _RTMGRP_LINK
    if addresses:
        groups |= _RTMGRP_IPV4_IFADDR | _RTMGRP_IPV6_IFADDR
    with netns.entered(namespace):
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        events = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
        try:
            events.bind((0, groups))
        except OSError:
            events.close()
            raise
        return events


def links_down(events: socket.socket) -> Iterator[int]:
    """Indexes of links that went down, disappeared or lost an address since the last call.

    0 means that events were lost. It reads a bounded number of messages (rtnetlink(7), struct
    nlmsghdr, ifinfomsg and ifaddrmsg).
    """
    for _ in range(_AT_ONCE):
        try:
            data = events.recv(_LARGEST)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:  # the socket's buffer overflowed
                raise
            yield 0
            continue
        while len(data) >= _MESSAGE.size:
            length, kind, index, flags = _MESSAGE.unpack_from(data)
            gone = kind in (_RTM_DELLINK, _RTM_DELADDR)
            if gone or (kind == _RTM_NEWLINK and not flags & _IFF_UP):
                yield index
            data = data[max(length + 3 & ~3, _MESSAGE.size) :]
