"""Configures devices, addresses, routes and sysctls by netlink; the only user of pyroute2.

Every function works in the network namespace of its thread (see `weft.host.netns`) and blocks for
well under a millisecond per request.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from pathlib import Path
from socket import AF_INET, AF_INET6
from typing import Any

from pyroute2 import GenericNetlinkSocket, IPRoute
from pyroute2.netlink import genlmsg
from pyroute2.netlink.exceptions import NetlinkError

from weft import errors

Interface = IPv4Interface | IPv6Interface
_IFA_F_NODAD = 0x02
_IFF_UP = 0x1


@dataclass(frozen=True, slots=True)
class Link:
    """A device as it is."""

    index: int
    name: str
    mac: str
    mtu: int
    up: bool
    addresses: tuple[Interface, ...] = ()
    routes: frozenset[str] = frozenset()


class Failed(errors.Unavailable):
    """The kernel refused a request."""


@contextlib.contextmanager
def opened(what: str) -> Iterator[Any]:
    """A netlink socket in this thread's namespace; `what` names the object in errors."""
    try:
        with IPRoute() as route:
            yield route
    except NetlinkError as error:
        raise Failed(os.strerror(error.code), where=what) from error
    except OSError as error:
        raise Failed(error.strerror or str(error), where=what) from error


def has_family(name: str) -> bool:
    """Whether the kernel has a generic netlink family; it loads the module that has it.

    Do not call it in the thread of a running event loop.
    """
    with GenericNetlinkSocket() as generic:
        try:
            generic.bind(name, genlmsg)
        except (NetlinkError, OSError):
            return False
        return True


def find(route: Any, name: str) -> int:
    """The index of a device; 0 if there is no such device."""
    found = route.link_lookup(ifname=name)
    return int(found[0]) if found else 0


def read(name: str) -> Link | None:
    """The device with its global addresses and the destinations of its routes."""
    with opened(f"device {name}") as route:
        index = find(route, name)
        if not index:
            return None
        link = next(iter(route.get_links(index)))
        addresses = [
            ip_interface(f"{a.get_attr('IFA_LOCAL') or a.get_attr('IFA_ADDRESS')}/{a['prefixlen']}")
            for a in route.get_addr(index=index)
        ]
        return Link(
            index=index,
            name=name,
            mac=link.get_attr("IFLA_ADDRESS") or "",
            mtu=link.get_attr("IFLA_MTU") or 0,
            up=bool(link["flags"] & _IFF_UP),
            addresses=tuple(a for a in addresses if not a.is_link_local),
            routes=frozenset(_destinations(route, index)),
        )


def _destinations(route: Any, index: int) -> Iterator[str]:
    for family, everything in ((AF_INET, "0.0.0.0"), (AF_INET6, "::")):
        for entry in route.get_routes(family=family):
            several = entry.get_attr("RTA_MULTIPATH") or ()
            if index in (entry.get_attr("RTA_OIF"), *(hop["oif"] for hop in several)):
                yield f"{entry.get_attr('RTA_DST') or everything}/{entry['dst_len']}"


def make_veth(device: str, peer: str, namespace: int, *, mtu: int, mac: str) -> None:
    """A veth pair: `device` here, up; `peer` in the namespace of the descriptor, down."""
    with opened(f"veth {device}") as route:
        route.link(
            "add",
            ifname=device,
            kind="veth",
            mtu=mtu,
            peer={
                "ifname": peer,
                "net_ns_fd": namespace,
                "mtu": mtu,
                "address": mac,
            },
        )
        route.link("set", index=find(route, device), state="up")


def move(device: str, namespace: int, name: str) -> None:
    """Move a device to another namespace and rename it, in one request."""
    with opened(f"device {device}") as route:
        index = find(route, device)
        if not index:
            raise Failed("is not in the node's network namespace", where=f"device {device}")
        route.link("set", index=index, state="down")
        route.link("set", index=index, net_ns_fd=namespace, ifname=name)


def set_up(device: str) -> None:
    """Set a device up; raises Failed."""
    with opened(f"device {device}") as route:
        route.link("set", index=find(route, device), state="up")


def remove(device: str) -> bool:
    """Delete a device; False if there was none."""
    with opened(f"device {device}") as route:
        index = find(route, device)
        if not index:
            return False
        with _tolerated(errno.ENODEV):
            route.link("del", index=index)
        return True


def veths() -> list[str]:
    """The names of the veth devices in this namespace."""
    with opened("links") as route:
        return [
            str(link.get_attr("IFLA_IFNAME"))
            for link in route.get_links()
            if (info := link.get_attr("IFLA_LINKINFO"))
            and info.get_attr("IFLA_INFO_KIND") == "veth"
        ]


def join(name: str, bridge: str, *, mtu: int) -> bool:
    """Make the device a port of `bridge`, up and without addresses; False if there is no bridge.

    It keeps its MAC: the guest with that MAC is behind the bridge.
    """
    with opened(f"device {name}") as route:
        master = find(route, bridge)
        if not master:
            return False
        set_sysctl(f"net/ipv6/conf/{name}/disable_ipv6", "1", optional=True)
        route.link("set", index=find(route, name), mtu=mtu, master=master, state="up")
        return True


def configure(
    name: str,
    *,
    mac: str,
    mtu: int,
    addresses: Sequence[Interface] = (),
    sysctls: Sequence[tuple[str, str, bool]] = (),
) -> None:
    """Configure a device of this namespace, and set it up.

    Sysctls come first: the kernel adds the link-local address when the device comes up.
    """
    with opened(f"device {name}") as route:
        index = find(route, name)
        if not index:
            raise Failed("is not in the pod's network namespace", where=f"device {name}")
        for path, value, optional in sysctls:
            set_sysctl(path, value, optional=optional)
        with _tolerated(errno.EEXIST):
            route.link("set", index=find(route, "lo"), state="up")
        route.link("set", index=index, address=mac, mtu=mtu)
        route.link("set", index=index, state="up")
        for address in addresses:
            _add_address(route, index, address)


def _add_address(route: Any, index: int, address: Interface) -> None:
    extra: dict[str, object] = {}
    if isinstance(address, IPv6Interface):
        extra["flags"] = _IFA_F_NODAD
    elif address.network.prefixlen < 31:
        extra["broadcast"] = str(address.network.broadcast_address)
    with _tolerated(errno.EEXIST):
        route.addr(
            "add",
            index=index,
            address=str(address.ip),
            prefixlen=address.network.prefixlen,
            **extra,
        )


def sysctl(path: str) -> Path:
    """A file below /proc/sys, for the namespace of the thread that reads or writes it.

    A container may only read there; its host's /proc/sys/net is then at /host.
    """
    inside = Path("/host/proc/sys", path)
    return inside if inside.exists() else Path("/proc/sys", path)


def set_sysctl(path: str, value: str, *, optional: bool = False) -> None:
    """Write a file below /proc/sys, for this thread's namespace."""
    try:
        sysctl(path).write_text(value)
    except OSError as error:
        if not optional:
            raise Failed(f"cannot be set to {value}: {error.strerror}", where=path) from error


@contextlib.contextmanager
def _tolerated(*codes: int) -> Iterator[None]:
    try:
        yield
    except NetlinkError as error:
        if error.code not in codes:
            raise
