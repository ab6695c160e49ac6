"""Which Northbound rows make a layer-2 network in one zone: its switch and its ports.

Answered from the model alone; when a zone has a network at all, and which pods are on it, is
for `weft.control.zone`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from weft import model, names, rows
from weft.ovn import dhcp

# OVN's port security knows a port's EUI-64 link-local address only. Hosts that follow RFC 7217
# choose another, and could then neither solicit a router nor ask for a lease (ADR 0004).
LINK_LOCAL = "fe80::/64"

SWITCH = "Logical_Switch"
PORT = "Logical_Switch_Port"


class RemotePorts(StrEnum):
    """How a pod of another zone is written: setting `remote_ports` (ADR 0002).

    `plain` keeps northd incremental and floods once for each chassis; `remote` is the type that
    OVN provides for it, and costs a full recompute for each port.
    """

    PLAIN = "plain"
    REMOTE = "remote"


def switch(network: model.Network) -> rows.Row:
    """The same name and tunnel key in every zone, so that the zones' switches are one.

    Snooping stays off: the keys of snooped groups are chosen by each zone for itself.
    """
    name = names.layer2_switch(network.name)
    return rows.Row(
        SWITCH,
        name,
        {
            "name": name,
            "other_config": {
                "interconn-ts": name,
                "mcast_snoop": "false",
                "requested-tnl-key": str(names.datapath_key(network.id)),
            },
            "external_ids": {
                names.OWNER: names.network_owner(network.name),
                names.NETWORK: network.name,
            },
        },
    )


def local_port(network: model.Network, port: model.Port, chassis: str) -> rows.Row:
    """A port of this zone: bound here, by this incarnation of the pod, and served by DHCP."""
    allocation = port.allocation
    return _port(
        network,
        port,
        type="",
        options={
            "requested-chassis": chassis,
            "iface-id-ver": port.pod.uid,
            "requested-tnl-key": str(allocation.tunnel_id),
        },
        dhcpv4_options=dhcp.reference(network.spec, 4, allocation),
        dhcpv6_options=dhcp.reference(network.spec, 6, allocation),
    )


def remote_port(
    network: model.Network, port: model.Port, chassis: str, style: RemotePorts
) -> rows.Row:
    """A port of another zone, bound to that zone's chassis by northd.

    Naming the chassis twice is what makes northd bind a port of plain type to it.
    """
    plain = style is RemotePorts.PLAIN
    return _port(
        network,
        port,
        type="" if plain else "remote",
        options={
            "requested-chassis": f"{chassis},{chassis}" if plain else chassis,
            "requested-tnl-key": str(port.allocation.tunnel_id),
        },
        dhcpv4_options=frozenset(),
        dhcpv6_options=frozenset(),
    )


def advertiser(network: model.Network) -> rows.Row:
    """The port through which the node agent speaks router advertisements (ADR 0004).

    OVN never carries a frame from or to a `localport` over a tunnel, so each zone has its own
    under one key and address, and none hears another's.
    """
    name = names.advertiser_port(network.name)
    return rows.Row(
        PORT,
        name,
        {
            "name": name,
            "type": "localport",
            "addresses": frozenset({f"{names.SERVER_MAC} {dhcp.SERVER_LINK_LOCAL}"}),
            "port_security": frozenset(),
            "options": {"requested-tnl-key": str(names.ADVERTISER_TUNNEL_KEY)},
            "external_ids": {
                names.OWNER: names.network_owner(network.name),
                names.NETWORK: network.name,
            },
        },
        parent=rows.Ref(SWITCH, names.layer2_switch(network.name)),
        parent_column="ports",
    )


def port_key(port: model.Port) -> str:
    return names.logical_port(port.key, port.pod.namespace, port.pod.name)


def addresses(allocation: model.Allocation) -> str:
    """Where the switch sends frames: the MAC, and the addresses it answers ARP and ND for."""
    return " ".join((allocation.mac, *(str(address.ip) for address in allocation.addresses)))


def port_security(allocation: model.Allocation) -> str:
    """What the port may send: with no address assigned, anything from its MAC.

    An IPv4 address carries its prefix length, so that the port hears its subnet's broadcast.
    OVN reads an address without host bits as the whole subnet; that one goes without.
    """
    allowed = [allocation.mac]
    for address in allocation.addresses:
        if address.version == 4 and address.ip != address.network.network_address:
            allowed.append(str(address))
        else:
            allowed.append(str(address.ip))
    if any(address.version == 6 for address in allocation.addresses):
        allowed.append(LINK_LOCAL)
    return " ".join(allowed)


def _port(
    network: model.Network,
    port: model.Port,
    *,
    type: str,
    options: Mapping[str, rows.Atom],
    dhcpv4_options: rows.Value,
    dhcpv6_options: rows.Value,
) -> rows.Row:
    name = port_key(port)
    return rows.Row(
        PORT,
        name,
        {
            "name": name,
            "type": type,
            "addresses": frozenset({addresses(port.allocation)}),
            "port_security": frozenset({port_security(port.allocation)}),
            "options": options,
            "dhcpv4_options": dhcpv4_options,
            "dhcpv6_options": dhcpv6_options,
            "external_ids": {
                names.OWNER: names.pod_owner(port.pod.namespace, port.pod.name),
                names.OWNER_UID: port.pod.uid,
                names.NETWORK: network.name,
                names.ATTACHMENT: port.key,
            },
        },
        parent=rows.Ref(SWITCH, names.layer2_switch(network.name)),
        parent_column="ports",
    )
