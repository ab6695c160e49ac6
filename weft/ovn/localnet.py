"""Renders the Northbound rows of a localnet network in one zone: its switch and its ports.

Each zone has a switch of its own, which a localnet port joins to the physical network: the bridge
that `ovn-bridge-mappings` names for it. The wire joins the zones, without tunnels, so pods of other
nodes are hosts on the wire and have no rows here (ADR 0103).
"""

from __future__ import annotations

from dataclasses import replace

from weft import model, names, rows, tunnelkeys
from weft.ovn import acl, advertisement, dhcp, dns, match, ports, switches

_GENEVE = 6081  # UDP port of tunnels between chassis
# Above those of policies, which also are on this switch.
_GUARD_PRIORITY = 2000
# Port security that lets nothing in: OVN drops what comes from a group's MAC, on every port.
_NOBODY = frozenset(("01:00:00:00:00:00",))


def own(network: model.Network) -> tuple[rows.Row, ...]:
    """The switch, its port to the physical network, and the guard of the tunnels.

    A chassis trusts tunnelled packets: the sender names the network and the port that they come
    from. No pod may reach the nodes' tunnel endpoints on the wire.
    """
    owner, name = switches.RowOwner(network.name), names.localnet_switch(network.name)
    config: dict[str, rows.Atom] = {"requested-tnl-key": str(tunnelkeys.datapath_key(network.id))}
    if network.spec.trunk is not None:
        config["vlan-passthru"] = "true"
    return (
        switches.row(name, owner, config, network.spec.subnets, dns.ref(network)),
        _to_physical(network, owner),
        _kept_from_wire(network, owner, "tunnels", f"udp.dst == {_GENEVE}"),
        *_of_trunk(network, owner),
        *_of_dhcpv6(network, owner),
    )


def _kept_from_wire(
    network: model.Network, owner: switches.RowOwner, what: str, packets: str
) -> rows.Row:
    """The guard that lets none of these packets of pods out."""
    return acl.drop(
        names.localnet_switch(network.name),
        owner,
        names.row_id("guard", what, network.name),
        _GUARD_PRIORITY,
        f"{ports.match('outport', names.localnet_switch_port(network.name))} && {packets}",
        direction="to-lport",
    )


def _of_dhcpv6(network: model.Network, owner: switches.RowOwner) -> tuple[rows.Row, ...]:
    """Where weft leases IPv6 addresses, no server on the wire hears who asks: a guest would take
    the first answer, and port security admits weft's address alone. OVN keeps IPv4's by itself."""
    if not advertisement.has_advertiser(network):
        return ()
    return (_kept_from_wire(network, owner, "dhcpv6", match.REQUESTS[6]),)


def _of_trunk(network: model.Network, owner: switches.RowOwner) -> tuple[rows.Row, ...]:
    """The guard of a trunk that lists its VLANs: others pass in neither direction."""
    vlans = network.spec.trunk
    if not vlans:
        return ()
    tagged = ", ".join(str(each) for each in vlans if each)
    strange = f"vlan.present && vlan.vid != {{{tagged}}}" if tagged else "vlan.present"
    if 0 not in vlans:
        strange = f"!vlan.present || ({strange})"
    name = names.localnet_switch(network.name)
    key = names.row_id("guard", "trunk", network.name)
    return (acl.drop(name, owner, key, _GUARD_PRIORITY, strange),)


def _to_physical(network: model.Network, owner: switches.RowOwner) -> rows.Row:
    """The localnet port; what goes to MACs that no port here has leaves by it."""
    spec = network.spec
    row = switches.port(
        names.localnet_switch_port(network.name),
        names.localnet_switch(network.name),
        owner,
        type="localnet",
        addresses="unknown",
        options={
            "network_name": spec.physical_network,
            "requested-tnl-key": str(tunnelkeys.LOCALNET_TUNNEL_KEY),
        },
    )
    tag: rows.Value = frozenset() if spec.vlan_id is None else spec.vlan_id
    # northd copies `tag_request` to `tag`; if that were not desired, weft would remove it.
    return replace(row, columns={**row.columns, "tag_request": tag, "tag": tag})


def pod_port(
    network: model.Network, port: model.Port, chassis: str, *, waits: bool = False
) -> rows.Row:
    """The port of a pod on this node; DHCP is served where the network has subnets.

    `waits`: its machine runs on another node still, so what is sent to it leaves by the wire, and
    nothing that its pod sends is let in (ADR 0113).
    """
    made = ports.row(
        names.localnet_switch(network.name),
        network.spec,
        port,
        type="",
        options=ports.local_options(port, chassis),
        dhcpv4_options=dhcp.options_ref(network.spec, port.allocation, port=ports.port_key(port)),
    )
    if not waits:
        return made
    shut: dict[str, rows.DesiredValue] = {"addresses": frozenset(), "port_security": _NOBODY}
    return replace(made, columns={**made.columns, **shut})
