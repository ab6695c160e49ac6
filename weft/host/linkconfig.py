"""Copies the configuration of one device to another: addresses, routes and settings.

When a pod's port is dead, weft replaces its device and keeps what the pod has configured itself.

Works in the network namespace of its thread, like `weft.host.netlink`.
"""

from __future__ import annotations

import contextlib
import errno
from dataclasses import dataclass, replace
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError

from weft.host import netlink

_SETTINGS = (
    (
        "ipv6",
        (
            "disable_ipv6",
            "addr_gen_mode",
            "accept_dad",
            "dad_transmits",
            "accept_ra",
            "keep_addr_on_down",
        ),
    ),
    ("ipv4", ("arp_ignore", "arp_announce", "rp_filter")),
)
_IFF_UP, _IFF_LOWER_UP = 0x1, 0x10000
_RTPROT_KERNEL = 2
_IFA_F_NODAD = 0x02


@dataclass(frozen=True, slots=True)
class Route:
    """A route of a device; `gateway` is empty if the destination is on the link."""

    family: int
    table: int
    destination: str
    gateway: str


@dataclass(frozen=True, slots=True)
class Device:
    """A device's configuration without its index; `master` is its bridge.

    `connected`: it has a carrier, so the other end is alive.
    """

    name: str
    mac: str
    mtu: int
    up: bool
    connected: bool
    master: int
    addresses: tuple[tuple[int, str, int], ...]
    routes: tuple[Route, ...]
    settings: tuple[tuple[str, str], ...]


def capture(name: str) -> Device | None:
    """The configuration of a device; None if there is no such device."""
    with netlink.opened(f"device {name}") as route:
        index = netlink.find(route, name)
        if not index:
            return None
        link = next(iter(route.get_links(index)))
        return Device(
            name=name,
            mac=link.get_attr("IFLA_ADDRESS"),
            mtu=link.get_attr("IFLA_MTU"),
            up=bool(link["flags"] & _IFF_UP),
            connected=bool(link["flags"] & _IFF_LOWER_UP),
            master=link.get_attr("IFLA_MASTER") or 0,
            addresses=tuple(_addresses(route, index)),
            routes=tuple(_routes(route, index)),
            settings=tuple(_settings(name)),
        )


def _addresses(route: Any, index: int) -> list[tuple[int, str, int]]:
    """The addresses that the kernel does not derive from the MAC by itself."""
    found = []
    for entry in route.get_addr(index=index):
        address = entry.get_attr("IFA_LOCAL") or entry.get_attr("IFA_ADDRESS")
        if not address.startswith("fe80:"):
            found.append((entry["family"], address, entry["prefixlen"]))
    return found


def _routes(route: Any, index: int) -> list[Route]:
    found = []
    for entry in route.get_routes(oif=index):
        if entry["proto"] == _RTPROT_KERNEL:
            continue
        destination = entry.get_attr("RTA_DST")
        found.append(
            Route(
                family=entry["family"],
                table=entry.get_attr("RTA_TABLE") or entry["table"],
                destination=f"{destination}/{entry['dst_len']}" if destination else "default",
                gateway=entry.get_attr("RTA_GATEWAY") or "",
            )
        )
    return found


def _settings(name: str) -> list[tuple[str, str]]:
    found = []
    for family, settings in _SETTINGS:
        for setting in settings:
            path = f"net/{family}/conf/{name}/{setting}"
            with contextlib.suppress(OSError):
                found.append((path, netlink.sysctl(path).read_text().strip()))
    return found


def restore(device: Device) -> None:
    """Configure the device that now has this name as it was captured."""
    for path, value in device.settings:
        netlink.set_sysctl(path, value, optional=True)
    with netlink.opened(f"device {device.name}") as route:
        index = netlink.find(route, device.name)
        route.link("set", index=index, address=device.mac, mtu=device.mtu)
        if device.master:
            route.link("set", index=index, master=device.master)
        if device.up:
            route.link("set", index=index, state="up")
        for family, address, length in device.addresses:
            _add(route.addr, "add", index=index, family=family, address=address, prefixlen=length)
        for entry in sorted(device.routes, key=lambda r: bool(r.gateway)):
            extra = {"gateway": entry.gateway} if entry.gateway else {}
            _add(
                route.route,
                "add",
                family=entry.family,
                table=entry.table,
                dst=entry.destination,
                oif=index,
                **extra,
            )


def _add(request: Any, *args: object, **fields: Any) -> None:
    if ":" in str(fields.get("address", "")):
        fields["flags"] = _IFA_F_NODAD
    try:
        request(*args, **fields)
    except NetlinkError as error:
        if error.code != errno.EEXIST:
            raise


def renamed(device: Device, name: str) -> Device:
    """The same configuration for a device of another name, with settings of its own."""
    return replace(device, name=name, up=True, settings=())


def strip(name: str) -> None:
    """Remove the addresses of a device, and with them its routes; it stays up."""
    with netlink.opened(f"device {name}") as route:
        index = netlink.find(route, name)
        if index:
            route.flush_addr(index=index)
            route.link("set", index=index, state="up")
