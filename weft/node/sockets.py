"""Finds the sockets of this node's Open vSwitch daemons."""

from __future__ import annotations

from pathlib import Path

_USUAL = Path("/run/openvswitch")


def folder(database: str) -> Path:
    """Of vswitchd's sockets: the database's own, or the usual one where that is not here."""
    kind, _, path = database.partition(":")
    return Path(path).parent if kind == "unix" else _USUAL
