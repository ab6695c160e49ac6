"""Folds a graph into networks, the workloads on them, and their members.

Pure. Switches and routers are folded away. User networks come first, the cluster's own last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from weft import names
from weft.observe import chassis, workloads
from weft.observe import graph as graphs
from weft.observe.chassis import merged, natural_key
from weft.observe.graph import Graph, Port, PortKind, Switch, Zone
from weft.observe.workloads import Workload


@dataclass(frozen=True, slots=True)
class Member:
    """A pod's or machine's port on a network. `lacking`: zones that should have a row and do not.

    `mtu` is in bytes, and 0 if it is the network's. `host` is its node's name without the domain.
    """

    port: Port
    lacking: tuple[str, ...] = ()
    mtu: int = 0
    host: str = ""

    @property
    def name(self) -> str:
        return self.port.label

    @property
    def node(self) -> str:
        return self.port.zone

    @property
    def is_machine(self) -> bool:
        return self.port.owner is not None and bool(self.port.owner.machine)

    @property
    def addresses(self) -> tuple[str, ...]:
        """The allocated addresses; without any, those that the guest reports, else its MAC."""
        return self.port.addresses or self.port.reported or (self.port.mac or self.port.name,)

    @property
    def faults(self) -> tuple[str, ...]:
        """The member's faults, each in a few words."""
        port = self.port
        if port.up is not False and not (port.reported or self.mtu or self.lacking):
            return ()  # as nearly all
        found = []
        if port.up is False:
            found.append("not up")
        if port.mismatch:
            found.append(f"guest has {' '.join(port.reported)}")
        if self.mtu:
            found.append(f"MTU {self.mtu}")
        if self.lacking:
            found.append(f"no row of it in {', '.join(self.lacking)}")
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Group:
    """The members of one workload. `others`: further networks that all of them are on."""

    workload: Workload
    members: tuple[Member, ...]
    others: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The workload's name, or that of its only member."""
        return self.workload.name if len(self.members) > 1 else self.members[0].name

    @property
    def counted(self) -> str:
        """Number and kind of the members, such as "pod", "VM" or "3 pods"."""
        machines = sum(member.is_machine for member in self.members)
        several = len(self.members) > 1
        number = f"{len(self.members)} " if several else ""
        if machines == len(self.members):
            return f"{number}VM{'s' if several else ''}"
        if any(member.port.owner is None for member in self.members):
            return f"{number}port{'s' if several else ''}"
        return f"{number}pod{'s' if several else ''}"

    @property
    def isolated(self) -> tuple[str, ...]:
        """Directions in which policies isolate any of them."""
        return merged(one for member in self.members for one in member.port.isolated)

    @property
    def policies(self) -> tuple[str, ...]:
        return merged(one for member in self.members for one in member.port.policies)

    @property
    def nodes(self) -> tuple[str, ...]:
        found = {member.node for member in self.members}
        return tuple(sorted(found, key=natural_key))


@dataclass(frozen=True, slots=True)
class Section:
    """A network with its workloads. `by_node`: how many of its members are on each node."""

    network: graphs.Network
    groups: tuple[Group, ...]
    by_node: Mapping[str, int]

    @property
    def size(self) -> int:
        return sum(len(group.members) for group in self.groups)

    @property
    def faulty(self) -> frozenset[str]:
        """Nodes with a member that has faults."""
        return frozenset(
            member.node for group in self.groups for member in group.members if member.faults
        )


@dataclass(frozen=True, slots=True)
class Overview:
    """`hosts`: the zones' names without their domain."""

    zones: tuple[Zone, ...]
    sections: tuple[Section, ...]
    hosts: Mapping[str, str]

    @property
    def size(self) -> int:
        """How many pods and machines there are, each counted once."""
        found = {
            (owner.namespace, owner.pod) if (owner := member.port.owner) else member.port.name
            for section in self.sections
            for group in section.groups
            for member in group.members
        }
        return len(found)


def fold(graph: Graph) -> Overview:
    """Return the overview of a graph; a pod on several networks is a member of each."""
    joined: dict[tuple[str, str], set[str]] = {}
    for switch in graph.switches:
        for port in switch.ports:
            if port.owner is not None:
                key = port.owner.namespace, port.owner.pod
                joined.setdefault(key, set()).add(switch.network)
    known = (*graph.networks, *graph.absent)
    ordered = sorted(known, key=lambda one: (one.primary, natural_key(one.name)))
    hosts = chassis.hosts(zone.name for zone in graph.zones)
    sections = (_section(graph, network, joined, hosts) for network in ordered)
    return Overview(graph.zones, tuple(sections), hosts)


def _section(
    graph: Graph,
    network: graphs.Network,
    joined: Mapping[tuple[str, str], set[str]],
    hosts: Mapping[str, str],
) -> Section:
    groups: dict[Workload, list[Member]] = {}
    for switch in graph.of(network.name):
        for port in switch.ports:
            if port.kind is PortKind.POD or (port.kind is PortKind.OTHER and not switch.spans):
                groups.setdefault(_workload(port), []).append(_member(switch, port, network, hosts))
    listed = [
        Group(workload, tuple(sorted(found, key=_order)), _others(found, network.name, joined))
        for workload, found in groups.items()
    ]
    listed.sort(key=lambda group: (natural_key(group.workload.namespace), natural_key(group.name)))
    counted = Counter(member.node for group in listed for member in group.members)
    return Section(network, tuple(listed), counted)


def _member(
    switch: Switch, port: Port, network: graphs.Network, hosts: Mapping[str, str]
) -> Member:
    odd = port.mtu if port.mtu != network.mtu else 0
    host = hosts.get(port.zone, port.zone)
    return Member(port, graphs.missing_from(switch, port), odd, host)


def _order(member: Member) -> tuple[object, ...]:
    return not member.faults, natural_key(member.name), member.port.name


def _workload(port: Port) -> Workload:
    if port.owner is None:
        return Workload("", port.name)
    owner = port.owner
    return owner.workload or workloads.of(owner.namespace, owner.pod, owner.machine)


def _others(
    members: Iterable[Member], network: str, joined: Mapping[tuple[str, str], set[str]]
) -> tuple[str, ...]:
    each = [
        joined.get((owner.namespace, owner.pod), set()) if (owner := member.port.owner) else set()
        for member in members
    ]
    # Every pod is on the default network.
    common = set.intersection(*each) - {network, names.DEFAULT_NETWORK}
    return tuple(sorted(common, key=natural_key))
