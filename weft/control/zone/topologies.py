"""Plans the rows of a network by its topology: its own, a node's, a pod's.

Each topology is a class behind one protocol, so that `state` knows none of them. `weft.ovn` makes
the rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from weft import model, names, rows
from weft.control.zone.standins import StandIns
from weft.migration import Connection
from weft.ovn import advertisement, dhcp, dns, gateway, layer2, layer3, localnet, ports, transit


@dataclass(frozen=True, slots=True)
class Here:
    """The zone's own node and chassis; `nodes` are all nodes by name, its own included."""

    node: str
    chassis: str
    nodes: Mapping[str, model.NodeInfo]
    remote_ports: ports.RemotePorts
    physical_network: str
    # By port key: connections that go on with a machine that came here.
    admitted: dict[str, frozenset[Connection]] = field(default_factory=dict)
    stand_ins: StandIns = field(default_factory=StandIns)

    def admit(self, port: str, known: frozenset[Connection]) -> bool:
        """Sets the connections that a port is to have; returns whether that is news."""
        before = self.admitted.pop(port, frozenset())
        if known:
            self.admitted[port] = known
        return before != known

    def chassis_of(self, node: str) -> str:
        """Returns the chassis of a node, "" while it is not known."""
        info = self.nodes.get(node)
        return info.chassis if info is not None else ""


class Topology(Protocol):
    """What a topology must answer, in O(1) each, about networks that the zone has.

    `has_remote_pods`: pods of other zones are remote ports here. Otherwise routes or the physical
    network lead to them.
    """

    @property
    def has_remote_pods(self) -> bool: ...

    def switch(self, network: model.Network, here: Here) -> str:
        """Returns the switch of this node's pods; "" while it is not there."""

    def of_network(self, network: model.Network, here: Here) -> tuple[rows.Row, ...]:
        """Returns the rows that depend on no pod and no other node."""

    def of_node(
        self, network: model.Network, node: model.NodeInfo, here: Here
    ) -> tuple[rows.Row, ...]:
        """Returns the rows of another node's part of the network."""

    def of_pod(self, network: model.Network, port: model.Port, here: Here) -> rows.Row | None:
        """Returns the port of a pod; None where it has none here or not yet."""

    def of_guests(
        self, network: model.Network, guests: Iterable[model.Allocation], here: Here
    ) -> advertisement.Advertisement | None:
        """Returns the router advertisement for local guests with these allocations, or None."""


class Layer2:
    """One switch over all zones; each zone that realises it has a port for each of its pods."""

    has_remote_pods = True

    def switch(self, network: model.Network, here: Here) -> str:
        return names.layer2_switch(network.name)

    def of_network(self, network: model.Network, here: Here) -> tuple[rows.Row, ...]:
        port = advertisement.port(network, self.switch(network, here))
        own = (*dns.row(network), layer2.switch(network))
        return (*own, *dhcp.options(network), *port)

    def of_guests(
        self, network: model.Network, guests: Iterable[model.Allocation], here: Here
    ) -> advertisement.Advertisement | None:
        return _of_flat(network, guests)

    def of_node(
        self, network: model.Network, node: model.NodeInfo, here: Here
    ) -> tuple[rows.Row, ...]:
        return ()

    def of_pod(self, network: model.Network, port: model.Port, here: Here) -> rows.Row | None:
        if not port.allocation.tunnel_id:
            return None
        move = port.move
        if move is not None and move.target == here.node:
            source = here.chassis_of(move.source)
            if not source:
                return None  # bound here alone, the port would be taken from where it is
            return layer2.local_port(network, port, here.chassis, source=source)
        also_on = here.chassis_of(move.target) if move is not None else ""
        if port.node == here.node:
            return layer2.local_port(network, port, here.chassis, also_on=also_on)
        if not (chassis := here.chassis_of(port.node)):
            return None
        style = here.remote_ports
        return layer2.remote_port(network, port, chassis, style, also_on=also_on)


