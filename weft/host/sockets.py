"""Finds the sockets of this node's Open vSwitch daemons."""

from __future__ import annotations

import socket
from pathlib import Path

from weft import errors

_USUAL = Path("/run/openvswitch")


def folder(database: str) -> Path:
    """Returns the folder of vswitchd's sockets: that of the database's unix socket, else the usual.

    `database`: an OVSDB address, such as "unix:/run/openvswitch/db.sock".
    """
    kind, _, path = database.partition(":")
    return Path(path).parent if kind == "unix" else _USUAL


def management(database: str, bridge: str) -> Path:
    """Returns a bridge's management socket, beside that of the database."""
    return folder(database) / f"{bridge}.mgmt"


def accepts(path: Path) -> bool:
    """Whether a process listens on a unix socket, or may: one of another user, which refuses us."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as sock:
        try:
            sock.connect(str(path))
        except PermissionError:
            return True
        except OSError:
            return False
    return True


def control(folder: Path) -> Path:
    """Returns vswitchd's control socket, which has its PID in its name."""
    try:
        pid = (folder / "ovs-vswitchd.pid").read_text().strip()
    except OSError as error:
        raise errors.Unavailable(
            error.strerror or str(error), where=f"{folder}/ovs-vswitchd.pid"
        ) from error
    return folder / f"ovs-vswitchd.{pid}.ctl"
