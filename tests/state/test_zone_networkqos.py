"""NetworkQoS beside policies in a zone: as looking at all objects says, by any way to them."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.state import test_zone_policies as world
from tests.state.test_zone_policies import OWN, PEERS, SELECTORS, Looked, fresh, play, zone
from tests.support.northbound import Database
from weft import model, names
from weft.api.networkqos import ParsedNetworkQos
from weft.control.zone.networkqos import due
from weft.labels import EVERYTHING
from weft.model import ObjectKey
from weft.ovn import networkqos, ports, qos, sets
from weft.policy import netpolicy
from weft.policy.networkqos import (
    CONTROLLERS,
    NadMarks,
    NetworkKind,
    NetworkQos,
    NetworkSelector,
    QosRule,
)

NUMBERS = (netpolicy.PolicyPort(netpolicy.Protocol.UDP, 53),)
RULES = st.lists(
    st.tuples(st.integers(0, 63), world.some(PEERS), st.sampled_from([None, NUMBERS])), max_size=3
).map(
    lambda found: tuple(
        QosRule(index, dscp, model.Rate(10**7) if dscp % 2 else None, peers, services)
        for index, (dscp, peers, services) in enumerate(found)
    )
)
TEAMS = st.sampled_from([EVERYTHING, world.requires("team", "a"), world.requires("net", "x")])
CHOICES = st.builds(
    NetworkSelector,
    st.sampled_from(NetworkKind),
    st.sampled_from([EVERYTHING, world.requires("net", "x")]),
    TEAMS,
)
DECLARED = st.builds(
    NetworkQos,
    namespace=st.just("one"),
    name=st.just("x"),
    uid=st.just("u"),
    networks=st.lists(CHOICES, min_size=1, max_size=2).map(tuple),
    pods=SELECTORS,
    priority=st.integers(0, 100),
    rules=RULES,
)
MARKS = st.builds(
    NadMarks, st.sampled_from([{}, {"net": "x"}]), st.sampled_from(sorted(CONTROLLERS.values()))
)
EVERY = NetworkQos(
    *("one", "every", "u", (NetworkSelector(NetworkKind.NADS),), EVERYTHING, 5),
    (QosRule(0, 46, None, (world.EVERYBODY,)),),
)


def marked(step: world.Step, marks: NadMarks) -> world.Step:
    kind, key, what = step
    return (kind, key, replace(what, marks=marks) if kind == "nad" and what else what)


STEPS: st.SearchStrategy[world.Step] = st.one_of(
    st.tuples(
        st.just("qos"),
        st.sampled_from(["one/x", "one/y", "two/x"]),
        st.none() | DECLARED,
    ).map(
        lambda step: (
            *step[:2],
            replace(step[2], **ObjectKey.parse(step[1])._asdict()) if step[2] else None,
        )
    ),
    st.builds(marked, world.STEPS, MARKS),
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(STEPS, st.booleans()), min_size=2, max_size=25),
    st.randoms(use_true_random=False),
)
def test_any_way_to_the_same_objects_ends_in_the_same_rows(
    picks: list[tuple[Any, bool]], random: Random
) -> None:
    live, database, said = zone(), Database(), {}
    steps: list[tuple[Any, bool]] = [(step, False) for step in world.BEGINNING]
    steps += [(("qos", "one/every", EVERY), False), *picks]
    for step, flush in steps:
        play(live, step)
        if flush:
            write(live, database)
            said.update(live.policies.take_qos())
            assert database.rows == fresh(live).rows
            assert len(live) == 0
    write(live, database)
    said.update(live.policies.take_qos())
    last = list({(step[0], step[1]): step for step, _ in steps}.values())
    random.shuffle(last)
    again = zone(last)
    assert fresh(again).rows == database.rows
    said = {owner: each for owner, each in said.items() if each}
    assert {k: each for k, each in again.policies.take_qos().items() if each} == said
    owners = {each["external_ids"]["weft/owner"] for each in database.of(qos.QOS).values()}
    enforced = {names.networkqos_owner(*owner.policy) for owner in said}
    assert owners <= enforced  # an object may have no rule
    check(Looked(last), database)


def write(live: Any, database: Database) -> None:
    made = live.changes()
    database.apply(made.nb, made.nb_gone)


def networks(looked: Looked, declared: NetworkQos) -> set[str]:
    found = set()
    every = looked.every("nad")
    leads = {looked.network(key): key for key in sorted(every, reverse=True)}
    for key, nad in every.items():
        each = ObjectKey.parse(key)
        if leads[nad.network.name] != key and each.namespace != declared.namespace:
            continue
        namespace = looked.every("namespace").get(each.namespace)
        labels = namespace.labels if namespace is not None else None
        for choice in declared.networks:
            controller = CONTROLLERS[choice.kind]
            named = {**(labels or {}), "kubernetes.io/metadata.name": each.namespace}
            is_home = labels is not None and choice.namespaces.matches(named)
            if (
                controller in ("", nad.marks.controller)
                and (is_home or choice.kind is NetworkKind.CUDNS)
                and choice.networks.matches(nad.marks.labels)
            ):
                found.add(nad.network.name)
    return found


def matches(rule: QosRule) -> bool:
    """Whether a rule can match a packet: not where exceptions leave nothing of its peers."""
    return rule.peers is None or any(
        not (isinstance(each, netpolicy.IPBlock) and each.subnet in each.excepts)
        for each in rule.peers
    )


def check(looked: Looked, database: Database) -> None:
    """Each port is in just the groups that it belongs to, and rows name what is there."""
    there, rows = database.of(ports.PORT), database.of(qos.QOS)
    for declared in looked.every("qos").values():
        chosen = networks(looked, declared)
        for network in ("blue", "red"):
            group = networkqos.group(declared, network)
            members = {
                name
                for pod, name, _ in looked.attachments(network)
                if name in there
                and pod.node == OWN
                and network in chosen
                and pod.ref.namespace == declared.namespace
                and declared.pods.matches(pod.labels)
            }
            assert (database.group(group) or frozenset()) == members
            of_group = [each for each in rows.values() if f"@{group.name}" in each["match"]]
            found = {row["priority"] % 20 for row in of_group}
            assert found == {rule.index for rule in declared.rules if members and matches(rule)}
            assert len(of_group) == len(found)
            for row in of_group:
                rule = declared.rules[row["priority"] % 20]
                assert row["action"] == {"dscp": rule.dscp}
                assert bool(row["bandwidth"]) == (rule.rate is not None)
                for part in row["match"].split("$")[1:]:
                    name = part.split()[0].strip("},)")
                    assert name in database.of(sets.SET)


def rows_of(zone: Any) -> dict[Any, Any]:
    return fresh(zone).of(qos.QOS)


def test_a_nad_of_another_namespace_does_not_draw_an_object_to_its_network() -> None:
    """A follower's labels count for its own namespace alone; those of the leading NAD for all."""
    chosen = NetworkSelector(NetworkKind.CUDNS, world.requires("net", "x"))
    declared = replace(EVERY, networks=(chosen,))
    live = zone([*world.BEGINNING, ("qos", "one/every", declared)])
    marks = NadMarks({"net": "x"}, "ClusterUserDefinedNetwork")
    play(live, ("nad", "two/blue", replace(world.BLUE, marks=marks)))
    assert not rows_of(live)
    play(live, ("nad", "one/blue", replace(world.BLUE, marks=marks)))
    assert len(rows_of(live)) == 1
    play(live, ("nad", "one/blue", world.BLUE))
    assert not rows_of(live)
    play(live, ("qos", "two/every", replace(declared, namespace="two")))
    play(live, ("pod", "two/q", world.made_pod("two/q", OWN, ("two/blue",), 1, 0)))
    assert len(rows_of(live)) == 1


