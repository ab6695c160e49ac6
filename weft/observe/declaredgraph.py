"""Makes the graph of networks and their members from Kubernetes objects alone.

Pure. `topology` makes the same graph from OVN's databases, which only nodes can read: this one has
what was declared and allocated, and no port's state.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

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
from weft.policy.netpolicy import Policy

_ROLES = {"localnet": DatapathRole.LOCALNET, "layer3": DatapathRole.NODE}


def build(objects: Objects, nodes: Iterable[Object]) -> Graph:
    """The graph of accepted networks, with details. `nodes` may be those that pods name alone."""
    known = members.networks(objects)
    policies = members.in_force(objects)
    specs = details.specs(objects)
    everybody = members.everywhere(objects)
    networks, switches = [], []
    for name in sorted(set(known.values()), key=chassis.natural_key):
        spec = specs.get(name)
        mtu = spec.mtu if spec is not None and spec.mtu else 0
        topology = str(spec.topology) if spec is not None else ""
        subnets = tuple(str(each) for each in spec.subnets) if spec is not None else ()
        networks.append(Network(name, topology, False, subnets, mtu))
        selecting = [each for each in policies if name in {known.get(nad) for nad in each.nads}]
        ports = tuple(_port(each, selecting, known, mtu) for each in everybody.get(name, ()))
        switches.append(
            Switch(
                id=name,
                name=name,
                role=_ROLES.get(topology, DatapathRole.LAYER2),
                network=name,
                zones=(),
                spans=True,
                subnets=subnets,
                key="",
                ports=ports,
            )
        )
    zones = tuple(Zone(name) for name in _names(nodes, switches))
    return details.detailed(Graph(zones, tuple(networks), tuple(switches)), objects)


def _names(nodes: Iterable[Object], switches: Iterable[Switch]) -> list[str]:
    found = {str(each["metadata"]["name"]) for each in nodes}
    found |= {port.zone for switch in switches for port in switch.ports if port.zone}
    return sorted(found, key=chassis.natural_key)


def _port(
    member: Member, policies: Iterable[Policy], known: Mapping[ObjectKey, str], mtu: int
) -> Port:
    endpoint = member.endpoint
    selecting = [each for each in policies if evaluator.selects(each, known, endpoint)]
    directions = {one.value.lower() for each in selecting for one in each.directions}
    return Port(
        name=member.id,
        kind=PortKind.POD,
        zone=member.node,
        mac=member.mac,
        addresses=tuple(str(each) for each in endpoint.addresses),
        owner=PortPod(endpoint.namespace, endpoint.pod, member.machine),
        up=None,  # nodes alone know it
        mtu=mtu,
        isolated=tuple(sorted(directions, reverse=True)),
        policies=tuple(str(each.key) for each in selecting),
    )
