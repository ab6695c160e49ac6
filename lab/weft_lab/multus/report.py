"""Makes the `network-status` entry of one interface of a pod.

Pure: from the plugin's result and the pod's selection. As the multi-network specification
says, `default` marks the default network (or what the pod chose in its place), even if the default
route leaves by another interface; `gateway` is the next hop of a default route.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

from weft import model, names
from weft.api import status


def entry(
    name: str, interface: str, result: Mapping[str, Any], leading: model.Attachment | None
) -> status.NetworkStatus:
    """`leading` is the attachment that asked for the pod's default route, if one did.

    A result before version 1.1.0 does not say the MTU: it is 0 then.
    """
    inside: Mapping[str, Any] = next(
        (
            each
            for each in result.get("interfaces") or ()
            if each.get("name") == interface and each.get("sandbox")
        ),
        {},
    )
    return status.NetworkStatus(
        name=name,
        interface=interface,
        ips=tuple(ip_interface(each["address"]).ip for each in result.get("ips") or ()),
        mac=inside.get("mac", ""),
        mtu=inside.get("mtu", 0),
        default=interface == names.DEFAULT_INTERFACE,
        dns=result.get("dns") or {},
        gateway=_gateways(interface, result, leading),
    )


def _gateways(
    interface: str, result: Mapping[str, Any], leading: model.Attachment | None
) -> tuple[str, ...]:
    """The next hops of the pod's default routes through this interface."""
    chosen = leading.default_route if leading is not None else ()
    moved = {gateway.version for gateway in chosen}
    kept = (gateway for gateway in _leaving(result) if gateway.version not in moved)
    mine = chosen if leading is not None and leading.interface == interface else ()
    return tuple(map(str, (*kept, *mine)))


def _leaving(result: Mapping[str, Any]) -> Iterable[model.Address]:
    """The gateways of the result's default routes; one that names none has its address's."""
    for route in result.get("routes") or ():
        dest = ip_network(route["dst"], strict=False)
        if dest.prefixlen:
            continue
        own = (
            each["gateway"]
            for each in result.get("ips") or ()
            if each.get("gateway") and ip_interface(each["address"]).version == dest.version
        )
        gateway = route.get("gw") or next(own, "")
        if gateway:
            yield ip_address(gateway)
