"""Parses a row of Logical_Switch_Port: its owner, its zone, its addresses.

Pure; one port at a time. `topology` builds the picture from them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from weft import names, rows
from weft.observe import chassis
from weft.observe.graph import Port, PortKind
from weft.observe.snapshot import Snapshot, entries, members, text
from weft.ovn import policy
from weft.ovn.ports import port_of_stand_in

_KINDS = {
    "router": PortKind.ROUTER,
    "remote": PortKind.REMOTE,
    "localnet": PortKind.LOCALNET,
    "localport": PortKind.LOCALPORT,
}
# Keywords of the column `addresses` (ovn-nb(5)) that stand in place of a MAC or an address.
_KEYWORDS = {"router", "unknown", "dynamic"}


def parse(columns: rows.Columns, zone: str, zones: chassis.Zones) -> Port:
    """Return the port as the zone `zone` knows it."""
    name = text(columns, "name")
    options, external = entries(columns, "options"), entries(columns, "external_ids")
    owner = chassis.owner(external, name)
    kind = _KINDS.get(
        text(columns, "type"), PortKind.OTHER if text(columns, "type") else PortKind.POD
    )
    if owner is not None and kind in (PortKind.POD, PortKind.REMOTE):
        kind = PortKind.POD
    elif kind is PortKind.POD:
        kind = PortKind.OTHER
    mac, addresses = hosts(members(columns, "addresses"))
    bound = _bound(options, external, kind, zone, zones)
    up = columns.get("up")
    return Port(
        name=name,
        kind=kind,
        zone=bound,
        mac=mac,
        addresses=addresses,
        owner=owner,
        key=options.get("requested-tnl-key", ""),
        up=up if isinstance(up, bool) and bound == zone else None,
        seen=(zone,),
        peer=options.get("router-port", ""),
        physical=options.get("network_name", name) if kind is PortKind.LOCALNET else "",
    )


def is_stand_in(columns: rows.Columns) -> bool:
    """Whether the row is one that weft has beside that of a machine that waits."""
    name = text(columns, "name")
    return names.OWNER in entries(columns, "external_ids") and port_of_stand_in(name) != name


def _bound(
    options: dict[str, str],
    external: dict[str, str],
    kind: PortKind,
    zone: str,
    zones: chassis.Zones,
) -> str:
    """The zone where the port is bound: that of its first `requested-chassis`, else this one.

    A remote router port without it names its node in external_ids.
    """
    chassis = options.get("requested-chassis", "").split(",")[0]
    if chassis:
        # `requested-chassis` may also be a host name (ovn-nb(5)).
        named = any(chassis == listed.name for listed in zones.listed)
        return chassis if named else zones.at(chassis)
    if kind is PortKind.REMOTE:
        return external.get("node") or zones.at("")
    return zone


def hosts(addresses: Iterable[str]) -> tuple[str, tuple[str, ...]]:
    """(MAC, addresses without prefix length) of the column `addresses`; IPv4 first."""
    mac, found = "", []
    for entry in addresses:
        parts = entry.split()
        if not parts or parts[0] in _KEYWORDS:
            continue
        mac = mac or parts[0]
        found += [part.split("/")[0] for part in parts[1:] if part not in _KEYWORDS]
    return mac, chassis.merged(sorted(found, key=_by_family))


def _by_family(address: str) -> tuple[bool, str]:
    return ":" in address, address


def joined(known: Port | None, port: Port) -> Port:
    """Merge a port of a switch that spans zones with what is known of it; its own zone's row
    wins."""
    if known is None:
        return port
    best = port if port.zone in port.seen else known
    return replace(best, seen=(*known.seen, *port.seen))


@dataclass(frozen=True, slots=True)
class PortDetails:
    """Details of a zone's ports that other rows hold, by the port's name; MTUs are in bytes."""

    mtus: Mapping[str, int]
    isolated: Mapping[str, set[str]]
    policies: Mapping[str, set[str]]

    def added_to(self, port: Port) -> Port:
        """Return the port with its details."""
        return replace(
            port,
            mtu=self.mtus.get(port.name, 0),
            isolated=tuple(sorted(self.isolated.get(port.name, ()), reverse=True)),
            policies=tuple(sorted(self.policies.get(port.name, ()))),
        )


def details(snapshot: Snapshot) -> PortDetails:
    """MTUs from the interfaces of Open vSwitch; policies from weft's port groups."""
    mtus: dict[str, int] = {}
    for row in snapshot.of("Interface").values():
        port = entries(row, "external_ids").get(names.IFACE_ID, "")
        # Open vSwitch cannot read the MTU of a device that was moved into a pod's namespace; the
        # device then has the MTU that was requested.
        found = (row.get(column) for column in ("mtu_request", "mtu"))
        if port:
            mtus[port] = next((mtu for mtu in found if isinstance(mtu, int)), 0)
    isolated: dict[str, set[str]] = {}
    policies: dict[str, set[str]] = {}
    for row in snapshot.of("Port_Group").values():
        kind, _, rest = entries(row, "external_ids").get(names.ROW_ID, "").partition("/")
        direction, _, rest = rest.partition("/")
        for one in snapshot.referred("Logical_Switch_Port", row, "ports"):
            port = text(one, "name")
            if kind == policy.GroupKind.DENY:
                isolated.setdefault(port, set()).add(direction.lower())
            elif kind == policy.GroupKind.POLICY:
                # Of the parts, only the network's name may contain a slash.
                policies.setdefault(port, set()).add("/".join(rest.split("/")[-2:]))
    return PortDetails(mtus, isolated, policies)


def subnet(text: str) -> str:
    """The network of an address with prefix length; any other text unchanged."""
    try:
        return str(ipaddress.ip_interface(text).network)
    except ValueError:
        return text
