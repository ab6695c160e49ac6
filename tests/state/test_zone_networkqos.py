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
    live, database = zone(), Database()
    steps: list[tuple[Any, bool]] = [(step, False) for step in world.BEGINNING]
    steps += [(("qos", "one/every", EVERY), False), *picks]
    for step, flush in steps:
        play(live, step)
        if flush:
            write(live, database)
            assert database.rows == fresh(live).rows
            assert len(live) == 0
    write(live, database)
    last = list({(step[0], step[1]): step for step, _ in steps}.values())
    random.shuffle(last)
    again = zone(last)
    assert fresh(again).rows == database.rows
    assert again.policies.qos_limits() == live.policies.qos_limits()
    owners = {each["external_ids"]["weft/owner"] for each in database.of(qos.QOS).values()}
    enforced = {names.networkqos_owner(*key) for key in live.policies.qos_limits()}
    assert owners <= enforced  # an object may have no rule
    check(Looked(last), database)


def write(live: Any, database: Database) -> None:
    made = live.changes()
    database.apply(made.nb, made.nb_gone)


def networks(looked: Looked, declared: NetworkQos) -> set[str]:
    found = set()
    for key, nad in looked.every("nad").items():
        each = ObjectKey.parse(key)
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
            assert bool(of_group) <= bool(members)
            for row in of_group:
                rule = declared.rules[row["priority"] % 20]
                assert row["action"] == {"dscp": rule.dscp}
                assert bool(row["bandwidth"]) == (rule.rate is not None)
                for part in row["match"].split("$")[1:]:
                    name = part.split()[0].strip("},)")
                    assert name in database.of(sets.SET)
