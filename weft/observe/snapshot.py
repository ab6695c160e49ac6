"""Holds the rows that were read of one zone as plain data, and lists the tables that are read.

It opens no connection and gives the rows no meaning; it reads columns by their type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from weft import names, rows
from weft.nic import port
from weft.ovn import tables

Rows = Mapping[str, rows.Columns]  # by UUID
Tables = Mapping[str, Rows]

NORTHBOUND, SOUTHBOUND = tables.NORTHBOUND, tables.SOUTHBOUND
SWITCHES = port.DATABASE

# external_ids that name a row's network, weft's own first.
NETWORK_IDS = (names.NETWORK, names.OVN_NETWORK)

# These tables are only read, so any key will do; rows that share a key are kept.
TABLES: Mapping[str, tuple[rows.Table, ...]] = {
    NORTHBOUND: (
        rows.Table("Logical_Switch", ("name", "ports", "other_config", "external_ids")),
        rows.Table(
            "Logical_Switch_Port",
            (
                *("name", "type", "addresses", "options", "external_ids", "up"),
                *("dhcpv4_options", "dhcpv6_options"),
            ),
        ),
        rows.Table(
            "Logical_Router",
            ("name", "ports", "static_routes", "nat", "options", "external_ids"),
        ),
        rows.Table("Logical_Router_Port", ("name", "mac", "networks", "external_ids")),
        rows.Table(
            "Logical_Router_Static_Route",
            ("ip_prefix", "nexthop", "output_port", "policy"),
            rows.SINGLE_ROW,
        ),
        rows.Table("NAT", ("type", "external_ip", "logical_ip"), rows.SINGLE_ROW),
        rows.Table("DHCP_Options", ("cidr",), rows.SINGLE_ROW),
        rows.Table("Port_Group", ("name", "ports", "external_ids")),
    ),
    SOUTHBOUND: (
        rows.Table("Chassis", ("name", "hostname", "encaps", "other_config")),
        rows.Table("Encap", ("ip", "type"), rows.SINGLE_ROW),
    ),
    SWITCHES: (
        rows.Table("Open_vSwitch", ("external_ids",), rows.SINGLE_ROW),
        rows.Table("Bridge", ("name", "ports", "datapath_type")),
        rows.Table("Port", ("name", "interfaces", "external_ids")),
        rows.Table(
            "Interface",
            (
                *("name", "type", "options", "status", "external_ids", "mac_in_use", "error"),
                *("mtu", "mtu_request"),
            ),
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`place` is the name by which the zone was read; `trouble` is the error if it could not be."""

    place: str = ""
    tables: Tables = field(default_factory=dict)
    trouble: str = ""

    def of(self, table: str) -> Rows:
        return self.tables.get(table, {})

    def referred(self, table: str, columns: rows.Columns, column: str) -> list[rows.Columns]:
        """The rows that a column refers to, without those that the snapshot lacks."""
        found = self.of(table)
        return [found[uuid] for uuid in members(columns, column) if uuid in found]


def text(columns: rows.Columns, column: str) -> str:
    """The value of a string column; empty if it is unset, a set or a map."""
    value = columns.get(column)
    return value if isinstance(value, str) else ""


def entries(columns: rows.Columns, column: str) -> dict[str, str]:
    """The entries of a map column; empty for any other."""
    value = columns.get(column)
    return {k: str(v) for k, v in value.items()} if isinstance(value, Mapping) else {}


def members(columns: rows.Columns, column: str) -> tuple[str, ...]:
    """The members of a set column, in order; an optional value is a set of at most one."""
    value = columns.get(column, ())
    if isinstance(value, str):
        return (value,) if value else ()
    if isinstance(value, Mapping | int | float | rows.Ref):
        return ()
    return tuple(sorted(str(member) for member in value))
