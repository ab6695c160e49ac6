"""Moves the default route of a pod that asks for `default-route`.

The interface of that selection element gets the default route of the families of its gateways, and
no other interface keeps one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from socket import AF_INET, AF_INET6

from pyroute2.netlink.exceptions import NetlinkError

from weft import model
from weft.host import netlink, netns, routing

_FAMILIES = {4: AF_INET, 6: AF_INET6}
_EVERYTHING = {4: "0.0.0.0/0", 6: "::/0"}


async def move_default(path: str, interface: str, gateways: Sequence[model.Address]) -> None:
    """Make `gateways`, through `interface`, the pod's only default routes of their families."""
    await netns.run_inside(path, _move, interface, gateways)


def _move(interface: str, gateways: Sequence[model.Address]) -> None:
    with netlink.opened(f"default route through {interface}") as route:
        for family in {_FAMILIES[gateway.version] for gateway in gateways}:
            for _ in list(route.get_default_routes(family=family)):
                with contextlib.suppress(NetlinkError):
                    route.route("del", dst="default", family=family)
    routes = [(_EVERYTHING[gateway.version], str(gateway)) for gateway in gateways]
    routing.ensure(interface, routing.Routing(routes=tuple(routes)))
