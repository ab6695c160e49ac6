"""Says when links, addresses and routes of a node come and go. A program, run inside a node.

Until its standard input ends; then one JSON list of seconds of a monotonic clock.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import sys
import time

_LINK, _ADDRESS, _ROUTE, _ADDRESS6, _ROUTE6 = 0x1, 0x10, 0x40, 0x100, 0x400  # RTMGRP_...


def main() -> None:
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    made.bind((0, _LINK | _ADDRESS | _ROUTE | _ADDRESS6 | _ROUTE6))
    seen: list[float] = []
    print("started", flush=True)
    while True:
        ready, _, _ = select.select([made, sys.stdin], [], [])
        if made in ready:
            with contextlib.suppress(OSError):  # more came than it holds
                made.recv(1 << 16)
            seen.append(time.monotonic())
        elif not sys.stdin.readline():
            json.dump(seen, sys.stdout)
            return


if __name__ == "__main__":
    main()
