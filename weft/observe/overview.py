"""Folds a graph into networks, the workloads on them, and their members.

Pure. Switches and routers are folded away. User networks come first, the cluster's own last.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from weft import names
from weft.observe import chassis, workloads
from weft.observe import graph as graphs
from weft.observe.chassis import merged, natural_key
from weft.observe.graph import Graph, Port, PortKind, Switch, Zone
from weft.observe.remembered import Memo
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
    size: int
    faults: int  # members that have some
    faulty: frozenset[str]  # nodes with such a member


@dataclass(frozen=True, slots=True)
class Overview:
    """`hosts`: the zones' names without their domain. `size`: how many pods and machines there are,
    each counted once."""

    zones: tuple[Zone, ...]
    sections: tuple[Section, ...]
    hosts: Mapping[str, str]
    size: int


def fold(graph: Graph, memo: Memo | None = None) -> Overview:
    """Return the overview of a graph; a pod on several networks is a member of each."""
    memo = Memo() if memo is None else memo
    folding = [_Folding(network, graph.of(network.name)) for network in _ordered(graph)]
    everybody: set[_Who] = set()
    counted: Counter[_Who] = Counter()
    joined: dict[_Who, set[str]] = {}
    for each in folding:
        found = memo.of(("who", each.network.name), each.switches, each.identified)
        each.owners, members = found
        everybody |= members
        counted.update(each.owners)
    for each in folding:
        for who in each.owners:
            if counted[who] > 1:
                joined.setdefault(who, set()).add(each.network.name)
    hosts = chassis.hosts(zone.name for zone in graph.zones)
    sections = tuple(_remembered(memo, each, joined, hosts) for each in folding)
    return Overview(graph.zones, sections, hosts, len(everybody))


_Who = tuple[str, ...]  # a pod's namespace and name, or a port's name


def _ordered(graph: Graph) -> list[graphs.Network]:
    known = (*graph.networks, *graph.absent)
    return sorted(known, key=lambda one: (one.primary, natural_key(one.name)))


@dataclass
class _Folding:
    """A network of which a section is made. `owners`: the pods that have a port on it."""

    network: graphs.Network
    switches: tuple[Switch, ...]
    owners: frozenset[_Who] = frozenset()

    def ports(self) -> Iterator[tuple[Switch, Port]]:
        """The ports that are members'."""
        for switch in self.switches:
            for port in switch.ports:
                if port.kind is PortKind.POD or (port.kind is PortKind.OTHER and not switch.spans):
                    yield switch, port

    def identified(self) -> tuple[frozenset[_Who], frozenset[_Who]]:
        """The owners, and the members, each once."""
        ports = (port for switch in self.switches for port in switch.ports)
        owners = frozenset(_who(port) for port in ports if port.owner is not None)
        return owners, frozenset(_who(port) for _, port in self.ports())


def _who(port: Port) -> _Who:
    return (owner.namespace, owner.pod) if (owner := port.owner) else (port.name,)


def _remembered(
    memo: Memo, each: _Folding, joined: Mapping[_Who, set[str]], hosts: Mapping[str, str]
) -> Section:
    """The section of a network, made once of the same."""
    several = {who: joined[who] for who in each.owners & joined.keys()}
    given = each.network, each.switches, several, hosts
    make = functools.partial(_section, each, several, hosts)
    return memo.of(("section", each.network.name), given, make)


def _section(each: _Folding, joined: Mapping[_Who, set[str]], hosts: Mapping[str, str]) -> Section:
    network = each.network
    groups: dict[Workload, list[Member]] = {}
    for switch, port in each.ports():
        groups.setdefault(_workload(port), []).append(_member(switch, port, network, hosts))
    listed = [
        Group(workload, tuple(sorted(found, key=_order)), _others(found, network.name, joined))
        for workload, found in groups.items()
    ]
    listed.sort(key=lambda group: (natural_key(group.workload.namespace), natural_key(group.name)))
    members = [member for group in listed for member in group.members]
    wrong = [member.node for member in members if member.faults]
    by_node = Counter(member.node for member in members)
    return Section(network, tuple(listed), by_node, len(members), len(wrong), frozenset(wrong))


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
    members: Iterable[Member], network: str, joined: Mapping[_Who, set[str]]
) -> tuple[str, ...]:
    common: set[str] | None = None
    for member in members:
        found = joined.get(_who(member.port)) if member.port.owner else None
        if not found:
            return ()
        common = found if common is None else common & found
    # Every pod is on the default network.
    return tuple(sorted((common or set()) - {network, names.DEFAULT_NETWORK}, key=natural_key))
