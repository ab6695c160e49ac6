"""What do a VM's cloud-init network data say of each card? Version 1 and 2, ethernets only.

Text in, records out. Cards are matched by MAC, else by name; names of other systems (enp1s0, ens3)
stand for the card at that place, because manifests are written for images that use them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

from weft.lab.vm.cloudinit import Unreadable, load_mapping


@dataclass(frozen=True, slots=True)
class Route:
    """`to` is a network or "default"."""

    to: str
    via: str


@dataclass(frozen=True, slots=True)
class Ethernet:
    """One card's configuration. `mac` or else `name` says which card; `name` may be a pattern."""

    name: str
    mac: str = ""
    dhcp4: bool = False
    dhcp6: bool = False
    accept_ra: bool = True
    addresses: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()
    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    mtu: int = 0


def parse(network_data: str) -> tuple[Ethernet, ...]:
    """The cards that the data configure, in order. Raises Unreadable."""
    config = load_mapping(network_data)
    config = config.get("network", config)
    version = config.get("version")
    if version == 2 or (version is None and "ethernets" in config):
        return _version2(config)
    if version == 1:
        return _version1(config)
    if not config:
        return ()
    raise Unreadable(f"version must be 1 or 2, not {version!r}")


def assign(
    ethernets: Sequence[Ethernet], macs: Sequence[str]
) -> tuple[dict[int, Ethernet], tuple[str, ...]]:
    """Which configuration is whose: by index of the card; and the names that match none."""
    found: dict[int, Ethernet] = {}
    lost = []
    for ethernet in ethernets:
        index = _index(ethernet, macs, taken=found.keys())
        if index is None:
            lost.append(ethernet.name)
        else:
            found[index] = ethernet
    return found, tuple(lost)


def _index(ethernet: Ethernet, macs: Sequence[str], taken: Any) -> int | None:
    if ethernet.mac:
        return macs.index(ethernet.mac) if ethernet.mac in macs else None
    number = position(ethernet.name)
    if number is None or number >= len(macs):
        free = (index for index in range(len(macs)) if index not in taken)
        return next(free, None) if number is None else None
    return number


def position(name: str) -> int | None:
    """The place of a card by its name: eth1 and enp2s0 are the second; None if it says none."""
    if found := re.fullmatch(r"eth(\d+)|net(\d+)", name):
        return int(found[1] or found[2])
    if found := re.fullmatch(r"enp(\d+)s\d+|ens(\d+)|eno(\d+)", name):
        number = int(found[1] or found[2] or found[3])
        return max(number - (3 if found[2] else 1), 0)
    return None


def _version2(config: Mapping[str, Any]) -> tuple[Ethernet, ...]:
    for kind in ("bonds", "bridges", "vlans", "wifis"):
        if config.get(kind):
            raise Unreadable(f"{kind} are not known to the built-in guest, only ethernets")
    ethernets = config.get("ethernets") or {}
    if not isinstance(ethernets, Mapping):
        raise Unreadable(f"ethernets is a {type(ethernets).__name__}, not a mapping")
    return tuple(_ethernet2(str(name), entry or {}) for name, entry in ethernets.items())


def _ethernet2(name: str, entry: Any) -> Ethernet:
    if not isinstance(entry, Mapping):
        raise Unreadable(f"ethernets.{name} is a {type(entry).__name__}, not a mapping")
    match = entry.get("match") or {}
    servers = entry.get("nameservers") or {}
    routes = [_route(name, route) for route in entry.get("routes") or ()]
    for key in ("gateway4", "gateway6"):
        if entry.get(key):
            routes.append(Route("default", _address(name, key, entry[key])))
    return Ethernet(
        name=str(match.get("name") or name).rstrip("*") if match else name,
        mac=str(match.get("macaddress") or "").lower(),
        dhcp4=_yes(entry.get("dhcp4")),
        dhcp6=_yes(entry.get("dhcp6")),
        accept_ra=_yes(entry.get("accept-ra", True)),
        addresses=tuple(_prefix(name, address) for address in _list(entry.get("addresses"))),
        routes=tuple(routes),
        nameservers=tuple(
            _address(name, "nameservers", server) for server in _list(servers.get("addresses"))
        ),
        search=tuple(str(domain) for domain in _list(servers.get("search"))),
        mtu=_mtu(name, entry.get("mtu")),
    )