def test_labels_of_a_nad_have_nothing_but_qos_made_again() -> None:
    live = zone([*world.BEGINNING, ("qos", "one/every", EVERY)])
    live.changes()
    marked_blue = replace(world.BLUE, marks=NadMarks({"net": "x"}))
    play(live, ("nad", "one/blue", marked_blue))
    assert len(live) == 0
    other = replace(EVERY, networks=(NetworkSelector(NetworkKind.NADS, world.requires("a", "b")),))
    play(live, ("qos", "one/every", other))
    live.changes()
    play(live, ("nad", "one/blue", replace(world.BLUE, marks=NadMarks({"a": "b"}))))
    made = live.changes()
    assert {row.table for row in made.nb} <= {qos.QOS, "Port_Group", ports.PORT, sets.SET}
    assert any(row.table == qos.QOS for row in made.nb)


def test_the_oldest_of_a_namespace_are_in_force() -> None:
    """In any order; when one goes, the next comes."""
    listed = [replace(EVERY, name=f"n{i}", created=f"2026-01-01T00:{i:02}Z") for i in range(66)]
    steps: list[world.Step] = [("qos", str(each.key), each) for each in listed]
    names = {each.name for each in listed}
    for order in (steps, steps[::-1]):
        live = zone([*world.BEGINNING, *order])
        assert names - in_force(live, names) == {"n64", "n65"}
        play(live, ("qos", "one/n3", None))
        play(live, ("qos", "one/n65", None))
        assert names - in_force(live, names) == {"n3", "n65"}


