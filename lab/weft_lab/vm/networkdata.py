"""Parses a VM's cloud-init network data: versions 1 and 2, ethernets only.

Text in, records out, with the names of keys that the guest does not apply. Cards are matched by
MAC, else by name. Names of other systems (enp1s0, ens3) stand for the card at that place, because
manifests are written for images that use them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

from weft_lab.vm.cloudinit import Unreadable, load_mapping

_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
# Of netplan's and cloud-init's keys (their reference pages for network-config version 1 and 2).
_FOLLOWED = {
    "network": {"version", "ethernets", "config"},
    "card": {
        *("match", "set-name", "dhcp4", "dhcp6", "accept-ra", "addresses", "routes"),
        *("gateway4", "gateway6", "nameservers", "mtu"),
    },
    "match": {"name", "macaddress"},
    "nameservers": {"addresses", "search"},
    "route": {"to", "via", "metric", "on-link"},
    "item": {"type", "name", "mac_address", "mtu", "subnets", "accept-ra", "address", "search"},
    "subnet": {
        *("type", "address", "netmask", "gateway", "routes", "dns_nameservers", "dns_search"),
    },
    "route of version 1": {"network", "destination", "netmask", "gateway", "metric"},
}
# Keys that the built-in guest satisfies in any case, or that have no effect on it.
_HARMLESS = {"renderer", "optional", "critical", "wakeonlan", "id", "ipv4", "ipv6", "control"}


@dataclass(frozen=True, slots=True)
class Route:
    """`to` is a network or "default"; `metric` 0 is the kernel's own."""

    to: str
    via: str
    metric: int = 0
    on_link: bool = False


@dataclass(frozen=True, slots=True)
class Ethernet:
    """One card's configuration. `mac` or else `name` says which card; `name` may be a pattern.

    `rename` is the name that the card is to have in the guest.
    """

    name: str
    mac: str = ""
    rename: str = ""
    dhcp4: bool = False
    dhcp6: bool = False
    accept_ra: bool = True
    addresses: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()
    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    mtu: int = 0


@dataclass(frozen=True, slots=True)
class NetworkData:
    """The cards that the data configure, in order, and the keys that are ignored."""

    ethernets: tuple[Ethernet, ...] = ()
    ignored: tuple[str, ...] = ()


def parse(network_data: str) -> NetworkData:
    """What the data say. Raises Unreadable."""
    config = load_mapping(network_data)
    config = config.get("network", config)
    if not isinstance(config, Mapping):
        raise Unreadable(f"network is a {type(config).__name__}, not a mapping")
    version = config.get("version")
    ignored = _unknown("network", config, "")
    if version == 2 or (version is None and "ethernets" in config):
        ethernets, more = _version2(config)
        return NetworkData(ethernets, (*ignored, *more))
    if version == 1:
        ethernets, more = _version1(config)
        return NetworkData(ethernets, (*ignored, *more))
    if not config:
        return NetworkData()
    raise Unreadable(f"version must be 1 or 2, not {version!r}")


def _unknown(kind: str, entry: Mapping[str, Any], at: str) -> tuple[str, ...]:
    """The paths of the keys of one mapping that are not followed."""
    known = _FOLLOWED[kind] | _HARMLESS
    return tuple(f"{at}{key}" for key in entry if key not in known)


def assign(
    ethernets: Sequence[Ethernet], macs: Sequence[str]
) -> tuple[dict[int, Ethernet], tuple[str, ...]]:
    """The configurations by index of their card, and what is wrong with the others."""
    found: dict[int, Ethernet] = {}
    lost = []
    for ethernet in ethernets:
        index = _index(ethernet, macs, taken=found.keys())
        if index is None:
            has = f"the MAC {ethernet.mac}" if ethernet.mac else "this name"
            lost.append(f"{ethernet.name}: no card has {has}")
        elif index in found:
            lost.append(f"{ethernet.name}: its card is configured by {found[index].name} already")
        else:
            found[index] = ethernet
    return found, tuple(lost)


def _index(ethernet: Ethernet, macs: Sequence[str], taken: Iterable[int]) -> int | None:
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


def _version2(config: Mapping[str, Any]) -> tuple[tuple[Ethernet, ...], tuple[str, ...]]:
    for kind in ("bonds", "bridges", "vlans", "wifis"):
        if config.get(kind):
            raise Unreadable(f"{kind} are not known to the built-in guest, only ethernets")
    ethernets = config.get("ethernets") or {}
    if not isinstance(ethernets, Mapping):
        raise Unreadable(f"ethernets is a {type(ethernets).__name__}, not a mapping")
    ignored: list[str] = []
    cards = tuple(_ethernet2(str(name), entry or {}, ignored) for name, entry in ethernets.items())
    return cards, tuple(ignored)


