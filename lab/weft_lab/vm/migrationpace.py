"""Tells QEMU how to send a machine: how fast, and how much of it while the guest stands still.

QEMU sends memory while the guest runs, in rounds: each has what was written during the last one. It
stops the guest as soon as the rest takes no longer than its downtime limit, at the speed it has
now, and no later: with the 300 ms that it begins with, a guest that writes nothing stands still for
most of that time. So the limit is low at first, and twice as much with each round that misses it.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

from weft_lab.vm import qmpsession

LEAST = 5  # milliseconds
MOST = 300  # QEMU's own: a guest that writes much moves as it did, some rounds of this length later
GRACE = 3  # rounds that have the least: all memory, what was written meanwhile, and that again
BUFFER = 1 << 19  # bytes; Linux makes twice as much of it


def limit(round_: int) -> int:
    """How long QEMU may send to the target while the guest stands still, in that round."""
    return int(min(LEAST << min(max(round_ - GRACE, 0), 16), MOST))


async def begin(session: qmpsession.Session, settings: Mapping[str, Any], *, copies: bool) -> None:
    """Before it sends. With `copies` of disks it waits until they are let go, its guest stopped."""
    capabilities = {
        "events": True,
        "pause-before-switchover": copies,
        "auto-converge": bool(settings.get("allowAutoConverge")),
    }
    await session.execute(
        "migrate-set-capabilities",
        capabilities=[{"capability": name, "state": on} for name, on in capabilities.items()],
    )
    bandwidth = int(settings.get("bandwidthPerMigration") or 0) or 1 << 50
    await session.execute("migrate-set-parameters", max_bandwidth=bandwidth, downtime_limit=LEAST)


async def follow(session: qmpsession.Session, round_: object) -> None:
    """When it begins another round."""
    if type(round_) is int and limit(round_) != limit(round_ - 1):
        await session.execute("migrate-set-parameters", downtime_limit=limit(round_))


def keep_short(connection: socket.socket) -> None:
    """Have the kernel hold little between two QEMUs: while the guest stands still, the target takes
    in what has left the source already."""
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        connection.setsockopt(socket.SOL_SOCKET, option, BUFFER)
