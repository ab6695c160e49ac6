"""Renders the Northbound rows of a layer2 network in one zone: its switch and its ports.

`weft.control.zone` decides when a zone has the network, and which pods are on it.
"""

from __future__ import annotations

from weft import model, names, rows
from weft.ovn import dhcp, dns, ports, switches


def switch(network: model.Network) -> rows.Row:
    """The network's switch; OVN joins it with those of other zones by its tunnel key."""
    name = names.layer2_switch(network.name)
    owner = switches.RowOwner(network.name)
    config = switches.interconnected(name, network)
    return switches.row(name, owner, config, network.spec.subnets, dns.ref(network))


def local_port(
    network: model.Network, port: model.Port, chassis: str, *, source: str = "", also_on: str = ""
) -> rows.Row:
    """A port of this zone: bound to this chassis and to this incarnation of the pod, with DHCP.

    `source`: the chassis where the pod's machine still runs, to which the port is bound until then.
    This chassis gets a copy of what is sent to it, and passes nothing to or from the pod before the
    guest announces itself there.
    """
    waits = {"activation-strategy": "rarp"} if source else {}
    requested = f"{source},{chassis}" if source else chassis
    return ports.row(
        names.layer2_switch(network.name),
        network.spec,
        port,
        type="",
        options={**ports.local_options(port, requested), **waits},
        dhcpv4_options=dhcp.options_ref(network.spec, port.allocation, port=ports.port_key(port)),
        also_on=also_on,
    )


def remote_port(
    network: model.Network,
    port: model.Port,
    chassis: str,
    style: ports.RemotePorts,
    *,
    also_on: str = "",
) -> rows.Row:
    """A port in another zone, which northd binds to that zone's chassis."""
    return ports.row(
        names.layer2_switch(network.name),
        network.spec,
        port,
        type=style.type,
        options={
            "requested-chassis": style.requested_chassis(chassis),
            "requested-tnl-key": str(port.allocation.tunnel_id),
        },
        also_on=also_on,
    )