def _ethernet2(name: str, entry: Any, ignored: list[str]) -> Ethernet:
    at = f"ethernets.{name}"
    entry = _mapping(entry, at)
    match = _mapping(entry.get("match") or {}, f"{at}.match")
    servers = _mapping(entry.get("nameservers") or {}, f"{at}.nameservers")
    listed = [_mapping(route, f"{at}.routes") for route in _list(entry.get("routes"))]
    for kind, part, where in (
        ("card", entry, f"{at}."),
        ("match", match, f"{at}.match."),
        ("nameservers", servers, f"{at}.nameservers."),
        *(("route", route, f"{at}.routes.") for route in listed),
    ):
        ignored += _unknown(kind, part, where)
    routes = [_route(name, route) for route in listed]
    for key in ("gateway4", "gateway6"):
        if entry.get(key):
            routes.append(Route("default", _address(name, key, entry[key])))
    return Ethernet(
        name=str(match.get("name") or name).rstrip("*") if match else name,
        mac=_mac(match.get("macaddress")),
        rename=_interface(at, entry.get("set-name"), ignored),
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


def _mac(value: Any) -> str:
    """As text: to YAML 1.1 six unquoted pairs below 60 are a number of base 60."""
    if not isinstance(value, int) or isinstance(value, bool):
        return str(value or "").lower().replace("-", ":")
    pairs: list[str] = []
    while value or len(pairs) < 6:
        value, pair = divmod(value, 60)
        pairs.insert(0, f"{pair:02d}")
    return ":".join(pairs)


def _interface(at: str, value: Any, ignored: list[str]) -> str:
    """A name as `set-name` gives it; the kernel's own names are other cards'."""
    name = str(value or "")
    if name and not _DEVICE.fullmatch(name):
        raise Unreadable(f"{at}.set-name: {name!r} is no name of a Linux device")
    if re.fullmatch(r"eth\d+|lo", name):
        ignored.append(f"{at}.set-name {name}")
        return ""
    return name


def _mapping(value: Any, at: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Unreadable(f"{at} is a {type(value).__name__}, not a mapping")
    return value


def _version1(config: Mapping[str, Any]) -> tuple[tuple[Ethernet, ...], tuple[str, ...]]:
    found = []
    ignored: list[str] = []
    servers: list[str] = []
    search: list[str] = []
    for index, each in enumerate(_list(config.get("config"))):
        item = _mapping(each, f"config[{index}]")
        kind = item.get("type")
        ignored += _unknown("item", item, f"config[{index}].")
        if kind == "physical":
            found.append(_ethernet1(item, f"config[{index}]", ignored))
        elif kind == "nameserver":
            servers += [_address("nameserver", "address", a) for a in _list(item.get("address"))]
            search += [str(domain) for domain in _list(item.get("search"))]
        elif kind not in ("loopback", None):
            raise Unreadable(f"type {kind!r} is not known to the built-in guest, only physical")
    if found and (servers or search):
        found[0] = _with_servers(found[0], servers, search)
    return tuple(found), tuple(ignored)


def _with_servers(ethernet: Ethernet, servers: list[str], search: list[str]) -> Ethernet:
    return replace(
        ethernet,
        nameservers=(*ethernet.nameservers, *servers),
        search=(*ethernet.search, *search),
    )


def _ethernet1(item: Mapping[str, Any], at: str, ignored: list[str]) -> Ethernet:
    name = str(item.get("name") or "eth0")
    addresses: list[str] = []
    routes: list[Route] = []
    servers: list[str] = []
    search: list[str] = []
    kinds = []
    for each in _list(item.get("subnets")):
        subnet = _mapping(each, f"{at}.subnets")
        ignored += _unknown("subnet", subnet, f"{at}.subnets.")
        kind = str(subnet.get("type") or "dhcp")
        kinds.append(kind)
        if kind in ("static", "static6"):
            address = str(subnet.get("address", ""))
            if "/" not in address and subnet.get("netmask"):
                address = f"{address}/{subnet['netmask']}"
            addresses.append(_prefix(name, address))
        if subnet.get("gateway"):
            routes.append(Route("default", _address(name, "gateway", subnet["gateway"])))
        for one in _list(subnet.get("routes")):
            route = _mapping(one, f"{at}.subnets.routes")
            ignored += _unknown("route of version 1", route, f"{at}.subnets.routes.")
            to = _joined(route.get("network") or route.get("destination"), route.get("netmask"))
            routes.append(_route(name, {**route, "to": to, "via": route.get("gateway")}))
        servers += [_address(name, "dns", s) for s in _list(subnet.get("dns_nameservers"))]
        search += [str(domain) for domain in _list(subnet.get("dns_search"))]
    return Ethernet(
        name=name,
        mac=_mac(item.get("mac_address")),
        dhcp4=any(kind in ("dhcp", "dhcp4") for kind in kinds),
        dhcp6=any(kind.startswith(("dhcp6", "ipv6_dhcpv6")) for kind in kinds),
        accept_ra=_yes(item.get("accept-ra", True)),
        addresses=tuple(addresses),
        routes=tuple(routes),
        nameservers=tuple(servers),
        search=tuple(search),
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
    metric = route.get("metric") or 0
    if not isinstance(metric, int) or not 0 <= metric < 1 << 32:
        raise Unreadable(f"ethernets.{name}.routes.metric: {metric!r} is no number from 0")
    via = _address(name, "routes.via", route.get("via"))
    return Route(to, via, metric, _yes(route.get("on-link")))


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
