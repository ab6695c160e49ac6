"""What Open vSwitch is told of a node, beside what an administrator has told it."""

from __future__ import annotations

import pytest

from weft import errors, rows
from weft.nic import switchsettings as ss

REMOTE = "unix:/run/ovn/ovnsb_db.sock"
NODE = ss.Settings("node1", "192.0.2.1", REMOTE, ss.KERNEL)


def written(settings: ss.Settings, ids: dict[str, rows.Atom]) -> dict[str, rows.Atom]:
    """The external_ids after the plan."""
    [top] = [row for row in ss.desired(settings, ids) if row.table == "Open_vSwitch"]
    entries = top.columns["external_ids"]
    assert isinstance(entries, rows.MapEntries)
    assert not entries.absent
    return {**ids, **entries.present}


def test_a_new_switch_learns_who_and_where_it_is() -> None:
    ids = written(NODE, {})
    assert ids["system-id"] == "node1"
    assert ids["ovn-encap-ip"] == "192.0.2.1"
    assert ids["ovn-remote"] == REMOTE
    assert ids["ovn-encap-type"] == "geneve"
    assert ids["ovn-bridge-datapath-type"] == "system"


def test_what_an_administrator_said_stays() -> None:
    present: dict[str, rows.Atom] = {
        "system-id": "host-7",
        "ovn-encap-ip": "203.0.113.7",
        "rack": "b",
    }
    ids = written(NODE, present)
    assert {key: ids[key] for key in present} == present
    assert not ss.written(ids) & set(present)


def test_what_weft_said_follows_the_node_and_what_somebody_altered_is_written_again() -> None:
    first = written(NODE, {})
    moved = ss.Settings("node1", "192.0.2.9", REMOTE, ss.KERNEL)
    assert written(moved, first)["ovn-encap-ip"] == "192.0.2.9"
    altered = {**first, "ovn-remote": "tcp:192.0.2.66:6642"}
    assert written(NODE, altered) == first


def test_running_twice_changes_nothing() -> None:
    present: dict[str, rows.Atom] = {"system-id": "host-7"}
    once = written(NODE, present)
    assert written(NODE, once) == once
    lost = {key: value for key, value in once.items() if key != "ovn-encap-type"}
    assert written(NODE, lost) == once


def test_the_switch_of_another_ovn_is_left_alone() -> None:
    with pytest.raises(errors.Conflict, match="another OVN has this switch"):
        ss.desired(NODE, {"ovn-remote": "ssl:192.0.2.8:6642", "system-id": "x"})


def test_a_userspace_switch_sends_tunnels_from_a_bridge_with_the_nodes_interface() -> None:
    uplink = ss.Uplink("eth1", "02:00:00:00:00:01", 1500)
    desired = ss.desired(ss.Settings("node1", "192.0.2.1", REMOTE, ss.USERSPACE, uplink), {})
    found = {(row.table, row.key): row.columns for row in desired}
    assert found["Bridge", ss.UNDERLAY_BRIDGE]["datapath_type"] == "netdev"
    assert found["Bridge", ss.UNDERLAY_BRIDGE]["other_config"] == {"hwaddr": uplink.mac}
    assert found["Interface", "eth1"]["type"] == ""
    assert found["Interface", ss.UNDERLAY_BRIDGE]["type"] == "internal"
    assert ("Bridge", ss.UNDERLAY_BRIDGE) not in {(r.table, r.key) for r in ss.desired(NODE, {})}
