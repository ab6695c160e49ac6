from __future__ import annotations

from tests.support import topology as rows
from weft import names
from weft.observe import tunnelhealth, underlay
from weft.observe.snapshot import Snapshot
from weft.observe.tunnelhealth import Health
from weft.observe.underlay import Underlay


def built(made: list[rows.Zone], *unread: int) -> Underlay:
    snapshots = rows.snapshots(made)
    for number in unread:
        snapshots[number - 1] = Snapshot(f"node{number}", trouble="gone")
    return underlay.build(snapshots)


def test_every_pair_is_reported_from_both_nodes() -> None:
    by_pair = tunnelhealth.grid(built(rows.zones(7)))
    assert len(by_pair) == 7 * 6
    assert set(by_pair.values()) == {Health.UP}
    assert tunnelhealth.faults(built(rows.zones(7))) == ()


def test_a_tunnel_that_one_node_lacks_is_missing_there_alone() -> None:
    made = rows.zones(6)
    for row in made[2].tables["Interface"].values():
        if row["name"] == "ovn-node5":
            row["type"] = "internal"
    below = built(made)
    by_pair = tunnelhealth.grid(below)
    assert (by_pair[2, 4], by_pair[4, 2]) == (Health.MISSING, Health.UP)
    assert tunnelhealth.faults(below) == ("node3: no tunnel to node5",)
    assert tunnelhealth.summary(below) == "6 nodes, 15 tunnels, 1 of them broken"


def test_a_node_whose_device_has_no_carrier_is_one_line() -> None:
    made = rows.zones(6)
    for row in made[1].tables["Interface"].values():
        if "status" in row:
            row["status"] = {**row["status"], "tunnel_egress_iface_carrier": "down"}
    below = built(made)
    assert tunnelhealth.faults(below) == ("node2: no carrier to any other node",)


def test_a_tunnel_whose_other_node_does_not_answer() -> None:
    made = rows.zones(6)
    mark = {names.TUNNEL_STATE: "down"}
    made[2].add("Port", name="ovn-node5", interfaces=frozenset(), external_ids=mark)
    below = built(made)
    assert tunnelhealth.grid(below)[2, 4] is Health.SILENT
    assert tunnelhealth.faults(below) == ("node3: no answer to node5",)
    assert tunnelhealth.summary(below) == "6 nodes, 15 tunnels, 1 of them broken"


def test_a_node_that_was_not_read_is_no_fault_of_its_tunnels() -> None:
    below = built(rows.zones(6), 6)
    by_pair = tunnelhealth.grid(below)
    assert (by_pair[5, 0], by_pair[0, 5]) == (Health.UNREAD, Health.UP)
    assert tunnelhealth.faults(below) == ()
