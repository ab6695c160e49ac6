"""Renders the Northbound row of one pod's port, on either kind of switch.

The topology modules decide which switches exist, and which pods have ports on them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from enum import StrEnum

from weft import model, names, rows

# OVN's port security allows only a port's EUI-64 link-local address. Hosts that follow RFC 7217
# choose another; without this they could not solicit a router or request a lease (ADR 0004).
LINK_LOCAL = "fe80::/64"

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", re.ASCII)  # RFC 1123

_STAND_IN = ":source"  # ends no name of a port: a machine's ends with its tunnel key
SWITCH = "Logical_Switch"
PORT = "Logical_Switch_Port"
# Option of a port's Southbound binding: the chassis at which a guest has announced itself.
ACTIVATED = "additional-chassis-activated"


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
    """The row's key and name: one for each attachment of a pod, or of a virtual machine."""
    return of_attachment(port.key, port.pod, port.allocation)


def of_attachment(attachment: str, pod: model.PodRef, allocation: model.Allocation) -> str:
    """The name of an attachment's port. That of a machine is signed in the allocations of its pods
    and outlasts them: what a live migration changes is where the port is bound (ADR 0113)."""
    own = names.logical_port(attachment, pod.namespace, pod.name)
    return allocation.logical_port or own


def port_of_stand_in(name: str) -> str:
    """The key of the port beside which a port of this name stands, which may be the port itself."""
    return name.removesuffix(_STAND_IN)


def stand_in(switch: rows.Ref, port: model.Port, chassis: str, key: int) -> rows.Row:
    """A port without a NIC and with a tunnel key of its own, beside that of a machine that waits
    here and runs on `chassis` still.

    ovn-controller floods to the nodes of ports that it does not count as its own, and counts that
    of the machine as its own. By this one, broadcasts reach the machine where it is (ADR 0113).
    """
    name = f"{port_key(port)}{_STAND_IN}"
    options = {
        "requested-chassis": RemotePorts.PLAIN.requested_chassis(chassis),
        "requested-tnl-key": str(key),
    }
    owner = names.pod_owner(port.pod.namespace, port.pod.name)
    columns: dict[str, rows.DesiredValue] = {
        "name": name,
        "type": "",
        "addresses": frozenset(),
        "port_security": frozenset(),
        "options": options,
        "dhcpv4_options": frozenset(),
        "dhcpv6_options": frozenset(),
        "external_ids": {names.OWNER: owner, names.NETWORK: port.network},
    }
    return rows.Row(PORT, name, columns, parent=switch, parent_column="ports")


def match(end: str, name: str) -> str:
    """The expression for packets of a port, `end` "inport" or "outport": OVN reads the name as a
    JSON string, so nothing in it ends it."""
    return f"{end} == {json.dumps(name)}"


def addresses(spec: model.NetworkSpec, allocation: model.Allocation) -> frozenset[rows.Atom]:
    """The `addresses` column: the MAC, and the addresses for which OVN answers ARP and ND.

    A port that may send by other MACs also receives what is for MACs that no port has.
    """
    own = " ".join((allocation.mac, *(str(address.ip) for address in allocation.addresses)))
    is_open = security_level(spec, allocation) is model.PortSecurity.OFF
    return frozenset((own, "unknown") if is_open or _macs(spec, allocation) else (own,))


def security_level(spec: model.NetworkSpec, allocation: model.Allocation) -> model.PortSecurity:
    """The port security that the NIC asks for, if the network permits it, else the network's."""
    asked = allocation.nic.port_security
    return asked if asked and spec.allows(asked) else spec.default_security


def _pairs(spec: model.NetworkSpec, allocation: model.Allocation) -> list[model.AddressPair]:
    """The pairs that the network permits now, whatever it permitted when the pod started."""
    return [each for each in allocation.nic.address_pairs if spec.allows_pair(each)]


