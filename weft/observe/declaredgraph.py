"""Makes the graph of networks and their members from Kubernetes objects alone.

Pure. `topology` makes the same graph from OVN's databases, which only nodes can read: this one has
what was declared and allocated, and no port's state.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from weft.model import ObjectKey
from weft.observe import chassis, details, members
from weft.observe.graph import (
    DatapathRole,
    Graph,
    Network,
    Port,
    PortKind,
    PortPod,
    Switch,
    Zone,
)
from weft.observe.members import Object, Objects
from weft.observe.reach import Member
from weft.policy import evaluator
from weft.policy.netpolicy import Endpoint, Policy

_ROLES = {"localnet": DatapathRole.LOCALNET, "layer3": DatapathRole.NODE}


def build(objects: Objects, nodes: Iterable[Object]) -> Graph:
    """The graph of accepted networks, with details. `nodes` may be those that pods name alone."""
    known = members.networks(objects)
    policies = members.in_force(objects)
    specs = details.specs(objects)
    everybody = members.everywhere(objects)
    reports = details.reported(objects.instances)
    guarding: dict[str, list[Policy]] = {}
    for each in policies:
        for network in each.networks(known):
            guarding.setdefault(network, []).append(each)
    networks, switches = [], []
    for name in sorted(set(known.values()), key=chassis.natural_key):
        spec = specs.get(name)
        mtu = spec.mtu if spec is not None and spec.mtu else 0
        topology = str(spec.topology) if spec is not None else ""
        subnets = tuple(str(each) for each in spec.subnets) if spec is not None else ()
        networks.append(Network(name, topology, False, subnets, mtu))
        there = everybody.get(name, ())
        make = _Ports(guarding.get(name, ()), known, _of(reports, there), mtu)
        role = _ROLES.get(topology, DatapathRole.LAYER2)
        switches.append(
            objects.memo.of(
                ("switch", name),
                (there, make.given, role, subnets),
                functools.partial(_switch, name, role, subnets, make, there),
            )
        )
    zones = tuple(Zone(name) for name in _names(nodes, switches))
    return details.of_networks(Graph(zones, tuple(networks), tuple(switches)), objects, specs)


def _of(reports: details.Reports, there: Iterable[Member]) -> details.Reports:
    """The reports about these members."""
    if not reports:
        return reports
    keys = ((each.endpoint.namespace, each.machine, each.mac.lower()) for each in there)
    return {key: reports[key] for key in keys if key in reports}


def _switch(
    name: str,
    role: DatapathRole,
    subnets: tuple[str, ...],
    make: _Ports,
    there: Iterable[Member],
) -> Switch:
    return Switch(
        id=name,
        name=name,
        role=role,
        network=name,
        zones=(),
        spans=True,
        subnets=subnets,
        key="",
        ports=tuple(map(make.port, there)),
    )


def _names(nodes: Iterable[Object], switches: Iterable[Switch]) -> list[str]:
    found = {str(each["metadata"]["name"]) for each in nodes}
    found |= {port.zone for switch in switches for port in switch.ports if port.zone}
    return sorted(found, key=chassis.natural_key)


@dataclass(slots=True)
class _Ports:
    """Makes the ports of one network's members. Pods that policies select by the same labels are
    judged once: most have those of many others."""

    policies: Sequence[Policy]
    known: Mapping[ObjectKey, str]
    reports: details.Reports
    mtu: int
    _spaces: set[str] = field(init=False)
    _judged: dict[Hashable, tuple[tuple[str, ...], tuple[str, ...]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._spaces = {each.namespace for each in self.policies}

    @property
    def given(self) -> tuple[object, ...]:
        """What the ports depend on, beside the members."""
        return self.policies, self.known if self.policies else None, self.reports, self.mtu

    def port(self, member: Member) -> Port:
        endpoint = member.endpoint
        directions, policies = self._selected(endpoint)
        machine, mac = member.machine, member.mac
        key = endpoint.namespace, machine, mac.lower()
        return Port(
            name=member.id,
            kind=PortKind.POD,
            zone=member.node,
            mac=mac,
            addresses=tuple(map(str, endpoint.addresses)),
            owner=PortPod(endpoint.namespace, endpoint.pod, machine, member.workload),
            up=None,  # nodes alone know it
            mtu=self.mtu,
            isolated=directions,
            policies=policies,
            reported=self.reports.get(key, ()) if machine else (),
        )

    def _selected(self, endpoint: Endpoint) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The directions in which policies isolate it, and the policies' keys."""
        if endpoint.namespace not in self._spaces:
            return (), ()
        key = endpoint.namespace, frozenset(endpoint.labels.items())
        found = self._judged.get(key)
        if found is None:
            selecting = [
                one for one in self.policies if evaluator.selects(one, self.known, endpoint)
            ]
            directions = {one.value.lower() for each in selecting for one in each.directions}
            keys = tuple(str(each.key) for each in selecting)
            found = self._judged[key] = tuple(sorted(directions, reverse=True)), keys
        return found
