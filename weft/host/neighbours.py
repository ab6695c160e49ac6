"""Asks the neighbours on a device for their MACs: by ARP and neighbour discovery of the kernel."""

from __future__ import annotations

import errno
import socket
import struct
import time
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.rtnl.ndmsg import NTF_USE

from weft.host import netlink

_RTMGRP_NEIGH = 4  # rtnetlink(7)
_RTM_NEWNEIGH = 28
_NDA_DST = 1
_NUD_REACHABLE, _NUD_FAILED = 0x02, 0x20
_ENDS = (_NUD_REACHABLE, _NUD_FAILED)
_LARGEST = 1 << 16
_HEADER = struct.Struct("=IH10x")  # nlmsghdr: length, type
_NEIGHBOUR = struct.Struct("=B3xiH2x")  # ndmsg: family, index, state
_ATTRIBUTE = struct.Struct("=HH")  # rtattr: length, type


def resolve(device: str, addresses: Iterable[str], patience: float) -> frozenset[str]:
    """Returns those of the addresses whose next hop on the device answers in `patience` seconds.

    All that is known of a next hop is forgotten first, so each answer is a new packet. The kernel
    asks three times, a second apart. Blocks; raises Failed if there is no such device.
    """
    with netlink.opened(f"device {device}") as route:
        index = netlink.find(route, device)
        if not index:
            raise netlink.Failed("does not exist", where=f"device {device}")
        hops = {each: hop for each in addresses if (hop := _next_hop(route, index, each))}
        targets = sorted(set(hops.values()))
        for hop in targets:
            _forget(route, index, hop)
        with _events() as events:  # it hears nothing of what was forgotten
            for hop in targets:
                route.neigh("add", **_named(index, hop), state="none", flags=NTF_USE)
            answered = _answered(events, index, targets, patience)
    return frozenset(address for address, hop in hops.items() if hop in answered)


def _next_hop(route: Any, index: int, address: str) -> str:
    """Returns the neighbour that packets to an address go to; empty: they leave otherwise."""
    try:
        [found] = route.route("get", dst=address, family=_family(address))
    except NetlinkError:  # there is no route
        return ""
    if found.get_attr("RTA_OIF") != index:
        return ""
    return str(ip_address(found.get_attr("RTA_GATEWAY") or address))


def _answered(
    events: socket.socket, index: int, addresses: Iterable[str], patience: float
) -> frozenset[str]:
    waiting, answered = set(addresses), set[str]()
    end = time.monotonic() + patience
    while waiting and (left := end - time.monotonic()) > 0:
        events.settimeout(left)
        try:
            data = events.recv(_LARGEST)
        except OSError:  # too late, or more events than the socket holds
            break
        for where, address, state in changes(data):
            if where == index and address in waiting and state in _ENDS:
                waiting.discard(address)
                answered |= {address} if state == _NUD_REACHABLE else set()
    return frozenset(answered)


def _forget(route: Any, index: int, address: str) -> None:
    try:
        route.neigh("del", **_named(index, address))
    except NetlinkError as error:
        if error.code != errno.ENOENT:
            raise


def _named(index: int, address: str) -> dict[str, Any]:
    return {"dst": address, "ifindex": index, "family": _family(address)}


def _family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _events() -> socket.socket:
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    events = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
    try:
        events.bind((0, _RTMGRP_NEIGH))
    except OSError:
        events.close()
        raise
    return events


def changes(data: bytes) -> Iterator[tuple[int, str, int]]:
    """Yields (device index, address, state) of each RTM_NEWNEIGH in a datagram (rtnetlink(7))."""
    while len(data) >= _HEADER.size:
        length, kind = _HEADER.unpack_from(data)
        message, data = data[_HEADER.size : length], data[max(length + 3 & ~3, _HEADER.size) :]
        if kind != _RTM_NEWNEIGH or len(message) < _NEIGHBOUR.size:
            continue
        _, index, state = _NEIGHBOUR.unpack_from(message)
        address = _destination(message[_NEIGHBOUR.size :])
        if address:
            yield index, address, state


def _destination(attributes: bytes) -> str:
    while len(attributes) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(attributes)
        value = attributes[_ATTRIBUTE.size : length]
        if kind == _NDA_DST and len(value) in (4, 16):
            return str(ip_address(value))
        attributes = attributes[max(length + 3 & ~3, _ATTRIBUTE.size) :]
    return ""