class Localnet:
    """A switch for each zone, with the zone's own pods; the physical network joins them."""

    has_remote_pods = False

    def switch(self, network: model.Network, here: Here) -> str:
        return names.localnet_switch(network.name)

    def of_network(self, network: model.Network, here: Here) -> tuple[rows.Row, ...]:
        port = advertisement.port(network, self.switch(network, here))
        own = (*dns.row(network), *localnet.own(network))
        return (*own, *dhcp.options(network), *port)

    def of_node(
        self, network: model.Network, node: model.NodeInfo, here: Here
    ) -> tuple[rows.Row, ...]:
        return ()

    def of_pod(self, network: model.Network, port: model.Port, here: Here) -> rows.Row | None:
        if port.node != here.node:
            return None
        waits = port.move is not None and port.move.target == here.node
        return localnet.pod_port(network, port, here.chassis, waits=waits)

    def of_guests(
        self, network: model.Network, guests: Iterable[model.Allocation], here: Here
    ) -> advertisement.Advertisement | None:
        return _of_flat(network, guests)


def switch(network: model.Network, here: Here) -> str:
    """Returns the switch of this node's pods on a network; "" while it is not there."""
    return KNOWN[network.spec.topology].switch(network, here)


def _of_flat(
    network: model.Network, guests: Iterable[model.Allocation]
) -> advertisement.Advertisement | None:
    """The advertisement on a network whose subnets are the same on all nodes."""
    if not advertisement.has_advertiser(network):
        return None
    return advertisement.of_network(network, guests)


class Layer3:
    """A switch for each node, joined by routers; the default network also has a gateway."""

    has_remote_pods = False

    def switch(self, network: model.Network, here: Here) -> str:
        own = self._own(network, here)
        return names.node_switch(network.name, here.node) if own is not None else ""

    def of_network(self, network: model.Network, here: Here) -> tuple[rows.Row, ...]:
        own = self._own(network, here)
        if own is None:
            return dns.row(network)  # its records are written whether the switch is there or not
        return (
            *dns.row(network),
            *layer3.own(network, own),
            *transit.own(network, own),
            *gateway.own(network, own, here.chassis, here.physical_network),
        )

    def of_node(
        self, network: model.Network, node: model.NodeInfo, here: Here
    ) -> tuple[rows.Row, ...]:
        if node.name == here.node or not node.chassis or self._own(network, here) is None:
            return ()
        return (
            transit.peer(network, node, here.remote_ports)
            if transit.is_complete(network, node)
            else ()
        )

    def of_pod(self, network: model.Network, port: model.Port, here: Here) -> rows.Row | None:
        own = self._own(network, here)
        if port.node != here.node or own is None:
            return None
        return layer3.pod_port(network, port, own, here.chassis)

    def of_guests(
        self, network: model.Network, guests: Iterable[model.Allocation], here: Here
    ) -> advertisement.Advertisement | None:
        own = self._own(network, here)
        if own is None or not advertisement.has_advertiser(network):
            return None
        return advertisement.of_network(network, guests, own.subnets_of(network.name))

    @staticmethod
    def _own(network: model.Network, here: Here) -> model.NodeInfo | None:
        """Returns this node, once it has its subnets and addresses of the network."""
        own = here.nodes.get(here.node)
        return own if own is not None and transit.is_complete(network, own) else None


KNOWN: Mapping[model.Topology, Topology] = {
    model.Topology.LAYER2: Layer2(),
    model.Topology.LAYER3: Layer3(),
    model.Topology.LOCALNET: Localnet(),
}


def of_guests(
    network: model.Network | None, guests: Iterable[model.Allocation], here: Here
) -> advertisement.Advertisement | None:
    """Returns the router advertisement for local guests of a network that the zone may have."""
    if network is None:
        return None
    return KNOWN[network.spec.topology].of_guests(network, guests, here)
