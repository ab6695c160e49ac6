"""What one change of the world costs in rows, and which rows belong together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_interface

import pytest

from tests.support.allocated import allocated_pod
from weft import model, rows
from weft.control.zone import state, writer
from weft.control.zone.objects import AllocatedPod, Namespace
from weft.model import ObjectKey
from weft.ovn import acl, ports, sets
from weft.ovn import policy as ovn
from weft.policy import netpolicy

OWN = "node1"
INGRESS, EGRESS = netpolicy.Direction
DEFINITION = state.DeclaredNetwork(
    model.Network(model.NetworkSpec("blue", model.Topology.LAYER2, 1300), 1)
)
RED = model.Network(model.NetworkSpec("red", model.Topology.LAYER2, 1300), 2)


def pod(name: str, number: int, node: str = OWN, named: int = 0, **labels: str) -> AllocatedPod:
    mac = f"0a:58:00:00:{number >> 8:02x}:{number & 255:02x}"
    address = ip_interface(f"10.1.{number >> 8}.{number & 255}/16")
    held = {"default/blue": model.Allocation(mac, (address,), number)}
    ports = {(netpolicy.Protocol.TCP, "web"): named} if named else {}
    return allocated_pod(
        model.PodRef(model.ObjectKey("default", name), f"uid-{name}"), node, held, labels, ports
    )


def requires(**labels: str) -> netpolicy.Selector:
    return netpolicy.Selector(
        tuple(
            netpolicy.Requirement(k, netpolicy.Operator.IN, (v,)) for k, v in sorted(labels.items())
        )
    )


def members(**labels: str) -> netpolicy.PodSelector:
    return netpolicy.PodSelector("default", pods=requires(**labels))


def policy(
    name: str,
    *peers: netpolicy.Peer,
    ports: tuple[netpolicy.PolicyPort, ...] | None = None,
    directions: Iterable[netpolicy.Direction] = (INGRESS,),
    **labels: str,
) -> netpolicy.Policy:
    rules = (netpolicy.Rule(0, peers, ports),) if peers else ()
    listed = frozenset(directions)
    return netpolicy.Policy(
        "default",
        name,
        f"uid-{name}",
        (ObjectKey("default", "blue"),),
        requires(**labels),
        listed,
        rules if INGRESS in listed else (),
        rules if EGRESS in listed else (),
    )


@pytest.fixture
def zone() -> state.Zone:
    made = state.Zone(OWN, "chassis-1")
    made.set_node("node2", model.NodeInfo("node2", "chassis-2", ("192.0.2.2",)))
    made.set_nad(ObjectKey("default", "blue"), DEFINITION)
    made.set_pod(ObjectKey("default", "far"), pod("far", 20, "node2", app="far"))
    made.set_pod(ObjectKey("default", "near"), pod("near", 21, app="near"))
    return made


def tables(found: Iterable[rows.Row]) -> list[str]:
    return sorted(f"{row.table}{' part' if row.is_part else ''}" for row in found)


def test_a_policy_that_selects_nobody_here_has_no_rows(zone: state.Zone) -> None:
    zone.changes()
    zone.policies.set_policy(
        ObjectKey("default", "far"), policy("far", members(app="near"), app="far")
    )
    assert zone.changes() == state.RowChanges()
    zone.set_namespace("default", Namespace({"a": "b"}))
    assert zone.changes() == state.RowChanges()


def test_what_no_policy_means_does_not_wake_the_writer(zone: state.Zone) -> None:
    zone.policies.set_policy(
        ObjectKey("default", "near"), policy("near", members(app="near"), app="near")
    )
    zone.changes()
    zone.set_pod(ObjectKey("default", "far"), pod("far", 20, "node2", app="other"))
    assert len(zone) == 0


def test_a_policy_and_its_end_are_one_step_each(zone: state.Zone) -> None:
    zone.changes()
    zone.policies.set_policy(ObjectKey("default", "x"), policy("x", members(app="far"), app="near"))
    made = zone.changes()
    assert tables(made.nb) == [
        "ACL",  # what always passes, the rest, and the rule
        "ACL",
        "ACL",
        "Address_Set",
        "Logical_Switch_Port",
        "Port_Group",
        "Port_Group",
        "Port_Group part",
        "Port_Group part",
    ]
    (filled,) = (row for row in made.nb if row.table == sets.SET)
    assert filled.columns["addresses"] == {"0a:58:00:00:00:14"}
    zone.policies.set_policy(ObjectKey("default", "x"), None)
    ended = zone.changes()
    assert tables(ended.nb) == ["Logical_Switch_Port"]
    shown = {(row.table, row.key) for row in made.nb if not row.is_part}
    assert set(ended.nb_gone) == {ident for ident in shown if ident[0] != ports.PORT}


def test_an_edit_touches_what_it_changes(zone: state.Zone) -> None:
    """The groups stay, and who is in them."""
    before = policy("x", members(app="far"), app="near")
    zone.policies.set_policy(ObjectKey("default", "x"), before)
    zone.changes()
    after = replace(before, ingress=(netpolicy.Rule(0, None, None),))
    zone.policies.set_policy(ObjectKey("default", "x"), after)
    made = zone.changes()
    assert "Address_Set" not in tables(made.nb)
    assert {table for table, _ in made.nb_gone} == {sets.SET}


@pytest.mark.parametrize("there", [10, 300])
@pytest.mark.parametrize(
    ("node", "cost"),
    [
        (OWN, ["Address_Set part", "Logical_Switch_Port", *["Port_Group part"] * 2]),
        ("node2", ["Address_Set part", "Logical_Switch_Port"]),
    ],
)
def test_one_more_pod_costs_the_same_however_many_there_are(
    zone: state.Zone, there: int, node: str, cost: list[str]
) -> None:
    for number in range(there):
        zone.policies.set_policy(
            ObjectKey("default", f"x{number}"),
            policy(f"x{number}", members(app=f"a{number}"), app=f"a{number}"),
        )
        zone.set_pod(
            ObjectKey("default", f"p{number}"),
            pod(f"p{number}", 30 + number, app=f"a{number}", all="x"),
        )
    zone.changes()
    zone.set_pod(ObjectKey("default", "more"), pod("more", 999, node, app="a7", all="x"))
    made = zone.changes()
    assert tables(made.nb) == cost
    assert made.nb_gone == ()
    zone.set_pod(ObjectKey("default", "more"), None)
    ended = zone.changes()
    assert tables(ended.nb) == ["Address_Set part"]
    assert ended.nb_gone == ((ports.PORT, "default.blue_default_more"),)


def test_a_group_that_gets_its_row_late_has_its_ports(zone: state.Zone) -> None:
    """Of a port's name, while no peer beside it means anybody."""
    web = (netpolicy.PolicyPort(netpolicy.Protocol.TCP, "web"),)
    zone.set_pod(ObjectKey("default", "near"), pod("near", 21, named=80, app="near"))
    meant = policy("x", members(app="far"), ports=web, app="near")
    zone.policies.set_policy(
        ObjectKey("default", "x"), replace(meant, ingress=(netpolicy.Rule(0, (), web),))
    )
    zone.changes()
    zone.policies.set_policy(ObjectKey("default", "x"), meant)
    named = ovn.Group(
        ovn.GroupKind.NAMED, "blue", "default", INGRESS, "x", netpolicy.Protocol.TCP, "web", 80
    )
    parts = [row for row in zone.changes().nb if row.is_part and row.key == named.name]
    key = "default.blue_default_near"
    assert [part.columns["ports"] for part in parts] == [
        rows.SetMembers(present=frozenset({rows.Ref(ports.PORT, key)}))
    ]


