"""Renders the Northbound rows of a layer3 network in one zone: its node's switch and its router.

A zone has only its own node's switch, with that node's pods, and its own cluster router. `transit`
leads to other nodes, `gateway` out of the cluster. Pods of other zones have no rows here, so the
cost of a network grows with its nodes, not with its pods.
"""

from __future__ import annotations

from weft import model, names, ranges, rows, tunnelkeys
from weft.ovn import advertisement, dhcp, dns, ports, router, switches


def own(network: model.Network, node: model.NodeInfo) -> tuple[rows.Row, ...]:
    """The cluster router, and the node's switch with the router as its gateway."""
    owner = switches.RowOwner(network.name)
    switch, of = names.node_switch(network.name, node.name), names.cluster_router(network.name)
    gateways = [ranges.router(subnet) for subnet in node.subnets_of(network.name)]
    towards = names.router_port(switch)
    return (
        router.router(of, owner, switches.local_datapath("cluster router", network)),
        switches.row(
            *(switch, owner, switches.local_datapath("node switch", network)),
            dns_records=dns.ref(network),
        ),
        router.router_port(
            towards,
            of,
            owner,
            router.mac(gateways),
            gateways,
            switches.local_port("cluster router", "node switch"),
        ),
        switches.to_router(
            names.switch_port(switch),
            switch,
            owner,
            towards,
            {"requested-tnl-key": str(tunnelkeys.ROUTER_TUNNEL_KEY)},
        ),
        *dhcp.options(network, node.subnets_of(network.name)),
        *advertisement.port(network, switch),
    )


def pod_port(
    network: model.Network, port: model.Port, node: model.NodeInfo, chassis: str
) -> rows.Row:
    """The port of a pod on this node."""
    served = node.subnets_of(network.name)
    return ports.row(
        names.node_switch(network.name, port.node),
        network.spec,
        port,
        type="",
        options={**ports.local_options(port, chassis), **_key(port)},
        dhcpv4_options=dhcp.options_ref(
            network.spec, port.allocation, served, ports.port_key(port)
        ),
    )


def _key(port: model.Port) -> dict[str, rows.Atom]:
    """The tunnel key, computed from the address, so that it survives a lost SB database."""
    for address in sorted(port.allocation.addresses, key=lambda address: address.version):
        number = int(address.ip) - int(address.network.network_address)
        key = tunnelkeys.FIRST_POD_TUNNEL_KEY + number
        if key <= tunnelkeys.LAST_TUNNEL_KEY:
            return {"requested-tnl-key": str(key)}
    return {}
