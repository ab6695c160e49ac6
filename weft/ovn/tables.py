"""Lists the tables and columns of OVN's databases that weft monitors, and the key of their rows.

It leaves out columns that nothing reads: the server would send them with every change.
"""

from __future__ import annotations

from collections.abc import Mapping

from weft import names, rows

NORTHBOUND = "OVN_Northbound"
SOUTHBOUND = "OVN_Southbound"
# northd's version: its table and its key in the options.
SB_GLOBAL, NORTHD_VERSION = "SB_Global", "northd_internal_version"

# Rows of other writers have no id of weft's, and so no key.
BY_ID = rows.ByEntry("external_ids", names.ROW_ID)

_BALANCERS = ("load_balancer", "load_balancer_group", "copp")

NB = (
    rows.Table("NB_Global", ("options", "ipsec"), rows.SINGLE_ROW),
    rows.Table(
        "Logical_Switch",
        ("name", "other_config", "external_ids", "dns_records", "ports", "acls", "qos_rules"),
        kept_empty=("forwarding_groups", *_BALANCERS),
    ),
    rows.Table(
        "Logical_Switch_Port",
        (
            "name",
            "type",
            "addresses",
            "port_security",
            "options",
            "dhcpv4_options",
            "dhcpv6_options",
            "tag",
            "tag_request",
            "external_ids",
        ),
        report_inserts=False,
        kept_empty=(
            "dhcpv4_options",
            "dhcpv6_options",
            "enabled",
            "parent_name",
            "tag_request",
            "tag",
            "peer",
            "mirror_rules",
            "ha_chassis_group",
        ),
    ),
    rows.Table(
        "DHCP_Options",
        ("cidr", "options", "external_ids"),
        BY_ID,
    ),
    rows.Table(
        "Logical_Router",
        ("name", "options", "external_ids", "ports", "static_routes", "nat"),
        kept_empty=("policies", "enabled", *_BALANCERS),
    ),
    rows.Table(
        "Logical_Router_Port",
        ("name", "mac", "networks", "options", "external_ids"),
        kept_empty=(
            "gateway_chassis",
            "ha_chassis_group",
            "peer",
            "enabled",
            "ipv6_ra_configs",
            "dhcp_relay",
        ),
    ),
    rows.Table(
        "Logical_Router_Static_Route",
        ("ip_prefix", "nexthop", "output_port", "external_ids"),
        BY_ID,
        kept_empty=("route_table", "policy", "bfd", "selection_fields", "options"),
    ),
    rows.Table(
        "NAT",
        ("type", "logical_ip", "external_ip", "external_ids"),
        BY_ID,
        kept_empty=(
            "external_mac",
            "external_port_range",
            "logical_port",
            "allowed_ext_ips",
            "exempted_ext_ips",
            "gateway_port",
            "match",
            "options",
        ),
    ),
    rows.Table(
        "ACL",
        (
            "direction",
            "priority",
            "match",
            "action",
            "name",
            "log",
            "severity",
            "meter",
            "external_ids",
        ),
        BY_ID,
        kept_empty=(
            *("name", "log", "severity", "meter", "label", "tier"),
            *("sample_new", "sample_est", "options"),
        ),
    ),
    rows.Table(
        "QoS",
        ("direction", "priority", "match", "action", "bandwidth", "external_ids"),
        BY_ID,
    ),
    rows.Table("DNS", ("records", "options", "external_ids"), BY_ID),
    rows.Table("Port_Group", ("name", "ports", "acls", "external_ids")),
    rows.Table("Address_Set", ("name", "addresses", "external_ids")),
    rows.Table("Meter", ("name", "unit", "fair", "bands", "external_ids")),
    rows.Table("Meter_Band", ("action", "rate", "external_ids"), BY_ID, kept_empty=("burst_size",)),
)