def _version1(config: Mapping[str, Any]) -> tuple[Ethernet, ...]:
    found = []
    servers: list[str] = []
    search: list[str] = []
    for item in config.get("config") or ():
        kind = item.get("type")
        if kind == "physical":
            found.append(_ethernet1(item))
        elif kind == "nameserver":
            servers += [_address("nameserver", "address", a) for a in _list(item.get("address"))]
            search += [str(domain) for domain in _list(item.get("search"))]
        elif kind not in ("loopback", None):
            raise Unreadable(f"type {kind!r} is not known to the built-in guest, only physical")
    if not servers or not found:
        return tuple(found)
    first, *rest = found
    return (_with_servers(first, servers, search), *rest)


def _with_servers(ethernet: Ethernet, servers: list[str], search: list[str]) -> Ethernet:
    return replace(
        ethernet,
        nameservers=(*ethernet.nameservers, *servers),
        search=(*ethernet.search, *search),
    )


def _ethernet1(item: Mapping[str, Any]) -> Ethernet:
    name = str(item.get("name") or "eth0")
    addresses: list[str] = []
    routes: list[Route] = []
    servers: list[str] = []
    kinds = []
    for subnet in item.get("subnets") or ():
        kind = str(subnet.get("type") or "dhcp")
        kinds.append(kind)
        if kind in ("static", "static6"):
            address = str(subnet.get("address", ""))
            if "/" not in address and subnet.get("netmask"):
                address = f"{address}/{subnet['netmask']}"
            addresses.append(_prefix(name, address))
        if subnet.get("gateway"):
            routes.append(Route("default", _address(name, "gateway", subnet["gateway"])))
        routes += [
            Route(
                str(ip_network(_joined(route.get("network"), route.get("netmask")), strict=False)),
                _address(name, "gateway", route.get("gateway")),
            )
            for route in subnet.get("routes") or ()
        ]
        servers += [_address(name, "dns", s) for s in _list(subnet.get("dns_nameservers"))]
    return Ethernet(
        name=name,
        mac=str(item.get("mac_address") or "").lower(),
        dhcp4=any(kind in ("dhcp", "dhcp4") for kind in kinds),
        dhcp6=any(kind.startswith(("dhcp6", "ipv6_dhcpv6")) for kind in kinds),
        addresses=tuple(addresses),
        routes=tuple(routes),
        nameservers=tuple(servers),
        mtu=_mtu(name, item.get("mtu")),
    )


def _joined(network: Any, mask: Any) -> str:
    return f"{network}/{mask}" if mask and "/" not in str(network) else str(network)


def _route(name: str, route: Mapping[str, Any]) -> Route:
    to = str(route.get("to", ""))
    if to not in ("default", "0.0.0.0/0", "::/0"):
        try:
            to = str(ip_network(to, strict=False))
        except ValueError as error:
            raise Unreadable(f"ethernets.{name}.routes: {error}") from error
    else:
        to = "default"
    return Route(to, _address(name, "routes.via", route.get("via")))


def _prefix(name: str, address: Any) -> str:
    if isinstance(address, Mapping):  # the long form: address to options
        address = next(iter(address), "")
    try:
        found = ip_interface(str(address))
    except ValueError as error:
        raise Unreadable(f"ethernets.{name}.addresses: {error}") from error
    return str(found)


def _address(name: str, field: str, address: Any) -> str:
    try:
        return str(ip_address(str(address)))
    except ValueError as error:
        raise Unreadable(f"ethernets.{name}.{field}: {error}") from error


def _mtu(name: str, value: Any) -> int:
    if value is None:
        return 0
    try:
        mtu = int(value)
    except (TypeError, ValueError):
        mtu = 0
    if not 68 <= mtu <= 65535:
        raise Unreadable(f"ethernets.{name}.mtu: {value!r} is not an MTU from 68 to 65535")
    return mtu


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _yes(value: Any) -> bool:
    return value is True or str(value).lower() in ("true", "yes", "on", "1")
