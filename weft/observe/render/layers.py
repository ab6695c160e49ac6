"""Arranges a graph in the layers of a logical picture: its rows, and what is in each.

The first primary network is on top, from the physical network down to its node switches; then
come the pods; below them the other networks, each from the switches that pods are on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from weft.observe.graph import DatapathRole, Graph, Network, Port, PortKind, Switch, present
from weft.observe.render import cards, colours

# From the physical network to the pods.
_TOP = (
    *(
        DatapathRole.LOCALNET,
        DatapathRole.EXTERNAL,
        DatapathRole.GATEWAY,
        DatapathRole.JOIN,
        DatapathRole.CLUSTER,
        DatapathRole.TRANSIT,
    ),
    *(DatapathRole.LAYER2, DatapathRole.NODE, DatapathRole.LONE),
)
# From the pods to the physical network.
_BELOW = (
    *(
        DatapathRole.LONE,
        DatapathRole.NODE,
        DatapathRole.LAYER2,
        DatapathRole.CLUSTER,
        DatapathRole.TRANSIT,
    ),
    *(DatapathRole.JOIN, DatapathRole.GATEWAY, DatapathRole.EXTERNAL, DatapathRole.LOCALNET),
)
_SHOWN = (PortKind.POD, PortKind.OTHER)


@dataclass(frozen=True, slots=True)
class Band:
    """A band across zones: a switch that spans them or, if `physical`, a network of the nodes."""

    id: str
    name: str
    more: str
    title: str
    zones: tuple[str, ...]
    hue: int | None
    physical: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One band, or cards by zone."""

    caption: str
    network: str
    band: Band | None
    cards: Mapping[str, tuple[cards.Card, ...]]


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection of two cards, or of a card and a band, in one zone.

    `labels` are at the `router` end.
    """

    router: str
    other: str
    zone: str
    labels: tuple[str, ...]
    title: str
    hue: int | None


@dataclass(frozen=True, slots=True)
class Layers:
    """The rows of the picture and their connections; `nics` are by zone and pod card."""

    top: tuple[Row, ...]
    pods: Mapping[str, tuple[cards.Card, ...]]
    below: tuple[Row, ...]
    connections: tuple[Connection, ...]
    nics: Mapping[str, Mapping[str, tuple[cards.Nic, ...]]]
    networks: tuple[Network, ...]
    upper: str


def arrange(graph: Graph) -> Layers:
    """The layers of a graph."""
    upper = next((network.name for network in graph.networks if network.primary), "")
    hues = {network.name: colours.of(network.name) for network in graph.networks}
    nics = _nics(graph, upper, hues)
    unread = _not_read(graph)
    rows = {
        network.name: list(_rows(graph, network.name, hues[network.name], network.name == upper))
        for network in graph.networks
    }
    return Layers(
        top=tuple(rows.get(upper, ())),
        pods={
            zone: tuple(
                cards.pod(group, id, read=zone not in unread) for id, group in groups.items()
            )
            for zone, groups in nics.items()
        },
        below=tuple(row for network, found in rows.items() if network != upper for row in found),
        connections=tuple(_connections(graph, hues)),
        nics=nics,
        networks=graph.networks,
        upper=upper,
    )


def _nics(
    graph: Graph, upper: str, hues: Mapping[str, int]
) -> dict[str, dict[str, tuple[cards.Nic, ...]]]:
    found: dict[str, dict[str, tuple[cards.Nic, ...]]] = {zone.name: {} for zone in graph.zones}
    order = {network.name: place for place, network in enumerate(graph.networks)}
    for switch in sorted(graph.switches, key=lambda switch: order[switch.network]):
        for port in switch.ports:
            if port.kind not in _SHOWN or port.zone not in found:
                continue
            who = port.owner
            id = f"pod {who.namespace}/{who.pod}" if who else f"port {switch.id} {port.name}"
            nic = cards.Nic(switch, port, hues[switch.network], switch.network == upper)
            groups = found[port.zone]
            groups[id] = (*groups.get(id, ()), nic)
    return {
        zone: dict(sorted(groups.items(), key=lambda item: _pod_order(item[1][0].port)))
        for zone, groups in found.items()
    }


def _pod_order(port: Port) -> tuple[bool, str, str, str]:
    owner = port.owner
    return (owner is None, owner.namespace if owner else "", port.label, port.name)


def _rows(graph: Graph, network: str, hue: int, top: bool) -> Iterator[Row]:
    physical = _physical(graph, network)
    if top:
        yield from physical
    for role in _TOP if top else _BELOW:
        yield from _role(graph, network, role, hue)
    if not top:
        yield from physical


def _role(graph: Graph, network: str, role: DatapathRole, hue: int) -> Iterator[Row]:
    switches = [one for one in graph.of(network) if one.role is role]
    found: dict[str, tuple[cards.Card, ...]] = {}
    for one in graph.routers:
        if one.network == network and one.role is role:
            links = [link for link in graph.links if link.router == one.id]
            found[one.zone] = (*found.get(one.zone, ()), cards.router(one, links, hue))
    if role is DatapathRole.CLUSTER:
        for switch, port in _unread(graph, network):
            card = cards.stand_in(switch, port, hue)
            found[port.zone] = (*found.get(port.zone, ()), card)
    for switch in switches:
        if not switch.spans:
            zone = switch.zones[0]
            found[zone] = (*found.get(zone, ()), cards.switch(switch, hue))
    if found:
        yield Row(role.value, network, None, found)
    for switch in switches:
        if switch.spans:
            name, more, title = cards.band(switch, graph)
            band = Band(switch.id, name, more, title, present(graph, switch), hue)
            yield Row(role.value, network, band, {})


def _not_read(graph: Graph) -> set[str]:
    return {zone.name for zone in graph.zones if not zone.read}


def _unread(graph: Graph, network: str) -> Iterator[tuple[Switch, Port]]:
    """Remote ports of zones that were not read; nothing else is known of their routers."""
    unread = _not_read(graph)
    for switch in graph.of(network):
        for port in switch.ports:
            if port.kind is PortKind.REMOTE and port.zone in unread:
                yield switch, port


def _physical(graph: Graph, network: str) -> Iterator[Row]:
    """The physical networks that the localnet ports of a network lead to."""
    found: dict[str, list[str]] = {}
    for switch in graph.of(network):
        for port in switch.ports:
            if port.kind is PortKind.LOCALNET:
                found.setdefault(port.physical, []).extend(switch.zones)
    for name, zones in sorted(found.items()):
        present = tuple(zone.name for zone in graph.zones if zone.name in zones)
        title = f"physical network {name}, reached from {', '.join(present)}"
        band = Band(physical_id(network, name), name, "", title, present, None, physical=True)
        yield Row("physical network", network, band, {})


def physical_id(network: str, name: str) -> str:
    """The id of the card of a physical network."""
    return f"physical {network} {name}"


def _connections(graph: Graph, hues: Mapping[str, int]) -> Iterator[Connection]:
    for link in graph.links:
        hue = next(hues[one.network] for one in graph.switches if one.id == link.switch)
        title = "\n".join((link.port, *link.addresses, link.mac))
        yield Connection(link.router, link.switch, link.zone, link.addresses, title, hue)
    for switch in graph.switches:
        yield from _outward(switch, hues[switch.network])
    for network in graph.networks:
        for switch, port in _unread(graph, network.name):
            id, hue = f"{switch.id} {port.name}", hues[network.name]
            yield Connection(id, switch.id, port.zone, (), port.name, hue)


def _outward(switch: Switch, hue: int) -> Iterable[Connection]:
    for port in switch.ports:
        if port.kind is PortKind.LOCALNET:
            other = physical_id(switch.network, port.physical)
            for zone in switch.zones:
                yield Connection(switch.id, other, zone, (), port.name, hue)
