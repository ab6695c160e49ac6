"""Finds the nodes and the tunnels between them: snapshots in, an underlay out; pure.

Each node's Open vSwitch has the tunnels that ovn-controller made; its Southbound database has the
chassis to which it should make them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from weft import names, rows
from weft.observe import chassis
from weft.observe.graph import PortPod, Zone
from weft.observe.snapshot import NETWORK_IDS, Snapshot, entries, members, text

TUNNELS = frozenset({"geneve", "vxlan", "stt"})


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface of Open vSwitch. `port` is its logical port, `mtu` is in bytes (0: unknown), and
    `error` is the reason why the switch cannot use it."""

    name: str
    type: str
    port: str = ""
    owner: PortPod | None = None
    network: str = ""
    mac: str = ""
    mtu: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Bridge:
    name: str
    datapath: str
    interfaces: tuple[Interface, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """A node; `egress` are the names of the devices through which its tunnels leave."""

    zone: Zone
    bridges: tuple[Bridge, ...] = ()
    egress: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.zone.name


@dataclass(frozen=True, slots=True)
class End:
    """A tunnel's interface on one of its nodes. `answers`: whether the other node does, as far as
    the agent here knows."""

    node: str
    device: str
    local: str
    remote: str
    carrier: bool
    answers: bool = True


class TunnelState(StrEnum):
    """The state of a tunnel. `UNREAD`: the node at the other end was not read."""

    WHOLE = "whole"
    HALF = "half"
    NONE = "none"
    UNREAD = "unread"

    @property
    def works(self) -> bool:
        return self in (TunnelState.WHOLE, TunnelState.UNREAD)

    @property
    def text(self) -> str:
        return {
            TunnelState.WHOLE: "up at both ends",
            TunnelState.HALF: "at one of its nodes only",
            TunnelState.NONE: "nothing can pass",
            TunnelState.UNREAD: "up at one end, the other node was not read",
        }[self]


@dataclass(frozen=True, slots=True)
class Tunnel:
    nodes: tuple[str, str]
    type: str
    ends: tuple[End, ...]
    state: TunnelState


@dataclass(frozen=True, slots=True)
class Underlay:
    """Nodes, and the tunnels between them; a tunnel for each pair that has or should have one."""

    nodes: tuple[Node, ...] = ()
    tunnels: tuple[Tunnel, ...] = ()


def build(snapshots: Sequence[Snapshot]) -> Underlay:
    """Return the underlay of the zones that were read, and of the chassis that they know."""
    zones = chassis.find(snapshots)
    read = {zone.name: snapshot for zone, snapshot in zones.read if zone.read}
    nodes = tuple(
        _node(zone, read[zone.name]) if zone.name in read else Node(zone) for zone in zones.listed
    )
    return Underlay(nodes, tuple(_tunnels(zones, read)))


def _node(zone: Zone, snapshot: Snapshot) -> Node:
    bridges = tuple(
        Bridge(
            text(row, "name"),
            text(row, "datapath_type") or "system",
            tuple(sorted(_interfaces(snapshot, row), key=_order)),
        )
        for row in snapshot.of("Bridge").values()
    )
    status = [entries(row, "status") for row in snapshot.of("Interface").values()]
    egress = chassis.merged(sorted(one.get("tunnel_egress_iface", "") for one in status))
    return Node(zone, tuple(sorted(bridges, key=lambda bridge: bridge.name)), egress)


def _order(interface: Interface) -> tuple[bool, str, str]:
    owner = interface.owner
    whose = f"{owner.namespace}/{owner.name}" if owner else ""
    return owner is None, f"{whose} {interface.network}", interface.name


def _interfaces(snapshot: Snapshot, bridge: rows.Columns) -> Iterator[Interface]:
    for port in snapshot.referred("Port", bridge, "ports"):
        for row in snapshot.referred("Interface", port, "interfaces"):
            external = entries(row, "external_ids")
            port_name, mtu = external.get("iface-id", ""), row.get("mtu")
            yield Interface(
                name=text(row, "name"),
                type=text(row, "type") or "system",
                port=port_name,
                owner=chassis.owner(external, port_name),
                network=next((external[key] for key in NETWORK_IDS if external.get(key)), ""),
                mac=external.get("attached_mac") or text(row, "mac_in_use"),
                mtu=mtu if isinstance(mtu, int) else 0,
                error=next(iter(members(row, "error")), ""),
            )


def _tunnels(zones: chassis.Zones, read: dict[str, Snapshot]) -> Iterator[Tunnel]:
    """Each pair of nodes of which one has a tunnel to the other, or should have."""
    order = {zone.name: place for place, zone in enumerate(zones.listed)}
    named = {address: zone.name for zone in zones.listed for address in zone.addresses}
    found: dict[tuple[str, str], dict[str, End]] = {}
    types: dict[tuple[str, str], str] = {}

    def pair(one: str, other: str) -> tuple[str, str]:
        return (one, other) if order[one] < order[other] else (other, one)

    for name, snapshot in read.items():
        silent = _silent(snapshot)
        for row in snapshot.of("Chassis").values():
            other = zones.by_chassis.get(text(row, "name"), name)
            if other != name and other in order:
                found.setdefault(pair(name, other), {})
        for row in snapshot.of("Interface").values():
            if text(row, "type") in TUNNELS:
                end = _end(name, row, silent)
                other = named.get(end.remote, name)
                if other != name:
                    found.setdefault(pair(name, other), {})[name] = end
                    types[pair(name, other)] = text(row, "type")
    for key in sorted(found, key=lambda key: (order[key[0]], order[key[1]])):
        ends = found[key]
        in_order = tuple(ends[node] for node in key if node in ends)
        yield Tunnel(key, types.get(key, "tunnel"), in_order, _state(key, ends, read))


def _silent(snapshot: Snapshot) -> frozenset[str]:
    """The names of tunnels into which this node's agent sends without an answer."""
    return frozenset(
        text(row, "name")
        for row in snapshot.of("Port").values()
        if entries(row, "external_ids").get(names.TUNNEL_STATE) == "down"
    )


def _end(node: str, row: rows.Columns, silent: frozenset[str]) -> End:
    options, status = entries(row, "options"), entries(row, "status")
    return End(
        node=node,
        device=text(row, "name"),
        local=options.get("local_ip", ""),
        remote=options.get("remote_ip", ""),
        carrier=status.get("tunnel_egress_iface_carrier", "up") == "up",
        answers=text(row, "name") not in silent,
    )


def _state(key: tuple[str, str], ends: dict[str, End], read: dict[str, Snapshot]) -> TunnelState:
    if any(not (end.carrier and end.answers) for end in ends.values()):
        return TunnelState.NONE
    if len(ends) == 2:
        return TunnelState.WHOLE
    if not ends:
        return TunnelState.NONE
    return TunnelState.HALF if all(node in read for node in key) else TunnelState.UNREAD
