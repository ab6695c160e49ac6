"""Waits, inside a namespace, until the kernel has a route for an IPv6 prefix. A program:

python routes.py PREFIX SECONDS      ends well as soon as /proc/net/ipv6_route has it
"""

from __future__ import annotations

import ipaddress
import select
import socket
import sys
import time
from pathlib import Path

_RTMGRP_IPV6_ROUTE = 0x400


def main() -> int:
    prefix, end = ipaddress.IPv6Network(sys.argv[1]), time.monotonic() + float(sys.argv[2])
    wanted = f"{prefix.network_address.packed.hex()} {prefix.prefixlen:02x} "
    changes = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    changes.bind((0, _RTMGRP_IPV6_ROUTE))
    while not any(line.startswith(wanted) for line in _routes()):
        if not select.select([changes], [], [], max(end - time.monotonic(), 0))[0]:
            return 1
        changes.recv(1 << 16)
    return 0


def _routes() -> list[str]:
    """Those of real devices: the loopback holds a copy of each local address."""
    lines = Path("/proc/net/ipv6_route").read_text().splitlines()
    return [line for line in lines if not line.endswith(" lo")]


if __name__ == "__main__":
    sys.exit(main())
