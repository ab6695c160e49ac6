from __future__ import annotations

from tests.support import topology as rows
from weft.observe import topology, underlay
from weft.observe.render import tree
from weft.observe.snapshot import Snapshot

ONE_ZONE = """\
networks
├─ default  layer3  10.128.0.0/14  in node1
└─ blue  layer2  in node1

zone node1  172.31.1.11
├─ default
│  └─ ext_node1  external switch  to physnet
│     └─ GR_node1  gateway router  172.31.1.11/24
│        ├─ snat 10.128.0.0/14 to 172.31.1.11
│        ├─ route 0.0.0.0/0 via 172.31.1.1
│        ├─ route 10.128.0.0/14 via 100.64.0.1
│        └─ join  join switch  100.64.0.2/16  100.64.0.0/16
│           └─ ovn_cluster_router  cluster router  100.64.0.1/16
│              ├─ transit_switch  transit switch  100.88.0.2/16  100.88.0.0/16  in no other zone
│              └─ node1  node switch  10.128.1.1/24  10.128.1.0/24
│                 └─ pod shop/web  10.128.1.5  0a:58:00:00:00:01
└─ blue
   └─ blue_ovn_layer2_switch  layer 2 switch  in no other zone
      └─ VM shop/db  10.5.0.1  0a:58:00:00:00:01
"""


def test_a_zone_from_the_outside_to_its_pods() -> None:
    made = rows.zones(1)
    rows.add_layer3(made, "default", {1: [("shop", "web")]})
    rows.add_layer2(made, "blue", {1: [("shop", "virt-launcher-db-x1y2z", "10.5.0.1")]})
    assert tree.logical(topology.build(rows.snapshots(made))) == ONE_ZONE


def test_each_zone_names_its_own_pods() -> None:
    made = rows.zones(2)
    rows.add_layer2(made, "blue", {1: [("a", "x", "10.5.0.1")], 2: [("a", "y", "10.5.0.2")]})
    first, second = tree.logical(topology.build(rows.snapshots(made))).split("zone node2")
    assert "pod a/x" in first
    assert "pod a/y" not in first
    assert "also in node2" in first
    assert "pod a/y" in second
    assert "also in node1" in second


def test_what_is_wrong_is_said() -> None:
    made = rows.zones(2)
    rows.add_layer2(made, "blue", {1: [("a", "x", "10.5.0.1")], 2: []})
    for row in made[0].tables["Logical_Switch_Port"].values():
        row["up"] = False
    made[1].tables["Logical_Switch_Port"].clear()
    drawn = tree.logical(topology.build([*rows.snapshots(made), Snapshot("node3", trouble="gone")]))
    assert "not up  no row of it in node2" in drawn
    assert "zone node3  cannot be read: gone" in drawn


def test_what_is_known_of_zones_that_were_not_read() -> None:
    made = rows.zones(3)
    rows.add_layer3(made, "default", {1: [("a", "x")]}, remote="")
    rows.add_layer2(made, "blue", {1: [("a", "x", "10.5.0.1")], 2: [("a", "y", "10.5.0.2")]})
    drawn = tree.logical(topology.build([made[0].snapshot()]))
    assert "├─ default  layer3  10.128.0.0/14  in node1, node2, node3\n" in drawn
    assert "└─ blue  layer2  in node1, node2\n" in drawn
    assert "no other zone" not in drawn


def test_an_empty_zone() -> None:
    assert tree.logical(topology.build(rows.snapshots(rows.zones(1)))) == (
        "zone node1  172.31.1.11\n└─ nothing here\n"
    )


def test_bridges_and_tunnels() -> None:
    drawn = tree.physical(underlay.build(rows.snapshots(rows.zones(2))))
    assert "br-phy  datapath netdev  carries the tunnels" in drawn
    assert "node1 to node2  geneve: up at both ends" in drawn
    assert "node2: ovn-node1  172.31.1.12 to 172.31.1.11" in drawn


def test_long_lines_are_continued_below() -> None:
    made = rows.zones(1)
    rows.add_layer2(made, "blue", {1: [("shop", "a-pod-whose-name-takes-a-while", "10.5.0.1")]})
    drawn = tree.logical(topology.build(rows.snapshots(made)), 48).splitlines()
    assert max(map(len, drawn)) <= 48
    assert drawn[-2:] == [
        "      └─ pod shop/a-pod-whose-name-takes-a-while",
        "           10.5.0.1  0a:58:00:00:00:01",
    ]
