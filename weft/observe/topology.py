"""Builds the logical picture from the Northbound rows of all zones: snapshots in, a graph out.

Pure. Connections decide what a switch or router is for, so rows of other controllers appear, too.
Names decide only where connections do not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from weft import names, rows
from weft.observe import chassis, networks, ports
from weft.observe.graph import DatapathRole, Graph, Link, Nat, Port, PortKind, Route, Router, Switch
from weft.observe.snapshot import NETWORK_IDS, Snapshot, entries, members, text

# Names that ovn-kubernetes gives, with the network's prefix before them.
_NAMED = re.compile(
    r"(?:(.+)_)?(?:ovn_cluster_router|transit_switch|ovn_layer2_switch|ovn_localnet_switch|join)"
)


@dataclass
class _Element:
    """A switch or router while the graph is built. `zones` grows with each zone that has it."""

    id: str
    name: str
    zones: list[str]
    label: str
    chassis: str = ""
    spans: bool = False
    key: str = ""
    subnets: list[str] = field(default_factory=list)
    ports: dict[str, Port] = field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    nats: tuple[Nat, ...] = ()
    links: list[Link] = field(default_factory=list)


def build(snapshots: Sequence[Snapshot]) -> Graph:
    """Return the graph of all zones that were read, and of the zones that they know."""
    zones = chassis.find(snapshots)
    switches: dict[str, _Element] = {}
    routers: dict[str, _Element] = {}
    for zone, snapshot in zones.read:
        owners = _routers(snapshot, zone.name, routers)
        _switches(snapshot, zone.name, zones, switches, owners)
    links = [link for switch in switches.values() for link in switch.links]
    for link in links:
        routers[link.router].links.append(link)
    roles = _roles(switches, routers)
    labels = _labels(switches, routers, links)
    made = tuple(_switch(one, roles[one.id], labels[one.id]) for one in switches.values())
    ways = tuple(_router(one, roles[one.id], labels[one.id]) for one in routers.values())
    return Graph(
        zones=(*zones.listed, *networks.strays(zones.listed, made)),
        networks=networks.listed(made, ways),
        switches=tuple(sorted(made, key=_order)),
        routers=tuple(
            sorted(ways, key=lambda way: (chassis.natural_key(way.zone), way.name, way.id))
        ),
        links=tuple(sorted(links, key=lambda link: (chassis.natural_key(link.zone), link.port))),
    )


def _order(switch: Switch) -> tuple[Any, ...]:
    zones = tuple(chassis.natural_key(zone) for zone in switch.zones)
    return switch.network, zones, switch.name, switch.id


def _label(row: rows.Columns) -> str:
    external = entries(row, "external_ids")
    return next((external[key] for key in NETWORK_IDS if external.get(key)), "")


def _routers(
    snapshot: Snapshot, zone: str, routers: dict[str, _Element]
) -> dict[str, tuple[str, rows.Columns]]:
    """Add the zone's routers. Return (router, row of its port) by the port's name."""
    owners: dict[str, tuple[str, rows.Columns]] = {}
    for uuid, row in snapshot.of("Logical_Router").items():
        made = routers[uuid] = _Element(uuid, text(row, "name"), [zone], _label(row))
        made.chassis = entries(row, "options").get("chassis", "")
        routes = snapshot.referred("Logical_Router_Static_Route", row, "static_routes")
        made.routes = tuple(sorted((_route(route) for route in routes), key=_by_prefix))
        made.nats = tuple(
            sorted(
                (
                    Nat(text(nat, "type"), text(nat, "logical_ip"), text(nat, "external_ip"))
                    for nat in snapshot.referred("NAT", row, "nat")
                ),
                key=lambda nat: (nat.type, nat.logical_ip, nat.external_ip),
            )
        )
        for port in snapshot.referred("Logical_Router_Port", row, "ports"):
            owners[text(port, "name")] = (uuid, port)
    return owners


def _route(row: rows.Columns) -> Route:
    policy = next(iter(members(row, "policy")), "")
    return Route(text(row, "ip_prefix"), text(row, "nexthop"), "" if policy == "dst-ip" else policy)


def _by_prefix(route: Route) -> tuple[bool, str, str]:
    return ":" in route.prefix, route.prefix, route.via


def _switches(
    snapshot: Snapshot,
    zone: str,
    zones: chassis.Zones,
    switches: dict[str, _Element],
    owners: dict[str, tuple[str, rows.Columns]],
) -> None:
    """Add the zone's switches; one that spans zones is one element, whichever zone adds to it."""
    details = ports.details(snapshot)
    for uuid, row in snapshot.of("Logical_Switch").items():
        other = entries(row, "other_config")
        spans = bool(other.get("interconn-ts"))
        id = f"spanning {other['interconn-ts']}" if spans else uuid
        made = switches.setdefault(id, _Element(id, text(row, "name"), [], "", spans=spans))
        if zone not in made.zones:
            made.zones.append(zone)
        made.label = made.label or _label(row)
        made.key = made.key or other.get("requested-tnl-key", "")
        made.subnets += [other.get("subnet", ""), _whole(other.get("ipv6_prefix", ""))]
        made.subnets += entries(row, "external_ids").get(names.SUBNETS, "").split()
        for port_row in snapshot.referred("Logical_Switch_Port", row, "ports"):
            if ports.is_stand_in(port_row):
                continue  # of a pod that has a port beside it, and in this zone alone
            port = details.added_to(ports.parse(port_row, zone, zones))
            made.ports[port.name] = ports.joined(made.ports.get(port.name), port)
            for column in ("dhcpv4_options", "dhcpv6_options"):
                for dhcp in snapshot.referred("DHCP_Options", port_row, column):
                    made.subnets.append(text(dhcp, "cidr"))
            if port.kind is PortKind.ROUTER and port.peer in owners:
                router, peer = owners[port.peer]
                made.links.append(_link(id, router, zone, peer))


