"""Leases a guest behind its pod its IPv6 address, with the node agent's own DHCPv6 (ADR 0074)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from ipaddress import IPv6Address

from weft.host import rawsocket
from weft.node import budget
from weft.ovn import dhcpv6

_NOTHING = 0  # an unused ICMPv6 type: this server receives UDP only
_AT_ONCE = 64  # messages that are read before other work has its turn


@contextlib.contextmanager
def leases(
    bridge: str, mac: str, address: IPv6Address, settings: dhcpv6.Settings
) -> Iterator[None]:
    """Answers on `bridge`, for as long as the block runs, the guest of this MAC alone."""
    accepted = rawsocket.icmpv6_or_udp(_NOTHING, dhcpv6.SERVER_PORT, [mac])
    left = budget.Budget()
    loop = asyncio.get_running_loop()

    def answer_all() -> None:
        with contextlib.suppress(OSError):  # nothing more is there; or no room for an answer
            for _ in range(_AT_ONCE):
                query = dhcpv6.parse(door.recv(2048))
                if query is None or query.mac != mac or not left.spend(mac, loop.time()):
                    continue
                message = dhcpv6.answer(query, address, settings)
                if message is not None:
                    door.send(message)

    with rawsocket.open(bridge, accepted) as door:
        loop.add_reader(door.fileno(), answer_all)
        try:
            yield
        finally:
            loop.remove_reader(door.fileno())
