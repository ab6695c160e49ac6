"""The Northbound rows of a layer 2 network in one zone: its switch and its ports.

Answered from the model alone; when a zone has a network at all, and which pods are on it, is
for `weft.control.zone`.
"""

from __future__ import annotations

from weft import model, names, rows
from weft.ovn import dhcp, ports, switches


def switch(network: model.Network) -> rows.Row:
    name = names.layer2_switch(network.name)
    owner = switches.Owner(network.name)
    return switches.row(name, owner, switches.shared(name, network), network.spec.subnets)


def local_port(network: model.Network, port: model.Port, chassis: str) -> rows.Row:
    """A port of this zone: bound here, by this incarnation of the pod, and served by DHCP."""
    return ports.row(
        names.layer2_switch(network.name),
        port,
        type="",
        options=ports.local_options(port, chassis),
        dhcpv4_options=dhcp.reference(network.spec, port.allocation),
    )


def remote_port(
    network: model.Network, port: model.Port, chassis: str, style: ports.RemotePorts
) -> rows.Row:
    """A port of another zone, bound to that zone's chassis by northd."""
    return ports.row(
        names.layer2_switch(network.name),
        port,
        type=style.type,
        options={
            "requested-chassis": style.bound(chassis),
            "requested-tnl-key": str(port.allocation.tunnel_id),
        },
    )
