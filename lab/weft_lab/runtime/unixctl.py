"""Calls a daemon of the lab by its control socket, however long the socket's path is."""

from __future__ import annotations

from pathlib import Path

from weft.host import unixctl
from weft_lab import state


async def call(path: Path, method: str, *arguments: str) -> str:
    """The daemon's answer; WeftError if it refuses or does not answer."""
    with state.short(path) as name:
        return await unixctl.call(name, method, *arguments)