def in_force(live: Any, names: set[str]) -> set[str]:
    database = fresh(live)
    owner = (replace(EVERY, name=name) for name in names)
    groups = {each.name: networkqos.group(each, "blue") for each in owner}
    return {name for name, group in groups.items() if database.group(group)}


def test_only_networks_with_ports_of_its_namespace_cost_anything() -> None:
    """Other tenants' networks, however many, are compared with nobody's objects."""
    live = zone([*world.BEGINNING, ("qos", "one/every", EVERY)])
    for number in range(10, 20):
        red = world.declared(f"n{number}", number, model.Topology.LAYER2)
        play(live, ("nad", f"two/n{number}", red))
    assert live.policies._qos.networks(EVERY.key) == {"blue", "red"}


def test_what_is_said_is_of_the_rows_that_are_made() -> None:
    live = zone([*world.BEGINNING, ("qos", "one/every", EVERY)])
    live.changes()
    taken = live.policies.take_qos()
    assert {owner.network: said for owner, said in taken.items()} == {
        "blue": (EVERY, 0),
        "red": (EVERY, 0),
    }
    live.changes()
    assert not live.policies.take_qos()
    newer = replace(EVERY, generation=2)
    play(live, ("qos", "one/every", newer))
    assert not live.policies.take_qos()
    live.changes()
    assert set(live.policies.take_qos().values()) == {(newer, 0)}
    play(live, ("qos", "one/every", None))
    live.changes()
    assert set(live.policies.take_qos().values()) == {None}


def test_a_condition_waits_for_the_rows_of_its_generation() -> None:
    seen = ParsedNetworkQos("u", "7", 2, replace(EVERY, generation=2))
    said = due(seen, ((replace(EVERY, generation=2), 0),), OWN, "now")
    assert said is not None
    assert [each["observedGeneration"] for each in said] == [2]
    assert due(seen, ((replace(EVERY, generation=1), 0),), OWN, "now") is None
    assert due(seen, ((replace(EVERY, uid="other", generation=2), 0),), OWN, "now") is None
    assert due(seen, (), OWN, "now") is None
    before = replace(seen, status={"conditions": said})
    assert due(before, (), OWN, "now") == []
    assert due(before, ((replace(EVERY, generation=2), 0),), OWN, "later") is None
