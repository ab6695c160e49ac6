"""Adds the routes and rules of a pod's interface that the kernel lacks.

Interfaces on one network share its routes: packets to the network leave through any of them (one
route with several next hops). Packets from the address of one leave through that one (a rule and a
table for each interface, ip-rule(8)). Each range of a network also has an `unreachable` route:
while its links are down, packets to it do not take the default route out of the cluster.

Works in the network namespace of its thread, like `weft.host.netlink`.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from socket import AF_INET, AF_INET6
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError

from weft import model
from weft.host import netlink, netns

MAIN_TABLE = 254
OWN_TABLES = 100  # an interface's table is this plus its index, as in ovn-kubernetes
LAST_RESORT = 1 << 30  # a metric larger than any that people choose
_UNREACHABLE = 7  # RTN_UNREACHABLE, rtnetlink(7)

_LOCKS = tuple(threading.RLock() for _ in range(64))  # namespaces share these locks

Hop = tuple[str, int]  # gateway ("": none) and index of the device


@dataclass(frozen=True, slots=True)
class Routing:
    """The routes and rules that one interface needs.

    `routes` are pairs of destination and gateway; all gateways of one destination are used.
    `peers` are the pod's other interfaces on the same network; if there are any, packets from
    `sources` leave through this interface. `ranges` are the network's subnets.
    """

    routes: tuple[tuple[str, str], ...] = ()
    sources: tuple[model.Interface, ...] = ()
    peers: tuple[str, ...] = ()
    ranges: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """One desired route; without next hops it is `unreachable`."""

    table: int
    destination: str
    hops: tuple[Hop, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """Packets from `source` use `table`."""

    source: model.Interface
    table: int


def ensure(name: str, desired: Routing) -> bool:
    """Add what the device lacks; False if it lacks nothing. The device must be up."""
    with turn(), netlink.opened(f"device {name}") as handle:
        index = netlink.find(handle, name)
        return bool(index) and apply(handle, index, desired)


def turn(namespace: str = "/proc/thread-self/ns/net") -> threading.RLock:
    """The lock of a namespace, from reading its routes to writing them.

    Interfaces on one network change one route, so whoever replaces a device holds it throughout:
    the others must neither join a route of a device that goes away nor take it for another's.
    """
    found = netns.identity(namespace)
    return _LOCKS[found[1] % len(_LOCKS) if found else 0]


def apply(handle: Any, index: int, desired: Routing) -> bool:
    """Add what the device with this index lacks; False if it lacks nothing.

    Raises NetlinkError for what the kernel refuses, after all the rest is added.
    """
    lacking = missing(handle, index, desired)
    refusal: NetlinkError | None = None
    for each in lacking:
        try:
            if isinstance(each, Rule):
                _add_rule(handle, each)
            else:
                _write(handle, each)
        except NetlinkError as error:
            refusal = refusal or error
    if refusal is not None:
        raise refusal
    return bool(lacking)


def missing(handle: Any, index: int, desired: Routing) -> list[Route | Rule]:
    """The missing routes and rules, in an order that the kernel accepts.

    A route in the main table that another network's interface has already stays as it is.
    """
    kernel = _Kernel(handle)
    found: list[Route | Rule] = [
        Route(MAIN_TABLE, each) for each in desired.ranges if not kernel.is_unreachable(each)
    ]
    if desired.peers:
        rules = {source: kernel.rule(source) for source in desired.sources}
        for source, rule in rules.items():
            table = rule.table if rule else OWN_TABLES + index
            if rule is None:
                found.append(Rule(source, table))
            network = str(source.network)
            if not kernel.next_hops(table, network):
                found.append(Route(table, network, (("", index),)))
            of_family = [r for r in desired.routes if ip_network(r[0]).version == source.version]
            found += _joined(kernel, table, index, of_family, {index})
    shared = {index, *(netlink.find(handle, name) for name in desired.peers)} - {0}
    return found + _joined(kernel, MAIN_TABLE, index, desired.routes, shared)


def _joined(
    kernel: _Kernel, table: int, index: int, routes: Sequence[tuple[str, str]], shared: set[int]
) -> list[Route]:
    """The routes of this table that lack a next hop of this interface, with all next hops."""
    found = []
    for destination in dict.fromkeys(destination for destination, _ in routes):
        own = [(gateway, index) for to, gateway in routes if to == destination]
        there = kernel.next_hops(table, destination)
        usable = [hop for hop in there if hop[1] in shared]
        is_anothers = not usable and any(kernel.has_device(hop[1]) for hop in there)
        if not is_anothers and not set(own) <= set(usable):
            hops = dict.fromkeys([*usable, *own])
            found.append(Route(table, destination, tuple(hops)))
    return found


class _Kernel:
    """The kernel's routes and rules, each family read once, on demand."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._routes: dict[int, list[Any]] = {}
        self._rules: dict[int, list[Any]] = {}

    def next_hops(self, table: int, destination: str) -> list[Hop]:
        """The next hops of the route to exactly this destination in a table; empty without one."""
        found: list[Hop] = []
        for entry in self._to(table, destination):
            if entry["type"] == _UNREACHABLE:
                continue
            if several := entry.get_attr("RTA_MULTIPATH"):
                found += [(hop.get_attr("RTA_GATEWAY") or "", hop["oif"]) for hop in several]
            else:
                found.append((entry.get_attr("RTA_GATEWAY") or "", entry.get_attr("RTA_OIF") or 0))
        return found

    def is_unreachable(self, destination: str) -> bool:
        """Whether the main table has an unreachable route for this range."""
        return any(entry["type"] == _UNREACHABLE for entry in self._to(MAIN_TABLE, destination))

    def has_device(self, index: int) -> bool:
        """Whether the device of a next hop still exists; a route may name none (0)."""
        try:
            return not index or bool(list(self._handle.get_links(index)))
        except NetlinkError as error:
            if error.code != errno.ENODEV:
                raise
            return False

    def rule(self, source: model.Interface) -> Rule | None:
        """The rule for this address; the device may have had another index when it was made."""
        family = _family(source)
        if family not in self._rules:
            self._rules[family] = list(self._handle.get_rules(family=family))
        for entry in self._rules[family]:
            is_host = entry["src_len"] == source.max_prefixlen
            if is_host and entry.get_attr("FRA_SRC") == str(source.ip):
                return Rule(source, entry.get_attr("FRA_TABLE") or entry["table"])
        return None

    def _to(self, table: int, destination: str) -> Iterator[Any]:
        network = ip_network(destination)
        address = str(network.network_address) if network.prefixlen else None
        family = _family(network)
        if family not in self._routes:
            self._routes[family] = list(self._handle.get_routes(family=family))
        for entry in self._routes[family]:
            is_there = (entry.get_attr("RTA_TABLE") or entry["table"]) == table
            if is_there and (entry.get_attr("RTA_DST"), entry["dst_len"]) == (
                address,
                network.prefixlen,
            ):
                yield entry


def _write(handle: Any, route: Route) -> None:
    fields: dict[str, Any] = {
        "dst": route.destination,
        "table": route.table,
        "family": _family(ip_network(route.destination)),
    }
    if not route.hops:
        fields |= {"type": "unreachable", "priority": LAST_RESORT}
    elif len(route.hops) == 1:
        fields |= _hop(*route.hops[0])
    else:
        fields["multipath"] = [{**_hop(*hop), "hops": 0} for hop in route.hops]
    handle.route("replace", **fields)


def _hop(gateway: str, index: int) -> dict[str, Any]:
    return {"oif": index, **({"gateway": gateway} if gateway else {})}


def _add_rule(handle: Any, rule: Rule) -> None:
    source = rule.source
    handle.rule(
        "add",
        src=str(source.ip),
        src_len=source.max_prefixlen,
        table=rule.table,
        family=_family(source),
    )


def _family(address: model.Interface | model.Subnet) -> int:
    return AF_INET if address.version == 4 else AF_INET6