def _macs(spec: model.NetworkSpec, allocation: model.Allocation) -> dict[str, list[str]]:
    """The addresses of the permitted pairs that have another MAC than the NIC, by MAC."""
    found: dict[str, list[str]] = {}
    for pair in _pairs(spec, allocation):
        if pair.mac not in ("", allocation.mac):
            found.setdefault(pair.mac, []).append(_shown(pair.subnet))
    return found


def _shown(subnet: model.Subnet) -> str:
    """An address, or a range, as port security has it."""
    return str(subnet) if subnet.num_addresses > 1 else str(subnet.network_address)


def port_security(spec: model.NetworkSpec, allocation: model.Allocation) -> frozenset[rows.Atom]:
    """The `port_security` column; without an allocated address it limits only the MAC.

    A MAC of a pair may also send from the NIC's own addresses, as VRRP does. An IPv4 address has
    its prefix length, so that the port receives its subnet's broadcast. OVN reads an address
    without host bits as the whole subnet; such an address has no prefix length.
    """
    level, others = security_level(spec, allocation), _macs(spec, allocation)
    if level is model.PortSecurity.OFF:
        return frozenset()
    if level is model.PortSecurity.MAC:
        return frozenset((allocation.mac, *others))
    own = _own(allocation)
    is_limited = bool(own)  # without addresses of its own the NIC may send from all
    mine = [
        _shown(each.subnet)
        for each in _pairs(spec, allocation)
        if each.mac in ("", allocation.mac) and is_limited
    ]
    entries = {allocation.mac: [*own, *mine]}
    entries |= {mac: [*own, *held] for mac, held in others.items()}
    return frozenset(" ".join((mac, *dict.fromkeys(held))) for mac, held in entries.items())


def _own(allocation: model.Allocation) -> list[str]:
    """A NIC's own addresses, as port security has them."""
    allowed: list[str] = []
    for address in allocation.addresses:
        if address.version == 4 and address.ip != address.network.network_address:
            allowed.append(str(address))
        else:
            allowed.append(str(address.ip))
    if any(address.version == 6 for address in allocation.addresses):
        allowed.append(LINK_LOCAL)
    return allowed


def _hostname(name: str) -> str:
    """The first label of a machine's name, as KubeVirt calls its guest; "" if it is no label.

    northd puts the option into an action as it stands, so nothing but a label may be in it.
    """
    label = name.partition(".")[0][:63]
    return label if _LABEL.fullmatch(label) else ""


def local_options(port: model.Port, chassis: str) -> dict[str, rows.Atom]:
    """Options that bind the port to this chassis and to this incarnation of the pod."""
    options: dict[str, rows.Atom] = {
        "requested-chassis": chassis,
        "iface-id-ver": port.pod.uid,
    }
    if name := _hostname(port.hostname):
        options["hostname"] = f'"{name}"'
    if port.allocation.tunnel_id:
        options["requested-tnl-key"] = str(port.allocation.tunnel_id)
    return options


def row(
    switch: str,
    spec: model.NetworkSpec,
    port: model.Port,
    *,
    type: str,
    options: Mapping[str, rows.Atom],
    dhcpv4_options: rows.Value = frozenset(),
    also_on: str = "",
) -> rows.Row:
    """The port on `switch`, with every column that weft writes for a pod's port.

    `also_on`: another chassis that gets what is sent to the port.
    """
    name = port_key(port)
    copied = {names.ALSO_ON: also_on} if also_on else {}
    return rows.Row(
        PORT,
        name,
        {
            "name": name,
            "type": type,
            "addresses": addresses(spec, port.allocation),
            "port_security": port_security(spec, port.allocation),
            "options": options,
            "dhcpv4_options": dhcpv4_options,
            # Always empty: the node agent answers DHCPv6, and OVN must not parse it (ADR 0074).
            "dhcpv6_options": frozenset(),
            "external_ids": {
                names.OWNER: names.pod_owner(port.pod.namespace, port.pod.name),
                names.OWNER_UID: port.pod.uid,
                names.NETWORK: port.network,
                names.ATTACHMENT: port.key,
                **copied,
            },
        },
        parent=rows.Ref(SWITCH, switch),
        parent_column="ports",
    )
