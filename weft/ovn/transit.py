"""Renders the Northbound rows of transit switches between the zones of a layer3 network.

A transit switch is one switch in all zones: same name, same key, and the node's id as port key. The
zone's own cluster router has a port on it; another zone's is a remote port, with routes to that
node's subnets.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network

from weft import model, names, ranges, rows
from weft.ovn import ports, router, switches

_SUBNET, _JOIN = "subnet", "join"


def own(network: model.Network, node: model.NodeInfo) -> tuple[rows.Row, ...]:
    """The transit switch, and this node's cluster router on it."""
    owner = switches.RowOwner(network.name)
    switch = names.transit_switch(network.name)
    towards = names.transit_router_port(network.name, node.name)
    addresses = _addresses(network, node)
    return (
        switches.row(switch, owner, switches.interconnected(switch, network)),
        router.router_port(
            towards,
            names.cluster_router(network.name),
            owner,
            router.mac(node.transit),
            addresses,
            switches.local_port("cluster router", "transit switch"),
        ),
        switches.to_router(
            names.transit_switch_port(network.name, node.name),
            switch,
            owner,
            towards,
            {"requested-tnl-key": str(node.id)},
        ),
    )


def peer(
    network: model.Network, node: model.NodeInfo, style: ports.RemotePorts
) -> tuple[rows.Row, ...]:
    """Another node's router: its port, and the routes to its subnets."""
    owner = switches.RowOwner(network.name, node.name)
    addresses = _addresses(network, node)
    port_addresses = " ".join(
        (router.mac(node.transit), *(str(address.ip) for address in addresses))
    )
    made = [
        switches.port(
            names.transit_switch_port(network.name, node.name),
            names.transit_switch(network.name),
            owner,
            type=style.type,
            addresses=port_addresses,
            options={
                "requested-chassis": style.requested_chassis(node.chassis),
                "requested-tnl-key": str(node.id),
            },
        )
    ]
    for kind, dest in _destinations(network, node):
        hop = router.of_family(addresses, dest.version)
        if hop is not None:
            key = names.row_id(kind, dest.version, network.name, node.name)
            of = names.cluster_router(network.name)
            made.append(router.route(of, owner, key, dest, hop.ip))
    return tuple(made)


def is_complete(network: model.Network, node: model.NodeInfo) -> bool:
    """Whether the node has everything that its part of the network needs."""
    return bool(node.id and node.subnets_of(network.name) and _addresses(network, node))


def _addresses(network: model.Network, node: model.NodeInfo) -> tuple[model.Interface, ...]:
    """The node's transit addresses, of the families that it has subnets of."""
    families = {subnet.version for subnet in node.subnets_of(network.name)}
    return tuple(address for address in node.transit if address.version in families)


def _destinations(
    network: model.Network, node: model.NodeInfo
) -> Iterable[tuple[str, model.Subnet]]:
    """The subnets behind a node: its pods' and, on the default network, its gateway."""
    for family in (4, 6):
        subnet = router.of_family(node.subnets_of(network.name), family)
        joint = router.of_family(ranges.join(node.id), family)
        if subnet is not None:
            yield _SUBNET, subnet
        if subnet is not None and joint is not None and network.is_default:
            yield _JOIN, ip_network(joint.ip)