def test_a_network_stays_guarded_when_the_nad_that_a_policy_names_goes(
    zone: state.Zone,
) -> None:
    """Its pods came by another one. What the policy remembers costs nothing while it stands."""
    zone.set_nad(ObjectKey("default", "azure"), DEFINITION)
    named = replace(policy("x", app="near"), nads=(ObjectKey("default", "azure"),))
    zone.policies.set_policy(ObjectKey("default", "x"), named)
    zone.changes()
    noted = replace(named, last_networks=((ObjectKey("default", "azure"), "blue"),))
    zone.policies.set_policy(ObjectKey("default", "x"), noted)
    assert len(zone) == 0
    guarded = zone.desired()
    zone.set_nad(ObjectKey("default", "azure"), None)
    assert not zone.changes().nb_gone
    assert zone.desired() == guarded
    # Of another network, it stands for that alone.
    zone.set_nad(ObjectKey("default", "azure"), replace(DEFINITION, network=RED))
    zone.changes()
    assert ovn.GROUP not in tables(zone.desired()[0])


def test_policies_share_the_sets_of_their_peers(zone: state.Zone) -> None:
    for name in ("x", "y"):
        zone.policies.set_policy(
            ObjectKey("default", name), policy(name, members(app="far"), app="near")
        )
    assert tables(zone.changes().nb).count("Address_Set") == 1
    zone.policies.set_policy(ObjectKey("default", "x"), None)
    assert sets.SET not in {table for table, _ in zone.changes().nb_gone}
    zone.policies.set_policy(ObjectKey("default", "y"), None)
    assert sets.SET in {table for table, _ in zone.changes().nb_gone}


