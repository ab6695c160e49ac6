"""Sequences of objects in, rows out: whatever way the objects came, the same rows are desired.

The database is a dict with the one rule of OVSDB that matters here: a port without its switch
does not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.allocated import allocated_pod
from tests.support.columns import mapping, members
from weft import model, names, ranges, rows
from weft.control.zone import state
from weft.control.zone.objects import AllocatedPod
from weft.model import ObjectKey
from weft.rows import Ref

OWN, OWN_CHASSIS = "node1", "chassis-1"
Step = Callable[[state.Zone], None]


class Database:
    """The rows of both databases, by table and key."""

    def __init__(self) -> None:
        self.rows: dict[rows.RowKey, rows.Row] = {}

    def apply(self, changes: state.RowChanges) -> None:
        for ident in (*changes.nb_gone, *changes.sb_gone):
            self.rows.pop(ident, None)
        for row in (*changes.nb, *changes.sb):
            self.rows[row.table, row.key] = row
        self.collect()

    def collect(self) -> None:
        held = {
            (ref.table, ref.key)
            for row in self.rows.values()
            if row.table == "Chassis"
            for ref in members(row.columns["encaps"])
            if isinstance(ref, Ref)
        }
        for ident, row in list(self.rows.items()):
            orphan = row.parent and (row.parent.table, row.parent.key) not in self.rows
            if orphan or (row.table == "Encap" and ident not in held):
                del self.rows[ident]


def network(name: str, id: int, *subnets: str, age: str = "2") -> state.DeclaredNetwork:
    spec = model.NetworkSpec(
        name, model.Topology.LAYER2, 1300, tuple(ip_network(s) for s in subnets)
    )
    return state.DeclaredNetwork(model.Network(spec, id), (age,))


def pod(
    name: str, node: str, allocations: dict[str, tuple[int, str]], uid: str = "u1"
) -> AllocatedPod:
    made = {
        key: model.Allocation(f"0a:58:00:00:00:{number:02x}", (ip_interface(address),), number)
        for key, (number, address) in allocations.items()
    }
    return allocated_pod(model.PodRef(model.ObjectKey("default", name), uid), node, made)


def limited(held: AllocatedPod, ingress: int) -> AllocatedPod:
    nic = model.NicOptions(model.Bandwidth(model.Rate(ingress)))
    made = {key: replace(each, nic=nic) for key, each in held.allocations.items()}
    return replace(held, allocations=made)


def node(name: str, chassis: str, *encaps: str) -> model.NodeInfo:
    return model.NodeInfo(name, chassis, encaps)


def routed(
    name: str, chassis: str, id: int, *networks: str, way_out: bool = False
) -> model.NodeInfo:
    """A node with its part of these networks, and perhaps a gateway."""
    subnets = (ip_network(f"10.128.{id}.0/24"), ip_network(f"fd00:128:0:{id}::/64"))
    gateway = model.Gateway(
        mac="0a:58:c0:00:02:65",
        addresses=(ip_interface(f"192.0.2.{100 + id}/24"),),
        next_hops=(ip_address("192.0.2.254"),),
        interface_id=f"physnet_{name}",
    )
    return model.NodeInfo(
        name,
        chassis,
        (f"192.0.2.{id}",),
        id=id,
        transit=ranges.transit(id),
        subnets=tuple((network, subnets) for network in sorted(networks)),
        gateway=gateway if way_out else None,
    )


BLUE = network("blue", 1, "10.1.0.0/24")
BLUE6 = network("blue", 1, "10.1.0.0/24", "fd00:1::/64")
RATE = model.NicOptions(model.Bandwidth(egress=model.Rate(1_000_000)))
BLUE_LIMITED = replace(
    BLUE, network=replace(BLUE.network, spec=replace(BLUE.network.spec, nic=RATE))
)
BLUE_NEW_ID = network("blue", 7, "10.1.0.0/24")
BLUE6_OLDER = network("blue", 1, "fd00:9::/64", age="1")
RED = network("red", 2)


def layer3(name: str, id: int, role: str = "secondary") -> state.DeclaredNetwork:
    made = network(name, id, "10.128.0.0/16", "fd00:128::/48")
    spec = replace(made.network.spec, topology=model.Topology.LAYER3, role=role)
    return replace(made, network=model.Network(spec, id))


L3 = layer3("red", 2)
OWN_NET = layer3("default", 0, "primary")

DECLARED_NADS: dict[str, list[state.DeclaredNetwork | None]] = {
    "default/blue": [BLUE, BLUE6, BLUE_NEW_ID, BLUE_LIMITED, None],
    "other/blue": [BLUE, BLUE6_OLDER, RED, None],
    "default/red": [RED, L3, BLUE, None],
    "default": [OWN_NET, None],
}
PODS: dict[str, list[AllocatedPod | None]] = {
    "default/a": [
        None,
        pod("a", OWN, {"default/blue": (11, "10.1.0.11/24")}),
        pod("a", OWN, {"default/blue": (11, "10.1.0.11/24")}, uid="u2"),
        limited(pod("a", OWN, {"default/blue": (11, "10.1.0.11/24")}), ingress=2_000_000),
        pod("a", "node2", {"default/blue": (11, "10.1.0.11/24")}, uid="u3"),
        pod(
            "a", OWN, {"default/blue": (11, "10.1.0.11/24"), "default/blue/1": (12, "10.1.0.12/24")}
        ),
    ],
    "default/b": [
        None,
        pod("b", "node2", {"other/blue": (21, "10.1.0.21/24"), "default/red": (11, "10.9.0.1/24")}),
        pod("b", OWN, {"other/blue": (21, "10.1.0.21/24")}),
    ],
    "default/c": [
        None,
        pod("c", "node3", {"default/blue": (31, "fd00:1::31/64")}),
        pod("c", OWN, {"default/red": (31, "10.9.0.3/24")}),
        limited(pod("c", OWN, {"default/red": (31, "10.9.0.3/24")}), ingress=1000),
        limited(pod("c", "node2", {"default/red": (31, "10.9.0.3/24")}), ingress=1000),
        pod("c", OWN, {"default/red": (31, "10.9.0.3/24"), "default": (0, "10.128.2.5/24")}),
        pod("c", "node2", {"default/red": (31, "10.9.0.3/24"), "default": (0, "10.128.3.5/24")}),
    ],
}
NODES: dict[str, list[model.NodeInfo | None]] = {
    "node1": [
        node("node1", OWN_CHASSIS, "192.0.2.1"),
        routed("node1", OWN_CHASSIS, 2, "red"),
        routed("node1", OWN_CHASSIS, 2, "default", "red", way_out=True),
        None,
    ],
    "node2": [
        None,
        node("node2", ""),
        node("node2", "chassis-2", "192.0.2.2"),
        routed("node2", "chassis-2", 3, "default", "red"),
        routed("node2", "chassis-2", 7, "default"),
    ],
    "node3": [
        None,
        node("node3", "chassis-3", "192.0.2.3"),
        node("node3", "chassis-3b", "192.0.2.3"),
        node("node3", "chassis-2", "192.0.2.4", "192.0.2.5"),
        node("node3", OWN_CHASSIS, "192.0.2.3"),
        node("node3", "chassis-3"),
        routed("node3", "chassis-3", 4, "default", "red"),
    ],
}


def _nad(key: str, what: state.DeclaredNetwork | None) -> Step:
    return lambda zone: zone.set_nad(ObjectKey.parse(key), what)


def _pod(key: str, what: AllocatedPod | None) -> Step:
    return lambda zone: zone.set_pod(ObjectKey.parse(key), what)


def _node(key: str, what: model.NodeInfo | None) -> Step:
    return lambda zone: zone.set_node(key, what)


# (what it is about, step): of two steps about one object, the later one counts.
STEPS: list[tuple[str, Step]] = [
    *((f"nad {key}", _nad(key, w)) for key, all in DECLARED_NADS.items() for w in all),
    *((f"pod {key}", _pod(key, w)) for key, all in PODS.items() for w in all),
    *((f"node {key}", _node(key, w)) for key, all in NODES.items() for w in all),
]


SUBJECTS = sorted({about for about, _ in STEPS})
# Each subject is as likely as any other, however many ways it has to be.
PICK = st.sampled_from(SUBJECTS).flatmap(
    lambda subject: st.sampled_from([i for i, step in enumerate(STEPS) if step[0] == subject])
)


def zone() -> state.Zone:
    return state.Zone(OWN, OWN_CHASSIS)


def play(steps: Iterable[Step]) -> state.Zone:
    made = zone()
    for step in steps:
        step(made)
    return made


def desired(made: state.Zone) -> dict[rows.RowKey, rows.Row]:
    nb, sb = made.desired()
    return {(row.table, row.key): row for row in (*nb, *sb)}


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(PICK, st.booleans()), max_size=40),
    st.randoms(use_true_random=False),
)
def test_any_way_to_the_same_objects_ends_in_the_same_rows(
    picks: list[tuple[int, bool]], random: Random
) -> None:
    """Step by step, in one go, in another order or after a restart at any step."""
    live, database = zone(), Database()
    for index, flush in picks:
        STEPS[index][1](live)
        if flush:
            database.apply(live.changes())
            assert database.rows == desired(live)
    database.apply(live.changes())
    assert database.rows == desired(live)

    last = {STEPS[index][0]: STEPS[index][1] for index, _ in picks}
    others = list(last.values())
    random.shuffle(others)
    for order in (list(last.values()), list(reversed(last.values())), others):
        again = play(order)
        assert desired(again) == database.rows
        assert again.advertised() == live.advertised()


@settings(max_examples=100, deadline=None)
@given(st.lists(PICK, max_size=30))
def test_what_is_repeated_changes_nothing(picks: list[int]) -> None:
    made = play(STEPS[index][1] for index in picks)
    made.changes()
    last = {STEPS[index][0]: STEPS[index][1] for index in picks}
    for step in last.values():
        step(made)
    assert made.changes() == state.RowChanges()
    assert len(made) == 0


def scene() -> state.Zone:
    made = zone()
    made.set_nad(ObjectKey("default", "blue"), BLUE6)
    made.set_node("node2", node("node2", "chassis-2", "192.0.2.2"))
    made.set_pod(
        ObjectKey("default", "far"), pod("far", "node2", {"default/blue": (20, "10.1.0.20/24")})
    )
    return made


def keys(found: Iterable[rows.Row]) -> list[str]:
    return sorted(f"{row.table} {row.key}" for row in found)


def test_a_limit_has_a_row_beside_the_port_for_as_long_as_it_is_set() -> None:
    made = scene()
    near = pod("near", OWN, {"default/blue": (21, "10.1.0.21/24")})
    made.set_pod(ObjectKey("default", "near"), limited(near, ingress=1000))
    port, row = "default.blue_default_near", "qos/ingress/default.blue_default_near"
    assert f"QoS {row}" in keys(made.changes().nb)
    owner = "Pod/default/near"
    assert made.is_desired("QoS", row, "blue", owner)
    assert not made.is_desired("QoS", f"qos/egress/{port}", "blue", owner)
    made.touch("QoS", row, "blue", owner)
    assert keys(made.changes().nb) == [f"Logical_Switch_Port {port}", f"QoS {row}"]
    made.set_pod(ObjectKey("default", "near"), near)
    assert made.changes().nb_gone == (("QoS", row),)
    assert not made.is_desired("QoS", row, "blue", owner)


def test_a_network_without_a_local_pod_has_no_rows() -> None:
    changes = scene().changes()
    assert changes.nb == ()
    assert keys(changes.sb) == ["Chassis chassis-2", "Encap chassis-2 192.0.2.2"]


def test_the_first_local_pod_brings_all_of_the_network_at_once() -> None:
    made = scene()
    made.changes()
    made.set_pod(
        ObjectKey("default", "near"), pod("near", OWN, {"default/blue": (21, "10.1.0.21/24")})
    )
    changes = made.changes()
    assert keys(changes.nb) == [
        "DHCP_Options dhcp4/blue",
        "Logical_Switch blue_ovn_layer2_switch",
        "Logical_Switch_Port blue_:advertiser",
        "Logical_Switch_Port default.blue_default_far",
        "Logical_Switch_Port default.blue_default_near",
    ]
    assert changes.nb_gone == ()
    assert made.advertised()["blue"].leases.keys() == {"0a:58:00:00:00:15"}


def test_one_more_pod_is_one_row() -> None:
    made = scene()
    made.set_pod(
        ObjectKey("default", "near"), pod("near", OWN, {"default/blue": (21, "10.1.0.21/24")})
    )
    for number in range(30, 200):
        made.set_pod(
            ObjectKey("default", f"p{number}"),
            pod(f"p{number}", "node2", {"default/blue": (number, f"10.1.0.{number}/24")}),
        )
    made.changes()
    made.set_pod(
        ObjectKey("default", "more"),
        pod("more", "node2", {"default/blue": (22, "10.1.0.22/24")}),
    )
    changes = made.changes()
    assert keys(changes.nb) == ["Logical_Switch_Port default.blue_default_more"]
    assert changes.nb_gone == ()
    made.set_pod(ObjectKey("default", "more"), None)
    changes = made.changes()
    assert changes.nb == ()
    assert changes.nb_gone == (("Logical_Switch_Port", "default.blue_default_more"),)


def test_the_last_local_pod_takes_the_network_away() -> None:
    made = scene()
    made.set_pod(
        ObjectKey("default", "near"), pod("near", OWN, {"default/blue": (21, "10.1.0.21/24")})
    )
    made.changes()
    made.set_pod(ObjectKey("default", "near"), None)
    changes = made.changes()
    assert changes.nb == ()
    assert ("Logical_Switch", "blue_ovn_layer2_switch") in changes.nb_gone
    assert ("DHCP_Options", "dhcp4/blue") in changes.nb_gone
    assert made.advertised() == {}


def test_a_pod_made_again_under_its_name_keeps_its_row() -> None:
    """In place: another uid there, never a delete and an insert that would unbind the port."""
    made = scene()
    made.set_pod(
        ObjectKey("default", "near"), pod("near", OWN, {"default/blue": (21, "10.1.0.21/24")})
    )
    made.changes()
    made.set_pod(ObjectKey("default", "near"), None)
    made.set_pod(
        ObjectKey("default", "near"),
        pod("near", OWN, {"default/blue": (21, "10.1.0.21/24")}, "u2"),
    )
    changes = made.changes()
    assert changes.nb_gone == ()
    (row,) = (row for row in changes.nb if row.key == "default.blue_default_near")
    assert mapping(row.columns["options"])["iface-id-ver"] == "u2"


def test_a_port_waits_for_its_nodes_chassis() -> None:
    """A pod of a node that has not said its chassis is nowhere to be reached."""
    made = scene()
    made.set_pod(
        ObjectKey("default", "near"), pod("near", OWN, {"default/blue": (21, "10.1.0.21/24")})
    )
    made.set_pod(
        ObjectKey("default", "late"),
        pod("late", "node9", {"default/blue": (22, "10.1.0.22/24")}),
    )
    assert "Logical_Switch_Port default.blue_default_late" not in keys(made.changes().nb)
    made.set_node("node9", node("node9", "chassis-9", "192.0.2.9"))
    changes = made.changes()
    assert keys(changes.nb) == ["Logical_Switch_Port default.blue_default_late"]
    assert mapping(changes.nb[0].columns["options"])["requested-chassis"] == "chassis-9,chassis-9"


def test_a_node_with_a_new_chassis_moves_its_ports() -> None:
    made = scene()
    made.set_pod(
        ObjectKey("default", "near"), pod("near", OWN, {"default/blue": (21, "10.1.0.21/24")})
    )
    made.changes()
    made.set_node("node2", node("node2", "chassis-2b", "192.0.2.2"))
    changes = made.changes()
    assert keys(changes.nb) == ["Logical_Switch_Port default.blue_default_far"]
    assert keys(changes.sb) == ["Chassis chassis-2b", "Encap chassis-2b 192.0.2.2"]
    assert changes.sb_gone == (("Chassis", "chassis-2"),)
    made.set_node("node2", None)
    changes = made.changes()
    assert changes.nb_gone == (("Logical_Switch_Port", "default.blue_default_far"),)
    assert changes.sb_gone == (("Chassis", "chassis-2b"),)


def test_each_row_names_its_owner() -> None:
    made = scene()
    made.set_pod(
        ObjectKey("default", "near"), pod("near", OWN, {"default/blue": (21, "10.1.0.21/24")})
    )
    nb, sb = made.desired()
    owned = [row for row in (*nb, *sb) if row.table != "Encap"]
    assert all(mapping(row.columns["external_ids"])[names.OWNER] for row in owned)


def test_a_network_of_another_topology_has_no_layer2_rows() -> None:
    made = zone()
    made.set_nad(ObjectKey("default", "red"), L3)
    made.set_pod(ObjectKey("default", "c"), pod("c", OWN, {"default/red": (31, "10.9.0.3/24")}))
    assert made.changes().nb == ()
    assert made.desired() == ((), ())


def test_the_oldest_nad_says_what_a_network_is() -> None:
    made = scene()
    made.set_nad(ObjectKey("zoo", "blue"), BLUE6_OLDER)
    made.set_pod(
        ObjectKey("default", "near"), pod("near", OWN, {"default/blue": (21, "10.1.0.21/24")})
    )
    assert made.network("blue") == BLUE6_OLDER.network
    made.set_nad(ObjectKey("zoo", "blue"), None)
    assert made.network("blue") == BLUE6.network


def test_a_row_that_somebody_else_took_away_comes_back() -> None:
    made = scene()
    made.set_pod(
        ObjectKey("default", "near"), pod("near", OWN, {"default/blue": (21, "10.1.0.21/24")})
    )
    made.changes()
    for row in (*made.desired()[0], *made.desired()[1]):
        made.touch(
            row.table,
            row.key,
            "blue",
            str(mapping(row.columns.get("external_ids", {})).get(names.OWNER, "")),
        )
        changes = made.changes()
        assert row in (*changes.nb, *changes.sb) or row.table == "Encap"
    made.touch("Logical_Switch_Port", "somebody.elses", "blue", "Pod/a/b")
    made.touch("Logical_Switch", "red_ovn_layer2_switch", "red", "Network//red")
    made.touch("Chassis", "chassis-1", "", "")
    assert made.changes().nb == ()


def routed_scene() -> state.Zone:
    """Own node and one other on the default network and on red, which has no local pod."""
    made = zone()
    made.set_nad(ObjectKey("", "default"), OWN_NET)
    made.set_nad(ObjectKey("default", "red"), L3)
    made.set_node(OWN, routed(OWN, OWN_CHASSIS, 2, "default", "red", way_out=True))
    made.set_node("node2", routed("node2", "chassis-2", 3, "default", "red"))
    made.set_pod(
        ObjectKey("default", "far"), pod("far", "node2", {"default": (0, "10.128.3.5/24")})
    )
    return made


REACHED = [
    "Logical_Router_Static_Route join/4/default/node2",
    "Logical_Router_Static_Route join/6/default/node2",
    "Logical_Router_Static_Route subnet/4/default/node2",
    "Logical_Router_Static_Route subnet/6/default/node2",
    "Logical_Switch_Port tstor-node2",
]


def test_the_clusters_own_network_is_there_without_a_pod() -> None:
    found = keys(routed_scene().changes().nb)
    assert set(REACHED) < set(found)
    assert {
        "Logical_Switch node1",
        "Logical_Switch ext_node1",
        "NAT snat/10.128.0.0/16/default",
    } < (set(found))
    assert not [key for key in found if "red" in key or "far" in key]


def test_a_routed_network_comes_and_goes_with_its_local_pods() -> None:
    made = routed_scene()
    made.changes()
    made.set_pod(ObjectKey("default", "c"), pod("c", OWN, {"default/red": (31, "10.128.2.9/24")}))
    found = keys(made.changes().nb)
    assert "Logical_Switch_Port red_tstor-node2" in found
    assert "Logical_Router_Static_Route subnet/4/red/node2" in found
    assert "Logical_Switch_Port default.red_default_c" in found
    assert not [key for key in found if "join" in key or "GR_" in key or "NAT" in key]
    made.set_pod(ObjectKey("default", "c"), None)
    changes = made.changes()
    assert changes.nb == ()
    assert sorted(f"{table} {key}" for table, key in changes.nb_gone) == found


def test_one_more_pod_of_a_routed_network_is_one_row_here_and_none_elsewhere() -> None:
    made = routed_scene()
    made.changes()
    for number in range(10, 100):
        key, address = ObjectKey("default", f"p{number}"), f"10.128.3.{number}/24"
        made.set_pod(key, pod(f"p{number}", "node2", {"default": (0, address)}))
    assert len(made) == 0
    made.set_pod(ObjectKey("default", "near"), pod("near", OWN, {"default": (0, "10.128.2.9/24")}))
    changes = made.changes()
    assert keys(changes.nb) == ["Logical_Switch_Port default_near"]
    assert changes.nb_gone == ()
    assert mapping(changes.nb[0].columns["options"])["requested-tnl-key"] == "19"


def test_a_node_is_its_port_and_its_routes() -> None:
    made = routed_scene()
    made.set_node("node2", None)
    made.changes()
    made.set_node("node2", routed("node2", "chassis-2", 3, "default", "red"))
    assert keys(made.changes().nb) == REACHED
    made.set_node("node2", None)
    changes = made.changes()
    assert changes.nb == ()
    assert sorted(f"{table} {key}" for table, key in changes.nb_gone) == REACHED


def test_nothing_of_a_network_before_this_node_has_its_part() -> None:
    made = routed_scene()
    given = routed(OWN, OWN_CHASSIS, 2, "default", "red", way_out=True)
    made.set_pod(ObjectKey("default", "near"), pod("near", OWN, {"default": (0, "10.128.2.9/24")}))
    everything = keys(made.changes().nb)
    made.set_node(OWN, node(OWN, OWN_CHASSIS))
    changes = made.changes()
    assert changes.nb == ()
    assert sorted(f"{table} {key}" for table, key in changes.nb_gone) == everything
    made.set_node(OWN, given)
    assert keys(made.changes().nb) == everything


def test_a_network_that_becomes_routed_keeps_no_remote_pods() -> None:
    made = routed_scene()
    made.set_nad(ObjectKey("default", "red"), RED)
    made.set_pod(
        ObjectKey("default", "far"), pod("far", "node2", {"default/red": (32, "10.9.0.2/24")})
    )
    made.set_pod(
        ObjectKey("default", "near"), pod("near", OWN, {"default/red": (31, "10.9.0.1/24")})
    )
    assert "Logical_Switch_Port default.red_default_far" in keys(made.changes().nb)
    made.set_nad(ObjectKey("default", "red"), L3)
    changes = made.changes()
    assert ("Logical_Switch_Port", "default.red_default_far") in changes.nb_gone
    assert ("Logical_Switch", "red_ovn_layer2_switch") in changes.nb_gone
    made.set_nad(ObjectKey("default", "red"), RED)
    changes = made.changes()
    assert "Logical_Switch_Port default.red_default_far" in keys(changes.nb)
    assert ("Logical_Router", "red_ovn_cluster_router") in changes.nb_gone


def test_a_row_of_a_routed_network_that_somebody_took_away_comes_back() -> None:
    made = routed_scene()
    made.set_pod(ObjectKey("default", "c"), pod("c", OWN, {"default/red": (31, "10.128.2.9/24")}))
    made.changes()
    for row in made.desired()[0]:
        ids = mapping(row.columns["external_ids"])
        made.touch(row.table, row.key, str(ids[names.NETWORK]), str(ids[names.OWNER]))
        assert row in made.changes().nb
