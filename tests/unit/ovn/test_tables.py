"""What weft follows covers all that it writes."""

from __future__ import annotations

from ipaddress import ip_interface, ip_network

from weft import model, rows
from weft.ovn import (
    acl,
    advertisement,
    dhcp,
    gateway,
    interconnect,
    layer2,
    layer3,
    policy,
    ports,
    qos,
    sets,
    tables,
    transit,
)
from weft.policy import netpolicy

NETWORK = model.Network(
    model.NetworkSpec("blue", model.Topology.LAYER2, 1300, (ip_network("10.1.0.0/24"),)), 3
)
ROUTED = model.Network(
    model.NetworkSpec("default", model.Topology.LAYER3, 1300, (ip_network("10.128.0.0/14"),)), 0
)
PORT = model.Port(
    model.PodRef(model.ObjectKey("default", "web"), "u"),
    "default/blue",
    model.ObjectKey("default", "blue"),
    "blue",
    "node1",
    model.Allocation(
        *("0a:58:0a:01:00:05", (ip_interface("10.1.0.5/24"),), 11),
        nic=model.NicOptions(model.Bandwidth(egress=model.Rate(1_000_000))),
    ),
)
GROUP = policy.Group(policy.GroupKind.DENY, "blue", "default", netpolicy.Direction.INGRESS)


def test_each_written_column_is_followed_and_each_key_read_back(
    own: model.NodeInfo, far: model.NodeInfo
) -> None:
    known = {table.name: table for table in (*tables.NB, *tables.SB)}
    written = (
        layer2.switch(NETWORK),
        layer2.local_port(NETWORK, PORT, "c1"),
        *advertisement.port(NETWORK, "blue_ovn_layer2_switch"),
        *dhcp.options(NETWORK),
        *interconnect.chassis(model.NodeInfo("node2", "c2", ("192.0.2.2",))),
        *layer3.own(ROUTED, own),
        *transit.own(ROUTED, own),
        *transit.peer(ROUTED, far, ports.RemotePorts.PLAIN),
        *gateway.own(ROUTED, own, "c1", "wan"),
        *policy.isolation_rows(GROUP, NETWORK),
        *sets.rows_of(sets.AddressSet("blue", netpolicy.PodSelector()), NETWORK),
        *acl.meter(),
        *qos.of_port(NETWORK.spec, PORT, rows.Ref("Logical_Switch", "blue_ovn_layer2_switch")),
    )
    for row in written:
        table = known[row.table]
        assert row.columns.keys() <= set(table.columns)
        assert table.key(as_read(row)) == row.key
        if row.parent:
            assert row.parent_column in known[row.parent.table].columns
            assert row.parent_column in tables.CHILD_COLUMNS


def as_read(row: rows.Row) -> dict[str, rows.Value]:
    """The columns of a row that is desired whole, as the database has them."""
    read: dict[str, rows.Value] = {}
    for column, value in row.columns.items():
        assert not isinstance(value, rows.MapEntries | rows.SetMembers), (row.key, column)
        read[column] = value
    return read


def test_a_row_of_others_has_no_owner_and_no_key() -> None:
    options = next(table for table in tables.NB if table.name == "DHCP_Options")
    foreign: dict[str, rows.Value] = {
        "cidr": "10.0.0.0/24",
        "options": {},
        "external_ids": {"a": "b"},
    }
    assert options.key(foreign) is None
    assert tables.owner(foreign) == ""
    (row,) = dhcp.options(NETWORK)
    assert tables.owner(as_read(row)) == "Network//blue"
