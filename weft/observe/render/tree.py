"""Writes a topology for a terminal as indented lines, zone by zone, without colours.

A network's lines begin at its gateway or router, and end at its pods.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from weft.observe import graph as graphs
from weft.observe.graph import DatapathRole, Graph, Port, PortKind, Router, Switch, Zone
from weft.observe.render import cards, lettering
from weft.observe.underlay import TUNNELS, Bridge, Interface, Node, Tunnel, Underlay

_FEW = 4  # routes that are listed one by one
_RANKS = {
    role: rank
    for rank, role in enumerate(
        (
            *(
                DatapathRole.EXTERNAL,
                DatapathRole.LOCALNET,
                DatapathRole.GATEWAY,
                DatapathRole.JOIN,
                DatapathRole.CLUSTER,
            ),
            *(DatapathRole.TRANSIT, DatapathRole.LAYER2, DatapathRole.NODE, DatapathRole.LONE),
        )
    )
}


@dataclass
class Branch:
    """A line and the lines below it."""

    line: str
    below: list[Branch] = field(default_factory=list)


def logical(graph: Graph, width: int = 0) -> str:
    """Write the graph zone by zone. Lines longer than `width` characters are continued below; with
    0 none is."""
    branches = []
    if graph.networks:
        branches.append(Branch("networks", [Branch(_network(graph, n)) for n in graph.networks]))
    for zone in graph.zones:
        about = [f"zone {zone.name}", *zone.addresses, _unread(zone)]
        below = [
            Branch(network.name, below)
            for network in graph.networks
            if (below := _in_zone(graph, network.name, zone.name))
        ]
        branches.append(Branch(_spaced(about), below or [Branch("nothing here")]))
    return _written(branches, width)


def physical(underlay: Underlay, width: int = 0) -> str:
    """Write the underlay node by node, then the tunnels; `width` as in `logical`."""
    branches = [
        Branch(
            _spaced([f"node {node.name}", *node.zone.addresses, node.zone.chassis]),
            _bridges(node) or [Branch(_unread(node.zone) or "no bridges")],
        )
        for node in underlay.nodes
    ]
    if underlay.tunnels:
        branches.append(Branch("tunnels", [_tunnel(tunnel) for tunnel in underlay.tunnels]))
    return _written(branches, width)


def _written(branches: Iterable[Branch], width: int) -> str:
    lines: list[str] = []
    for branch in branches:
        lines += [""] if lines else []
        lines += folded(lettering.printable(branch.line), width, "  ")
        _write(lines, branch.below, "", width)
    return "".join(f"{line}\n" for line in lines)


def _write(lines: list[str], branches: Sequence[Branch], before: str, width: int) -> None:
    for number, branch in enumerate(branches):
        last = number == len(branches) - 1
        below = before + ("   " if last else "│  ")
        room = max(width - len(below), 20) if width else 0
        first, *more = folded(lettering.printable(branch.line), room, "  ")
        lines.append(f"{before}{'└─ ' if last else '├─ '}{first}")
        hanging = "│" if branch.below else " "
        lines += [f"{below}{hanging}{line[1:]}" for line in more]
        _write(lines, branch.below, below, width)


def folded(line: str, width: int, indent: str) -> list[str]:
    """The line, or what fits of it and the rest below with an indent; 0: all of it fits.

    Broken between parts, which two blanks separate, or else between words.
    """
    if not width or len(line) <= width:
        return [line]
    found = [""]
    for part in line.split("  "):
        if len(found[-1]) + 2 + len(part) <= width and found[-1]:
            found[-1] += f"  {part}"
            continue
        start = indent if found != [""] else ""
        more = textwrap.wrap(
            part, width, initial_indent=start, subsequent_indent=indent, break_on_hyphens=False
        )
        found = [*(found if found != [""] else []), *more]
    return found


def _spaced(parts: Iterable[str]) -> str:
    return "  ".join(part for part in parts if part)


def _unread(zone: Zone) -> str:
    if zone.trouble:
        return f"cannot be read: {zone.trouble}"
    return "" if zone.read else "not read"


def _network(graph: Graph, network: graphs.Network) -> str:
    zones = {zone for switch in graph.of(network.name) for zone in graphs.present(graph, switch)}
    inside = [zone.name for zone in graph.zones if zone.name in zones]
    where = f"in {', '.join(inside)}" if inside else ""
    return _spaced([network.name, network.topology, *network.subnets, where])


def _in_zone(graph: Graph, network: str, zone: str) -> list[Branch]:
    """The network's switches and routers in one zone, each below what leads to it."""
    things: dict[str, Switch | Router] = {}
    for switch in graph.of(network):
        if zone in switch.zones or any(port.zone == zone for port in switch.ports):
            things[switch.id] = switch
    for router in graph.routers:
        if (router.network, router.zone) == (network, zone):
            things[router.id] = router
    in_order = sorted(things, key=lambda id: (_RANKS[things[id].role], things[id].name, id))
    around: dict[str, list[str]] = {}
    addresses: dict[tuple[str, str], str] = {}
    for link in graph.links:
        if link.zone == zone and {link.switch, link.router} <= things.keys():
            around.setdefault(link.switch, []).append(link.router)
            around.setdefault(link.router, []).append(link.switch)
            addresses[link.switch, link.router] = ", ".join(link.addresses)
    seen: set[str] = set()

    def grow(id: str, above: str) -> Branch:
        seen.add(id)
        thing = things[id]
        pair = (above, id) if isinstance(thing, Router) else (id, above)
        branch = Branch(_spaced([thing.name, thing.role.value, addresses.get(pair, "")]))
        if isinstance(thing, Router):
            branch.below += [Branch(line) for line in _ways(thing)]
        else:
            branch.line = _spaced([branch.line, *_switch(graph, thing, zone, branch.line)])
        for next_id in in_order:
            if next_id in around.get(id, ()) and next_id not in seen:
                branch.below.append(grow(next_id, id))
        if isinstance(thing, Switch):
            branch.below += [Branch(_port(thing, port)) for port in _ports(thing, zone)]
        return branch

    return [grow(id, "") for id in in_order if id not in seen]


