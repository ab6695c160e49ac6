"""The default route of a pod whose selection asks for another one than the cluster's.

The question answered here: what does `default-route` of a selection element do? The element's
interface gets the default route of the families of its gateways, and no other interface keeps one.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Sequence

from pyroute2.netlink.exceptions import NetlinkError

from weft import model
from weft.host import netlink, netns

_FAMILIES = {4: 2, 6: 10}


async def move_default(path: str, interface: str, gateways: Sequence[model.Address]) -> None:
    """Make `gateways`, through `interface`, the pod's only default routes of their families."""
    await netns.run_inside(path, _move, interface, gateways)


def _move(interface: str, gateways: Sequence[model.Address]) -> None:
    with netlink.opened(f"default route through {interface}") as route:
        index = netlink.find(route, interface)
        for gateway in gateways:
            family = _FAMILIES[gateway.version]
            for entry in list(route.get_default_routes(family=family)):
                with contextlib.suppress(NetlinkError):
                    route.route(
                        "del",
                        dst="default",
                        family=family,
                        oif=entry.get_attr("RTA_OIF"),
                        gateway=entry.get_attr("RTA_GATEWAY"),
                    )
            try:
                route.route("add", dst="default", family=family, gateway=str(gateway), oif=index)
            except NetlinkError as error:
                if error.code != errno.EEXIST:
                    raise
