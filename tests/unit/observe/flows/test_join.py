"""What nodes have seen, joined to records."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import objects
from tests.support.flowed import AT, pod, report, switched, tracked, world
from weft.observe.flows.collect import Question
from weft.observe.flows.record import EndKind, Evidence, FlowRecord, Report, Verdict
from weft.observe.flows.sighting import Side, Sighting
from weft.policy.netpolicy import Direction

TO_B = objects.policy(
    "guard", app="b", ingress=[{"ports": [{"port": 80}]}], policyTypes=["Ingress"]
)
A, B, C = (Side(f"blue_{name}") for name in "abc")


def lines(found: Report) -> set[str]:
    return {
        f"{one.network} {one.source} > {one.target} {one.service} {one.verdict}"
        for one in found.flows
    }


def only(found: Report) -> FlowRecord:
    (record,) = found.flows
    return record


def test_a_connection_seen_by_both_nodes_is_one_record_with_the_policy_that_allows_it() -> None:
    record = only(
        report(
            world(TO_B),
            {
                "node1": (tracked(".1", ".2", "a", passes=None, connections=3),),
                "node2": (tracked(".1", ".2", "b", connections=3),),
            },
        )
    )
    assert (str(record.source), str(record.target)) == ("default/a", "default/b")
    assert (record.service, record.verdict, record.connections) == ("TCP/80", "allowed", 3)
    assert record.nodes == ("node1", "node2")
    assert [str(each) for each in record.policies] == ["default/guard spec.ingress[0]"]
    assert (record.source.node, record.target.node) == ("node1", "node2")
    assert (record.reason, record.evidence) == ("", (Evidence.CONNECTION,))


def test_what_leaves_and_is_dropped_at_the_target_is_denied_by_name() -> None:
    """The switch may not have looked at the port; the connection that left the source says it."""
    drop = switched(Side("blue_a", "10.1.0.1"), B, passes=False, protocol="TCP", packets=5)
    record = only(
        report(
            world(TO_B),
            {
                "node1": (tracked(".1", ".2", "a", passes=None, port=81),),
                "node2": (drop,),
            },
        )
    )
    assert (record.service, record.verdict) == ("TCP/81", "denied")
    assert [str(each) for each in record.policies] == ["default/guard spec.ingress"]
    assert record.evidence == (Evidence.CONNECTION, Evidence.SWITCH)


def test_a_drop_alone_is_listed_as_far_as_the_switch_looked() -> None:
    drop = switched(Side("blue_a", "10.1.0.1"), B, passes=False, protocol="UDP", packets=5)
    record = only(report(world(TO_B), {"node2": (drop,)}))
    assert (record.service, record.packets, record.connections) == ("UDP", 5, None)
    assert [each.direction for each in record.policies] == [Direction.INGRESS]


def test_what_leaves_and_is_not_let_in_is_denied_even_when_the_switch_has_forgotten() -> None:
    seen = {"node1": (tracked(".1", ".2", "a", passes=None, port=81),), "node2": ()}
    assert only(report(world(TO_B), seen)).verdict is Verdict.DENIED
    record = only(report(world(), seen))
    assert (record.verdict, record.reason) == (Verdict.ALLOWED, "no answer was seen")


def test_an_open_port_beside_a_closed_one_stays_allowed() -> None:
    drop = switched(Side("blue_a", "10.1.0.1"), B, passes=False, protocol="TCP")
    found = report(
        world(TO_B),
        {
            "node1": (
                tracked(".1", ".2", "a", passes=None),
                tracked(".1", ".2", "a", passes=None, port=81),
            ),
            "node2": (tracked(".1", ".2", "b"), drop),
        },
    )
    assert lines(found) == {
        "blue default/a > default/b TCP/80 allowed",
        "blue default/a > default/b TCP/81 denied",
    }


def test_the_same_addresses_on_two_networks_are_two_pairs() -> None:
    shut = objects.policy("shut", "red", app="b", ingress=[], policyTypes=["Ingress"])
    found = report(
        world(shut),
        {
            "node1": (
                tracked(".1", ".2", "a", passes=None),
                tracked(".1", ".2", "a", passes=None, network="red"),
            ),
            "node2": (tracked(".1", ".2", "b"),),
        },
    )
    assert lines(found) == {
        "blue default/a > default/b TCP/80 allowed",
        "red default/a > default/b TCP/80 denied",
    }


def test_what_is_not_tracked_has_no_beginner_and_no_port() -> None:
    seen = {
        "node1": (
            switched(A, B, passes=True, is_directed=False, packets=7),
            switched(B, A, passes=True, is_directed=False, packets=6),
        )
    }
    record = only(report(world(), seen))
    assert (record.is_directed, record.service, record.policies) == (False, "IP", ())


def test_what_is_tracked_on_one_node_is_not_listed_again_for_the_other() -> None:
    seen = {
        "node1": (switched(A, B, passes=True, is_directed=False),),
        "node2": (tracked(".1", ".2", "b"),),
    }
    assert lines(report(world(TO_B), seen)) == {"blue default/a > default/b TCP/80 allowed"}


def test_what_leaves_untracked_and_is_dropped_at_the_target_is_denied_alone() -> None:
    left = switched(A, B, passes=True, is_directed=False, protocol="ICMP")
    drop = switched(A, B, passes=False, protocol="ICMP", direction="Ingress")
    seen = {"node1": (left,), "node2": (drop,)}
    assert lines(report(world(TO_B), seen)) == {"blue default/a > default/b ICMP denied"}
    both = {"node1": (left,), "node2": (drop, left)}
    assert len(report(world(TO_B), both).flows) == 2


def test_an_address_that_is_not_the_ports_stays_an_address() -> None:
    spoofed = switched(Side("blue_a", "10.1.0.3"), B, passes=False, protocol="TCP")
    record = only(report(world(TO_B), {"node1": (spoofed,)}))
    assert (record.source.kind, record.source.address) == (EndKind.NONE, "10.1.0.3")
    assert "10.1.0.3 is behind default/a" in record.reason
    stranger = only(report(world(), {"node2": (tracked("192.0.2.9", ".2", "b"),)}))
    assert str(stranger.source) == "192.0.2.9"


def test_a_machine_is_called_by_its_name() -> None:
    launcher = pod("c", 3, "node2", "blue", **{"vm.kubevirt.io/name": "vm-c"})
    found = world()
    changed = type(found)(
        nads=found.nads, namespaces=found.namespaces, pods=[*found.pods[:2], launcher]
    )
    record = only(report(changed, {"node2": (tracked(".2", ".3", "c"),)}))
    assert (str(record.target), record.target.pod) == ("vm/default/vm-c", "c")


def test_a_drop_that_no_policy_explains_says_so() -> None:
    drop = switched(Side("blue_a", "10.1.0.1"), B, passes=False, protocol="TCP")
    record = only(report(world(), {"node1": (drop,)}))
    assert (record.policies, record.verdict) == ((), Verdict.DENIED)
    assert record.reason == "no policy of now: see weft explain"


def test_a_connection_that_policies_now_forbid_says_so() -> None:
    seen = {"node2": (tracked(".3", ".2", "b", port=81),)}
    record = only(report(world(TO_B), seen))
    assert (record.verdict, record.reason) == (Verdict.ALLOWED, "the declared policies deny it now")


def test_addresses_of_nobody_at_one_port_alone_are_not_judged() -> None:
    one = tracked("10.9.0.1", "10.9.0.2", "a", passes=None)
    found = report(world(), {"node1": (one,)})
    assert not found.flows
    assert found.notices[0].startswith("1 flows between addresses that weft has not given")
    two = tracked("10.9.0.1", "10.9.0.2", "b", passes=None)
    assert len(report(world(), {"node1": (one,), "node2": (two,)}).flows) == 1


@pytest.mark.parametrize(
    ("partial", "is_listed"),
    [
        ({}, True),
        ({"virtualmachineinstances": frozenset()}, True),
        ({"multi-networkpolicies": frozenset({"default"})}, True),
        ({"multi-networkpolicies": frozenset({"other"})}, False),
        ({"multi-networkpolicies": frozenset()}, False),
        ({"pods": frozenset({"other"})}, False),
        ({"namespaces": frozenset()}, False),
        ({"network-attachment-definitions": frozenset({"default"})}, False),
    ],
)
def test_what_nobody_answered_is_not_judged_by_policies_that_are_not_all(
    partial: dict[str, frozenset[str]], is_listed: bool
) -> None:
    """Who may not list them would read of a denied flow that it is allowed."""
    unanswered = {"node1": (tracked(".1", ".2", "a", passes=None, port=81),)}
    policies = () if partial.get("multi-networkpolicies") == frozenset() else (TO_B,)
    found = report(world(*policies), unanswered, partial=partial)
    if is_listed:
        assert only(found).verdict is Verdict.DENIED
    else:
        assert not found.flows
        (notice,) = (each for each in found.notices if "whether they arrive" in each)
        assert notice.startswith("1 flows that nobody has answered are not listed")
    drop = switched(Side("blue_a", "10.1.0.1"), B, passes=False, protocol="TCP")
    seen = {**unanswered, "node2": (drop, tracked(".3", ".2", "b"))}
    assert lines(report(world(*policies), seen, partial=partial)) == {
        "blue default/a > default/b TCP/81 denied",
        "blue default/c > default/b TCP/80 allowed",
    }


@pytest.mark.parametrize(
    ("question", "ports"),
    [
        (Question(pods=("default/c",)), {81}),
        (Question(networks=("red",)), set()),
        (Question(only_denied=True), {82}),
        (Question(limit=1), {82}),
        (Question(), {80, 81, 82}),
    ],
)
def test_what_is_asked_for_is_listed(question: Question, ports: set[int]) -> None:
    seen = {
        "node1": (tracked(".1", ".2", "a", passes=None, port=82),),
        "node2": (tracked(".1", ".2", "b"), tracked(".3", ".1", "c", port=81, is_answered=True)),
    }
    found = report(world(TO_B), seen, question)
    assert {each.port for each in found.flows} == ports
    assert found.left_off == (2 if question.limit == 1 else 0)


SIDES = st.builds(
    Side,
    st.sampled_from(["", "blue_a", "blue_b", "blue_c", "gone"]),
    st.sampled_from(["", "10.1.0.1", "10.1.0.2", "fd01::3", "192.0.2.9"]),
    st.sampled_from(["", "0a:58:0a:01:00:01", "02:00:00:00:00:09"]),
)
SIGHTINGS = st.builds(
    Sighting,
    st.sampled_from(list(Evidence)),
    st.sampled_from(["blue", "red", "gone"]),
    SIDES,
    SIDES,
    st.sampled_from([True, False, None]),
    family=st.sampled_from([4, 6]),
    protocol=st.sampled_from(["", "TCP", "UDP", "ICMP", "47"]),
    port=st.none() | st.integers(0, 65535),
    is_directed=st.booleans(),
    at=st.sampled_from(["", "blue_a", "blue_b", "gone"]),
    direction=st.sampled_from(["", "Ingress", "Egress"]),
    connections=st.none() | st.integers(0, 9),
    last=st.sampled_from([0.0, AT]),
    more=st.integers(0, 3),
)


@given(st.lists(SIGHTINGS, max_size=12), st.randoms())
def test_any_sightings_make_records_in_any_order(seen: list[Sighting], chance: object) -> None:
    """And the order in which a node lists them changes nothing."""
    first = report(world(TO_B), {"node1": tuple(seen), "node2": tuple(seen[::2])})
    mixed = list(seen)
    chance.shuffle(mixed)  # type: ignore[attr-defined]
    again = report(world(TO_B), {"node1": tuple(mixed), "node2": tuple(seen[::2])})
    assert sorted(map(repr, first.flows)) == sorted(map(repr, again.flows))
    for one, two in itertools.combinations(first.flows, 2):
        assert one != two
