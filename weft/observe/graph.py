"""Defines the parts of a logical picture: zones, networks, switches, routers, ports, links.

`topology` finds them in rows, `render` draws them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from weft.observe.workloads import Workload


class DatapathRole(StrEnum):
    """What a switch or router is for, judged by what it is connected to."""

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
    """One node with its zone of OVN. `read` is False if it is known from other zones only, and
    `trouble` is then the error, if there was one."""

    name: str
    chassis: str = ""
    addresses: tuple[str, ...] = ()
    read: bool = True
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class PortPod:
    """The pod that a port belongs to. `machine` is the virtual machine's name if the pod runs one;
    `workload` is what controls the pod by its ownerReferences, if anything does."""

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

    `up` is read from its own zone; None if unknown. `peer` is the router port behind it.
    `mtu` is in bytes, 0 if unknown. `isolated` are the directions ("ingress", "egress") in
    which policies drop what they do not allow, `policies` those that select it. `reported` are the
    addresses that the guest's agent reports, which may differ from the allocated ones.
    """

    name: str
    kind: PortKind
    zone: str
    mac: str = ""
    addresses: tuple[str, ...] = ()
    owner: PortPod | None = None
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
        """Whether the guest reports other addresses than were allocated to it."""
        return bool(self.reported and self.addresses) and set(self.reported) != set(self.addresses)

    @property
    def label(self) -> str:
        return self.owner.name if self.owner else self.name


@dataclass(frozen=True, slots=True)
class Switch:
    """`zones` are the zones that have the switch: one, unless it `spans` several."""

    id: str
    name: str
    role: DatapathRole
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
    role: DatapathRole
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
    """`primary`: it has a gateway, or is the default network; the logical picture puts it on top.

    `mtu` is in bytes, 0 if unknown. `free` is the number of free addresses in the family that has
    fewer; None if the network has no subnets or its NAD is not known. `reasons` are those of the
    conditions of its Network object that are false, `troubles` what is wrong, in sentences.
    """

    name: str
    topology: str
    primary: bool
    subnets: tuple[str, ...] = ()
    mtu: int = 0
    free: int | None = None
    reasons: tuple[str, ...] = ()
    troubles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Graph:
    """Everything in a fixed order, so that the same rows give the same picture.

    `absent`: networks with a trouble that no zone has a switch of, as of an invalid NAD.
    """

    zones: tuple[Zone, ...] = ()
    networks: tuple[Network, ...] = ()
    switches: tuple[Switch, ...] = ()
    routers: tuple[Router, ...] = ()
    links: tuple[Link, ...] = ()
    absent: tuple[Network, ...] = ()

    def of(self, network: str) -> tuple[Switch, ...]:
        return tuple(switch for switch in self.switches if switch.network == network)


def present(graph: Graph, switch: Switch) -> tuple[str, ...]:
    """Zones that have the switch, and those that were not read and have ports on it."""
    unread = {zone.name for zone in graph.zones if not zone.read}
    bound = {port.zone for port in switch.ports if port.zone in unread}
    return tuple(zone.name for zone in graph.zones if zone.name in {*switch.zones, *bound})


def missing_from(switch: Switch, port: Port) -> tuple[str, ...]:
    """Zones that have the switch and no row of a port that all of them should know.

    A localport exists in every zone on its own, so it is never missing.
    """
    if not switch.zones or not switch.spans or port.kind is PortKind.LOCALPORT:
        return ()
    return tuple(zone for zone in switch.zones if zone not in port.seen)