# The settings of the Northbound database's shared row that a zone relies on.
REQUIRED_NB_GLOBAL = rows.Row(
    "NB_Global",
    "",
    {
        "ipsec": False,
        "options": rows.MapEntries(
            absent=frozenset(("default_acl_drop", "ignore_lsp_down", "vxlan_mode"))
        ),
    },
    is_part=True,
)

# Sets whose members change with pods, by table.
MEMBER_COLUMNS = {"Port_Group": "ports", "Address_Set": "addresses"}

# Sets of references to rows that are read from their own tables, and those tables.
CHILD_TABLES: Mapping[tuple[str, str], str] = {
    ("Logical_Switch", "ports"): "Logical_Switch_Port",
    ("Logical_Switch", "acls"): "ACL",
    ("Logical_Switch", "qos_rules"): "QoS",
    ("Logical_Router", "ports"): "Logical_Router_Port",
    ("Logical_Router", "static_routes"): "Logical_Router_Static_Route",
    ("Logical_Router", "nat"): "NAT",
    ("Port_Group", "acls"): "ACL",
    ("Meter", "bands"): "Meter_Band",
}
CHILD_COLUMNS = frozenset(column for _, column in CHILD_TABLES)

SB = (
    rows.Table(
        "Chassis",
        ("name", "hostname", "encaps", "other_config", "external_ids"),
        kept_empty=("transport_zones", "vtep_logical_switches"),
    ),
    rows.Table(
        "Encap",
        ("chassis_name", "ip", "type", "options"),
        rows.ByColumns(("chassis_name", "ip")),
    ),
    rows.Table("Chassis_Private", ("name",)),
    rows.Table(SB_GLOBAL, ("options",), rows.SINGLE_ROW),
    # Only ports that are bound to no chassis or to several: normally none.
    rows.Table(
        "Port_Binding",
        ("logical_port", "chassis", "additional_chassis"),
        rows.ByColumns(("logical_port",)),
        where=(("chassis", "==", frozenset()), ("additional_chassis", "!=", frozenset())),
    ),
)

# Where ports are bound: ovn-controller writes it, and northd for other zones' ports.
BINDING = frozenset(("chassis", "additional_chassis"))

# What northd derives and never compares again: weft observes it without keeping rows (ADR 0070).
DERIVED = (
    rows.Table(
        "Logical_Flow",
        (
            "logical_datapath",
            "logical_dp_group",
            "pipeline",
            "table_id",
            "priority",
            "match",
            "actions",
            "controller_meter",
        ),
    ),
    rows.Table("Logical_DP_Group", ("datapaths",)),
    rows.Table("Multicast_Group", ("datapath", "name", "tunnel_key", "ports")),
    rows.Table("Datapath_Binding", ("tunnel_key", "external_ids")),
    rows.Table(
        "Port_Binding",
        (
            "logical_port",
            "datapath",
            "tunnel_key",
            "type",
            "tag",
            "mac",
            "options",
            "port_security",
            "nat_addresses",
            "external_ids",
            "requested_chassis",
            *sorted(BINDING),
        ),
    ),
    rows.Table("Address_Set", ("name", "addresses")),
    rows.Table("Port_Group", ("name", "ports")),
    rows.Table("Meter", ("name", "unit", "bands")),
    rows.Table("DNS", ("records", "datapaths")),
    rows.Table("Static_MAC_Binding", ("logical_port", "ip", "mac")),
    rows.Table("Load_Balancer", ("name", "vips", "protocol", "datapaths")),
)


def owner(columns: Mapping[str, rows.DesiredValue]) -> str:
    """The OWNER of a row; "" for a foreign row."""
    return external_id(columns, names.OWNER)


def external_id(columns: Mapping[str, rows.DesiredValue], key: str) -> str:
    """One entry of `external_ids`; "" if it is absent."""
    external_ids = columns.get("external_ids")
    return str(external_ids.get(key, "")) if isinstance(external_ids, Mapping) else ""