def _switch(graph: Graph, switch: Switch, zone: str, line: str) -> list[str]:
    others = [name for name in graphs.present(graph, switch) if name != zone]
    found = [subnet for subnet in switch.subnets if subnet not in line]
    found += [f"to {port.physical}" for port in switch.ports if port.kind is PortKind.LOCALNET]
    if switch.spans:
        found.append(f"also in {', '.join(others)}" if others else "in no other zone")
    return found


def _ports(switch: Switch, zone: str) -> list[Port]:
    """The ports, without those that appear as links or physical networks."""
    hidden = (PortKind.ROUTER, PortKind.LOCALNET)
    return [port for port in switch.ports if port.zone == zone and port.kind not in hidden]


def _port(switch: Switch, port: Port) -> str:
    owner = port.owner
    whose = f"{owner.kind} {owner.namespace}/{owner.name}" if owner else f"port {port.name}"
    kind = port.kind.value if port.kind in (PortKind.LOCALPORT, PortKind.REMOTE) else ""
    parts = [whose, kind, *port.addresses, port.mac]
    if port.up is False:
        parts.append("not up")
    if missing := graphs.missing_from(switch, port):
        parts.append(f"no row of it in {', '.join(missing)}")
    return _spaced(parts)


def _ways(router: Router) -> list[str]:
    found = [f"{nat.type} {nat.logical_ip} to {nat.external_ip}" for nat in router.nats]
    routes = [f"route {cards.written(route)}" for route in router.routes]
    if len(routes) > _FEW + 1:
        routes[_FEW:] = [f"and {len(routes) - _FEW} more routes"]
    return found + routes


def _bridges(node: Node) -> list[Branch]:
    return [
        Branch(
            _spaced([bridge.name, f"datapath {bridge.datapath}", _egress(node, bridge)]),
            [Branch(_interface(one)) for one in bridge.interfaces if one.type not in TUNNELS],
        )
        for bridge in node.bridges
    ]


def _egress(node: Node, bridge: Bridge) -> str:
    return "carries the tunnels" if bridge.name in node.egress else ""


def _interface(one: Interface) -> str:
    if one.owner is None:
        return _spaced([one.name, one.type, one.error])
    whose = f"{one.owner.kind} {one.owner.namespace}/{one.owner.name}"
    on = f"on {one.network}" if one.network else ""
    return _spaced([one.name, one.type, whose, on, one.mac, one.error])


def _tunnel(tunnel: Tunnel) -> Branch:
    line = f"{tunnel.nodes[0]} to {tunnel.nodes[1]}  {tunnel.type}: {tunnel.state.text}"
    ends = [f"{end.node}: {end.device}  {end.local} to {end.remote}" for end in tunnel.ends]
    return Branch(line, [Branch(end) for end in ends])
