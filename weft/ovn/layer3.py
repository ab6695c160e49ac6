"""The Northbound rows of a layer 3 network in one zone: its node's switch and its router.

Every zone has the switch of its own node alone, with that node's pods, and a router of its own;
other nodes are reached through `transit`, the outside through `gateway`. No row stands for a pod
of another zone, so a network's cost here follows its nodes.
"""

from __future__ import annotations

from weft import model, names, ranges, rows
from weft.ovn import advertisement, dhcp, ports, router, switches


def own(network: model.Network, node: model.NodeInfo) -> tuple[rows.Row, ...]:
    """The cluster router and the node's switch, whose gateway it is."""
    owner = switches.Owner(network.name)
    switch, of = names.node_switch(network.name, node.name), names.cluster_router(network.name)
    gateways = [ranges.router(subnet) for subnet in node.subnets_of(network.name)]
    towards = names.router_port(switch)
    return (
        router.router(of, owner, switches.keyed("cluster router", network)),
        switches.row(switch, owner, switches.keyed("node switch", network)),
        router.router_port(
            towards,
            of,
            owner,
            router.mac(gateways),
            gateways,
            switches.numbered("cluster router", "node switch"),
        ),
        switches.to_router(
            names.switch_port(switch),
            switch,
            owner,
            towards,
            {"requested-tnl-key": str(names.ROUTER_TUNNEL_KEY)},
        ),
        *dhcp.options(network, node.subnets_of(network.name)),
        *advertisement.port(network, switch),
    )


def pod_port(
    network: model.Network, port: model.Port, node: model.NodeInfo, chassis: str
) -> rows.Row:
    """A port of a pod of this node."""
    served = node.subnets_of(network.name)
    return ports.row(
        names.node_switch(network.name, port.node),
        port,
        type="",
        options={**ports.local_options(port, chassis), **_key(port)},
        dhcpv4_options=dhcp.reference(network.spec, port.allocation, served),
    )


def _key(port: model.Port) -> dict[str, rows.Atom]:
    """The port's key follows from its address, so that it outlives the Southbound database."""
    for address in sorted(port.allocation.addresses, key=lambda address: address.version):
        number = int(address.ip) - int(address.network.network_address)
        key = names.FIRST_POD_TUNNEL_KEY + number
        if key <= names.LAST_TUNNEL_KEY:
            return {"requested-tnl-key": str(key)}
    return {}