def test_a_label_moves_a_port_between_groups_with_its_row(zone: state.Zone) -> None:
    for name in ("x", "y"):
        zone.policies.set_policy(
            ObjectKey("default", name), policy(name, members(app="far"), app=name)
        )
    zone.set_pod(ObjectKey("default", "near"), pod("near", 21, app="x"))
    zone.set_pod(ObjectKey("default", "other"), pod("other", 22, app="y"))
    zone.changes()
    zone.set_pod(ObjectKey("default", "near"), pod("near", 21, app="y"))
    made = zone.changes()
    units = [unit for unit in writer._units(made.nb) if unit[0].table == ports.PORT]
    (unit,) = units
    desired = [row.columns["ports"] for row in unit[1:]]
    assert [(len(w.present), len(w.absent)) for w in desired] == [(1, 0), (1, 0)]  # type: ignore[union-attr]
    # The group that it left was there for it alone.
    gone = ovn.Group(ovn.GroupKind.POLICY, "blue", "default", INGRESS, "x")
    assert (ovn.GROUP, gone.name) in made.nb_gone
    zone.set_pod(ObjectKey("default", "other"), pod("other", 22, app="x"))
    zone.set_pod(ObjectKey("default", "third"), pod("third", 23, app="y"))
    zone.changes()
    zone.set_pod(ObjectKey("default", "third"), pod("third", 23, app="x"))
    made = zone.changes()
    (unit,) = [unit for unit in writer._units(made.nb) if unit[0].table == ports.PORT]
    desired = [row.columns["ports"] for row in unit[1:]]
    assert sorted((len(w.present), len(w.absent)) for w in desired) == [(0, 1), (1, 0), (1, 0)]  # type: ignore[union-attr]


def test_what_must_not_be_torn_apart_is_one_unit(zone: state.Zone) -> None:
    """Sets, then each group with its ACLs, then each port with its places."""
    web = netpolicy.PolicyPort(netpolicy.Protocol.TCP, "web")
    zone.set_pod(ObjectKey("default", "web"), pod("web", 25, named=80, app="near"))
    zone.policies.set_policy(
        ObjectKey("default", "x"), policy("x", members(app="far"), ports=(web,), app="near")
    )
    for made in (zone.desired()[0], zone.changes().nb):
        units = list(writer._units(made))
        assert [row for unit in units for row in unit] == list(made)
        for unit in units:
            first = unit[0]
            for row in unit[1:]:
                if first.table == ports.PORT:
                    assert row.is_part
                    assert row.columns["ports"].present == {rows.Ref(ports.PORT, first.key)}  # type: ignore[union-attr]
                else:
                    assert row.table == acl.ACL
                    assert row.parent == rows.Ref(ovn.GROUP, first.key)
        deny = ovn.Group(ovn.GroupKind.DENY, "blue", "default", INGRESS)
        (denied,) = [unit for unit in units if unit[0].key == deny.name]
        assert len(denied) == 3
        kinds = [unit[0].table for unit in units]
        assert kinds.index(sets.SET) < kinds.index(ovn.GROUP)
        guarded = [i for i, unit in enumerate(units) if any(row.is_part for row in unit)]
        assert min(guarded) > max(i for i, kind in enumerate(kinds) if kind == ovn.GROUP)


def test_a_row_of_policies_that_somebody_took_away_comes_back(zone: state.Zone) -> None:
    zone.set_namespace("default", Namespace({}, netpolicy.Logging(deny="info")))
    zone.policies.set_policy(ObjectKey("default", "x"), policy("x", members(app="far"), app="near"))
    zone.changes()
    every = [row for row in zone.desired()[0] if not row.is_part]
    ours = [row for row in every if row.table not in (ports.SWITCH, ports.PORT)]
    assert {row.table for row in ours} == {"ACL", ovn.GROUP, sets.SET, "Meter", "Meter_Band"}
    for row in ours:
        zone.touch(row.table, row.key, "blue", "whoever")
        made = zone.changes()
        assert row in made.nb
        if row.table == ovn.GROUP:
            assert any(part.is_part and part.key == row.key for part in made.nb)


def test_the_meter_is_there_while_anything_is_logged(zone: state.Zone) -> None:
    zone.policies.set_policy(ObjectKey("default", "x"), policy("x", app="near"))
    assert "Meter" not in tables(zone.changes().nb)
    zone.set_namespace("default", Namespace({}, netpolicy.Logging(deny="info")))
    assert "Meter" in tables(zone.changes().nb)
    zone.set_namespace("default", None)
    assert "Meter" in {table for table, _ in zone.changes().nb_gone}


def test_the_clusters_own_network_is_never_guarded(zone: state.Zone) -> None:
    spec = model.NetworkSpec("default", model.Topology.LAYER2, 1300)
    zone.set_nad(ObjectKey("default", "blue"), state.DeclaredNetwork(model.Network(spec, 0)))
    zone.policies.set_policy(ObjectKey("default", "x"), policy("x", app="near"))
    assert ovn.GROUP not in {row.table for row in zone.changes().nb}


def test_who_moves_keeps_its_address_in_a_set_until_both_are_gone(zone: state.Zone) -> None:
    """A machine that moves is in two pods for a while, with one MAC."""
    zone.policies.set_policy(ObjectKey("default", "x"), policy("x", members(app="far"), app="near"))
    zone.set_pod(ObjectKey("default", "copy"), pod("copy", 20, OWN, app="far"))
    zone.changes()
    zone.set_pod(ObjectKey("default", "far"), None)
    assert sets.SET not in {row.table for row in zone.changes().nb}
    zone.set_pod(ObjectKey("default", "copy"), None)
    (row,) = [row for row in zone.changes().nb if row.table == sets.SET]
    assert row.columns["addresses"] == rows.SetMembers(absent=frozenset({"0a:58:00:00:00:14"}))
