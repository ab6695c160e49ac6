"""Renders the Northbound rows of the default network's gateway on a node, which is outbound only.

    cluster router - join switch - gateway router - external switch - physical network

The gateway router has one of the node's addresses on the physical network and translates all pods'
addresses to it. From the wire it accepts only packets to that address, and of those only replies
reach a pod.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from weft import model, names, ranges, rows
from weft.ovn import acl, ports, router, switches

_CLUSTER_ROUTER = ranges.FIRST_NODE_ID - 1  # its host number on the join switch
_EVERYTHING = {4: ip_network("0.0.0.0/0"), 6: ip_network("::/0")}
# By family: the multicast and broadcast that hosts on a link need, beside packets to their address.
_ON_LINK: dict[int, list[str]] = {4: [], 6: ["fe80::/10", "ff00::/8"]}
_GUARD_PRIORITY = 1000
_GENEVE = 6081  # UDP port of tunnels between chassis


def own(
    network: model.Network, node: model.NodeInfo, chassis: str, physical_network: str
) -> tuple[rows.Row, ...]:
    """The rows of one node's gateway; none if the node has no gateway."""
    gateway = node.gateway
    if gateway is None or not gateway.interface_id or not network.is_default:
        return ()
    owner = switches.RowOwner(network.name)
    return (
        *_join(network, node, owner, chassis),
        *_external(network, node, gateway, owner, physical_network),
        *_routes(network, node, gateway, owner),
        *_snat_and_acls(network, node, gateway, owner),
    )


def _join(
    network: model.Network, node: model.NodeInfo, owner: switches.RowOwner, chassis: str
) -> Iterator[rows.Row]:
    """Both routers on the join switch; the gateway router is bound to this chassis.

    Packets from the physical network may exceed the MTU of pods: the gateway router answers them
    with the right MTU.
    """
    switch = names.JOIN_SWITCH
    yield switches.row(switch, owner, switches.local_datapath("join switch", network))
    bound = {"chassis": chassis, **switches.local_datapath("gateway router", network)}
    yield router.router(names.gateway_router(node.name), owner, bound)
    inwards: dict[str, rows.Atom] = {"gateway_mtu": str(network.spec.mtu)}
    for kind, of, number, options in (
        ("cluster router", names.cluster_router(network.name), _CLUSTER_ROUTER, {}),
        ("gateway router", names.gateway_router(node.name), node.id, inwards),
    ):
        towards, addresses = names.join_router_port(of), ranges.join(number)
        own = {**options, **switches.local_port(kind, "join switch")}
        yield router.router_port(towards, of, owner, router.mac(addresses), addresses, own)
        key = switches.local_port("join switch", kind)
        yield switches.to_router(names.join_switch_port(of), switch, owner, towards, key)


def _external(
    network: model.Network,
    node: model.NodeInfo,
    gateway: model.Gateway,
    owner: switches.RowOwner,
    physical_network: str,
) -> Iterator[rows.Row]:
    """The gateway router on the physical network; it sends gratuitous ARP when it moves."""
    of, switch = names.gateway_router(node.name), names.external_switch(node.name)
    towards = names.external_router_port(of)
    yield switches.row(switch, owner, switches.local_datapath("external switch", network))
    key = switches.local_port("gateway router", "external switch")
    yield router.router_port(towards, of, owner, gateway.mac, gateway.addresses, key)
    port, key = (
        names.external_switch_port(of),
        switches.local_port("external switch", "gateway router"),
    )
    yield switches.to_router(port, switch, owner, towards, {"nat-addresses": "router", **key})
    yield switches.port(
        gateway.interface_id,
        switch,
        owner,
        type="localnet",
        addresses="unknown",
        options={
            "network_name": physical_network,
            **switches.local_port("external switch", "physical network"),
        },
    )


def _routes(
    network: model.Network, node: model.NodeInfo, gateway: model.Gateway, owner: switches.RowOwner
) -> Iterator[rows.Row]:
    """Routes outwards through the gateway, and back through the cluster router.

    Addresses of the network that belong to no node's subnet have a discard route: without it the
    two routers would send such a packet to each other until its TTL ends.
    """
    cluster, of = names.cluster_router(network.name), names.gateway_router(node.name)
    joints = {a.version: a.ip for a in ranges.join(node.id)}
    inner = {a.version: a.ip for a in ranges.join(_CLUSTER_ROUTER)}
    for subnet in network.spec.subnets:
        key = names.row_id("unknown", subnet, network.name)
        yield router.route(cluster, owner, key, subnet, router.DISCARD)
        key = names.row_id("in", subnet, network.name)
        yield router.route(of, owner, key, subnet, inner[subnet.version])
    for family in {address.version for address in gateway.addresses}:
        key = names.row_id("out", family, network.name)
        yield router.route(cluster, owner, key, _EVERYTHING[family], joints[family])
    for family, hop in {hop.version: hop for hop in reversed(gateway.next_hops)}.items():
        key, towards = names.row_id("hop", family, network.name), names.external_router_port(of)
        yield router.route(of, owner, key, _EVERYTHING[family], hop, towards)


def _snat_and_acls(
    network: model.Network, node: model.NodeInfo, gateway: model.Gateway, owner: switches.RowOwner
) -> Iterator[rows.Row]:
    """SNAT to the gateway's address; ACLs that keep pods from tunnel ports, and hosts from pods.

    The ACLs see a reply before its address is translated back, so it carries the gateway's
    address. So they also drop what a host sends straight to a pod through the gateway.
    """
    of, switch = names.gateway_router(node.name), names.external_switch(node.name)
    # A chassis trusts tunnelled packets: the sender names the network and the port they come from.
    match = f"{ports.match('inport', names.external_switch_port(of))} && udp.dst == {_GENEVE}"
    key = names.row_id("guard", "tunnels", network.name)
    yield acl.drop(switch, owner, key, _GUARD_PRIORITY, match)
    for subnet in network.spec.subnets:
        address = router.of_family(gateway.addresses, subnet.version)
        if address is not None:
            key = names.row_id("snat", subnet, network.name)
            yield router.snat(of, owner, key, subnet, address)
    for family, others in _ON_LINK.items():
        destinations = [str(a.ip) for a in gateway.addresses if a.version == family] + others
        into = f"ip{family}.dst != {{{', '.join(destinations)}}}" if destinations else f"ip{family}"
        key = names.row_id("guard", family, network.name)
        match = f"{ports.match('inport', gateway.interface_id)} && {into}"
        yield acl.drop(switch, owner, key, _GUARD_PRIORITY, match)
