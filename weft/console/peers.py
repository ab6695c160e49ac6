"""Finds which user of the machine is at the other end of a connection on loopback.

Linux lists all TCP sockets with their owners in /proc/net/tcp and tcp6 (proc_net_tcp.rst): local
and remote address, in hexadecimal by 32-bit words of the host's byte order, and the uid.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from asyncio import BaseTransport
from pathlib import Path

from weft import errors

PROC = Path("/proc/net")
_UID = 7  # column
Address = tuple[str, int]


def owner(table: str, local: Address, remote: Address) -> int | None:
    """The uid of the socket from `local` to `remote` in the text of such a list; None if none."""
    expected = [_written(local), _written(remote)]
    for line in table.splitlines()[1:]:
        columns = line.split()
        if columns[1:3] == expected:
            return int(columns[_UID])
    return None


def _written(address: Address) -> str:
    packed = ipaddress.ip_address(address[0]).packed
    words = (packed[at : at + 4] for at in range(0, len(packed), 4))
    numbers = (int.from_bytes(word, sys.byteorder) for word in words)
    return "".join(f"{number:08X}" for number in numbers) + f":{address[1]:04X}"


def check(transport: BaseTransport | None) -> None:
    """Raise Refused unless the console's own user, or root, is at the other end.

    Nothing is checked where no such list is, as on other systems than Linux.
    """
    sock = transport.get_extra_info("socket") if transport is not None else None
    if sock is None:
        raise Refused("the connection has ended")
    name = "tcp6" if sock.family == socket.AF_INET6 else "tcp"
    try:
        table = (PROC / name).read_text()
    except OSError:
        return
    uid = owner(table, sock.getpeername()[:2], sock.getsockname()[:2])
    if uid not in (0, os.getuid()):
        whose = "nobody's that this machine lists" if uid is None else f"of the user with id {uid}"
        hint = "each user starts a console, or all log in at one that is started with --login"
        raise Refused(f"this console is another user's; the connection is {whose}", hint=hint)


class Refused(errors.WeftError):
    """Another user of the machine is at the other end."""