def _whole(prefix: str) -> str:
    return f"{prefix}/64" if prefix and "/" not in prefix else prefix


def _link(switch: str, router: str, zone: str, port: rows.Columns) -> Link:
    addresses = sorted(members(port, "networks"), key=lambda address: (":" in address, address))
    return Link(switch, router, zone, text(port, "name"), text(port, "mac"), tuple(addresses))


def _roles(switches: dict[str, _Element], routers: dict[str, _Element]) -> dict[str, DatapathRole]:
    gateways = {id for id, router in routers.items() if router.chassis}
    roles = {id: DatapathRole.GATEWAY if id in gateways else DatapathRole.CLUSTER for id in routers}
    for id, switch in switches.items():
        around = {link.router for link in switch.links}
        localnet = any(port.kind is PortKind.LOCALNET for port in switch.ports.values())
        pods = any(port.kind is PortKind.POD for port in switch.ports.values())
        if localnet:
            roles[id] = DatapathRole.EXTERNAL if around else DatapathRole.LOCALNET
        elif switch.spans:
            transit = bool(around) and not pods and not switch.name.endswith("layer2_switch")
            named = switch.name.endswith("transit_switch")
            roles[id] = DatapathRole.TRANSIT if transit or named else DatapathRole.LAYER2
        elif len(around) > 1 or (around and around <= gateways):
            roles[id] = DatapathRole.JOIN
        elif around:
            roles[id] = DatapathRole.NODE
        else:
            roles[id] = DatapathRole.LONE
    return roles


def _labels(
    switches: dict[str, _Element], routers: dict[str, _Element], links: Iterable[Link]
) -> dict[str, str]:
    """The network of each element: by its own external_ids, else its neighbours', else by names."""
    elements = {**switches, **routers}
    group = {id: id for id in elements}

    def top(id: str) -> str:
        while group[id] != id:
            id = group[id]
        return id

    for link in links:
        group[top(link.switch)] = top(link.router)
    parts: dict[str, list[_Element]] = {}
    for id, element in elements.items():
        parts.setdefault(top(id), []).append(element)
    return {
        element.id: element.label or network
        for part in parts.values()
        for network in [_network_name(part)]
        for element in part
    }


def _network_name(part: Sequence[_Element]) -> str:
    labels = sorted({element.label for element in part if element.label})
    if labels:
        return labels[0]
    found = [match for element in part if (match := _NAMED.fullmatch(element.name))]
    if found:
        return min(match[1] or names.DEFAULT_NETWORK for match in found)
    return min(element.name or element.id for element in part)


def _switch(one: _Element, role: DatapathRole, network: str) -> Switch:
    subnets = [ports.subnet(text) for text in one.subnets if text]
    if role is not DatapathRole.EXTERNAL:
        subnets += [ports.subnet(address) for link in one.links for address in link.addresses]
    in_order = sorted((_known(port, role) for port in one.ports.values()), key=_port_order)
    return Switch(
        id=one.id,
        name=one.name,
        role=role,
        network=network,
        zones=tuple(sorted(one.zones, key=chassis.natural_key)),
        spans=one.spans,
        subnets=tuple(sorted(chassis.merged(subnets), key=lambda text: (":" in text, text))),
        key=one.key,
        ports=tuple(in_order),
    )


def _known(port: Port, role: DatapathRole) -> Port:
    """The port, with kind REMOTE if it is another zone's router port on a transit switch.

    Other zones' rows of it may look like those of any port.
    """
    is_router = (
        role is DatapathRole.TRANSIT and port.kind is PortKind.OTHER and port.zone not in port.seen
    )
    return replace(port, kind=PortKind.REMOTE) if is_router else port


def _port_order(port: Port) -> tuple[Any, ...]:
    namespace = port.owner.namespace if port.owner else ""
    return chassis.natural_key(port.zone), namespace, chassis.natural_key(port.label), port.name


def _router(one: _Element, role: DatapathRole, network: str) -> Router:
    return Router(one.id, one.name, role, network, one.zones[0], one.routes, one.nats)
