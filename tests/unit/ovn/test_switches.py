"""What all switches have in common, and what makes those of all zones one."""

from __future__ import annotations

from weft import model, names, tunnelkeys
from weft.ovn import switches

BLUE = model.Network(model.NetworkSpec("blue", model.Topology.LAYER2, 1300), 3)


def test_a_switch_does_not_snoop_whatever_else_is_said_of_it() -> None:
    row = switches.row(
        "blue_sw", switches.RowOwner("blue"), switches.local_datapath("node switch", BLUE)
    )
    assert row.columns["other_config"] == {
        "mcast_snoop": "false",
        "requested-tnl-key": str(tunnelkeys.local_datapath_key("node switch", 3)),
    }


def test_a_switch_of_all_zones_has_one_name_and_one_key() -> None:
    assert switches.interconnected("blue_sw", BLUE) == {
        "interconn-ts": "blue_sw",
        "requested-tnl-key": str(tunnelkeys.datapath_key(3)),
    }


def test_rows_stand_for_the_network_or_a_nodes_part_in_it() -> None:
    assert switches.RowOwner("blue").ids() == {
        names.OWNER: "Network//blue",
        names.NETWORK: "blue",
    }
    part = switches.RowOwner("blue", "node1").ids("route/4")
    assert part == {
        names.OWNER: "Node//node1",
        names.NETWORK: "blue",
        names.ROW_ID: "route/4",
    }
