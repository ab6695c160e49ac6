"""Renders the Northbound row of one pod's port, on either kind of switch.

The topology modules decide which switches exist, and which pods have ports on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from weft import model, names, rows

# OVN's port security allows only a port's EUI-64 link-local address. Hosts that follow RFC 7217
# choose another; without this they could not solicit a router or request a lease (ADR 0004).
LINK_LOCAL = "fe80::/64"

SWITCH = "Logical_Switch"
PORT = "Logical_Switch_Port"


class RemotePorts(StrEnum):
    """The type of ports in other zones: setting `remote_ports` (ADR 0002).

    `plain` keeps northd's processing incremental, but floods a frame once for each chassis.
    `remote` is OVN's own type for this, and each such port costs a full recompute.
    """

    PLAIN = "plain"
    REMOTE = "remote"

    @property
    def type(self) -> str:
        """The `type` column."""
        return "" if self is RemotePorts.PLAIN else "remote"

    def requested_chassis(self, chassis: str) -> str:
        """`requested-chassis` of a port in another zone.

        northd binds a port of plain type to a remote chassis only if it is named twice.
        """
        return f"{chassis},{chassis}" if self is RemotePorts.PLAIN else chassis


def port_key(port: model.Port) -> str:
    """The row's key and name: one for each attachment of a pod."""
    return names.logical_port(port.key, port.pod.namespace, port.pod.name)


def addresses(allocation: model.Allocation) -> str:
    """The `addresses` column: the MAC, and the addresses for which OVN answers ARP and ND."""
    return " ".join((allocation.mac, *(str(address.ip) for address in allocation.addresses)))


def port_security(allocation: model.Allocation) -> str:
    """The `port_security` column; without an allocated address it limits only the MAC.

    An IPv4 address has its prefix length, so that the port receives its subnet's broadcast. OVN
    reads an address without host bits as the whole subnet; such an address has no prefix length.
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


def local_options(port: model.Port, chassis: str) -> dict[str, rows.Atom]:
    """Options that bind the port to this chassis and to this incarnation of the pod."""
    options: dict[str, rows.Atom] = {
        "requested-chassis": chassis,
        "iface-id-ver": port.pod.uid,
    }
    if port.allocation.tunnel_id:
        options["requested-tnl-key"] = str(port.allocation.tunnel_id)
    return options


def row(
    switch: str,
    port: model.Port,
    *,
    type: str,
    options: Mapping[str, rows.Atom],
    dhcpv4_options: rows.Value = frozenset(),
) -> rows.Row:
    """The port on `switch`, with every column that weft writes for a pod's port."""
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
            # Always empty: the node agent answers DHCPv6, and OVN must not parse it (ADR 0074).
            "dhcpv6_options": frozenset(),
            "external_ids": {
                names.OWNER: names.pod_owner(port.pod.namespace, port.pod.name),
                names.OWNER_UID: port.pod.uid,
                names.NETWORK: port.network,
                names.ATTACHMENT: port.key,
            },
        },
        parent=rows.Ref(SWITCH, switch),
        parent_column="ports",
    )
