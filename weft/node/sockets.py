"""Finds the sockets of this node's Open vSwitch daemons."""

from __future__ import annotations

from pathlib import Path

_USUAL = Path("/run/openvswitch")


def folder(database: str) -> Path:
    """Returns the folder of vswitchd's sockets: that of the database's unix socket, else the usual.

    `database`: an OVSDB address, such as "unix:/run/openvswitch/db.sock".
    """
    kind, _, path = database.partition(":")
    return Path(path).parent if kind == "unix" else _USUAL
