"""Defines the parts of a logical picture: zones, networks, switches, routers, ports, links.

How they are found in rows is for `topology`, how they are drawn for `render`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from weft.observe.workloads import Workload


class Role(StrEnum):
    """What a switch or router is for; told from what it is connected to."""

    EXTERNAL = "external switch"
    GATEWAY = "gateway router"
    JOIN = "join switch"
    CLUSTER = "cluster router"
    TRANSIT = "transit switch"
    NODE = "node switch"
    LAYER2 = "layer 2 switch"
    LOCALNET = "localnet switch"
    LONE = "switch"


class PortKind(StrEnum):
    """What is behind a switch's port."""

    POD = "pod"
    ROUTER = "router"
    REMOTE = "remote"
    LOCALNET = "localnet"
    LOCALPORT = "localport"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Zone:
    """One node. `read` False: known from others only; `trouble` says why it could not be read."""

    name: str
    chassis: str = ""
    addresses: tuple[str, ...] = ()
    read: bool = True
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose port it is. `machine` is the virtual machine's name if the pod runs one; `workload` is
    what Kubernetes says that controls the pod, if anything does."""

    namespace: str
    pod: str
    machine: str = ""
    workload: Workload | None = None

    @property
    def name(self) -> str:
        return self.machine or self.pod

    @property
    def kind(self) -> str:
        return "VM" if self.machine else "pod"


@dataclass(frozen=True, slots=True)
class Port:
    """A switch's port. `zone` is where it is bound, `seen` the zones that have a row of it.

    `up` is what its own zone says; None where nobody says. `peer` is the router port behind it.
    `mtu` is in bytes, 0 where nobody says. `isolated` are the directions ("ingress", "egress") in
    which policies drop what they do not allow, `policies` those that select it. `reported` are the
    addresses that the guest's agent reports: what a guest says, not what it was given.
    """

    name: str
    kind: PortKind
    zone: str
    mac: str = ""
    addresses: tuple[str, ...] = ()
    owner: Owner | None = None
    key: str = ""
    up: bool | None = None
    seen: tuple[str, ...] = ()
    peer: str = ""
    physical: str = ""
    mtu: int = 0
    isolated: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()
    reported: tuple[str, ...] = ()

    @property
    def mismatch(self) -> bool:
        """Whether the guest has other addresses than those that it was given."""
        return bool(self.reported and self.addresses) and set(self.reported) != set(self.addresses)

    @property
    def label(self) -> str:
        return self.owner.name if self.owner else self.name


@dataclass(frozen=True, slots=True)
class Switch:
    """`zones` has one member, or as many as the switch has zones that it spans."""

    id: str
    name: str
    role: Role
    network: str
    zones: tuple[str, ...]
    spans: bool
    subnets: tuple[str, ...]
    key: str
    ports: tuple[Port, ...]


@dataclass(frozen=True, slots=True)
class Route:
    prefix: str
    via: str
    policy: str = ""


@dataclass(frozen=True, slots=True)
class Nat:
    """A row of OVN's table NAT; `type` is snat, dnat or dnat_and_snat."""

    type: str
    logical_ip: str
    external_ip: str


@dataclass(frozen=True, slots=True)
class Router:
    id: str
    name: str
    role: Role
    network: str
    zone: str
    routes: tuple[Route, ...] = ()
    nats: tuple[Nat, ...] = ()


@dataclass(frozen=True, slots=True)
class Link:
    """A router's port on a switch; `addresses` are the router's there."""

    switch: str
    router: str
    zone: str
    port: str
    mac: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Network:
    """`primary`: it has ways out, or is called default; the logical picture puts the first on top.

    `mtu` is in bytes, 0 where nobody says. `free` addresses are left of its fullest family; None
    where its definition is not known, or it has no subnets.
    """

    name: str
    topology: str
    primary: bool
    subnets: tuple[str, ...] = ()
    mtu: int = 0
    free: int | None = None


@dataclass(frozen=True, slots=True)
class Graph:
    """Everything in a fixed order, so that the same rows give the same picture."""

    zones: tuple[Zone, ...] = ()
    networks: tuple[Network, ...] = ()
    switches: tuple[Switch, ...] = ()
    routers: tuple[Router, ...] = ()
    links: tuple[Link, ...] = ()

    def of(self, network: str) -> tuple[Switch, ...]:
        return tuple(switch for switch in self.switches if switch.network == network)


def present(graph: Graph, switch: Switch) -> tuple[str, ...]:
    """Zones that have the switch, and those that were not read and have ports on it."""
    unread = {zone.name for zone in graph.zones if not zone.read}
    bound = {port.zone for port in switch.ports if port.zone in unread}
    return tuple(zone.name for zone in graph.zones if zone.name in {*switch.zones, *bound})


def missing_from(switch: Switch, port: Port) -> tuple[str, ...]:
    """Zones that have the switch and no row of a port that all of them should know.

    A localport is a zone's own affair.
    """
    if not switch.spans or port.kind is PortKind.LOCALPORT:
        return ()
    return tuple(zone for zone in switch.zones if zone not in port.seen)
