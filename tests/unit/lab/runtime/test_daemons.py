from __future__ import annotations

from weft_lab import spec
from weft_lab.runtime import daemons


def settings(lab: spec.Lab, number: int = 1) -> tuple[str, ...]:
    services = daemons.zone(lab, spec.Node(lab.name, number))
    return next(one.argv for one in services if one.name.endswith("/ovs-settings"))


def test_switch_knows_all_before_it_first_starts() -> None:
    argv = settings(spec.Lab(mtu=1600), 2)
    node = spec.Node(spec.DEFAULT_NAME, 2)
    assert "--no-wait" in argv
    for expected in (
        "other_config:userspace-tso-enable=true",
        f"external_ids:system-id={node.chassis}",
        f"external_ids:ovn-encap-ip={node.underlay}",
        "external_ids:ovn-is-interconn=true",
        "external_ids:ovn-monitor-all=true",
        "mtu_request=1600",
        "datapath_type=netdev",
    ):
        assert expected in argv, expected


def test_datapath_is_the_labs() -> None:
    argv = settings(spec.Lab(datapath="system"))
    assert "datapath_type=system" in argv
    assert "external_ids:ovn-bridge-datapath-type=system" in argv
    assert "datapath_type=netdev" not in argv


def test_databases_are_where_clients_look() -> None:
    services = daemons.zone(spec.Lab(), spec.Node(spec.DEFAULT_NAME, 1))
    sockets = {one.name: one.socket for one in services if one.socket}
    assert sockets["node1/ovsdb"] == "/run/openvswitch/db.sock"
    assert sockets["node1/nb"] == "/run/ovn/ovnnb_db.sock"
    assert sockets["node1/sb"] == "/run/ovn/ovnsb_db.sock"
