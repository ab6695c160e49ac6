from collections import Counter
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from tests.support.reach import PING, matrix, member
from weft.model import ObjectKey
from weft.observe import reach
from weft.observe.reach import ProbeResult
from weft.observe.render import matrix_text
from weft.policy import evaluator, netpolicy

NETWORKS = {ObjectKey("default", "blue"): "blue"}
BLOCK = netpolicy.IPBlock(ip_network("10.9.0.0/31"))


def policy(*rules: netpolicy.Rule, name: str = "p") -> netpolicy.Policy:
    return netpolicy.Policy(
        namespace="default",
        name=name,
        uid="1",
        nads=(ObjectKey("default", "blue"),),
        pods=netpolicy.EVERYTHING,
        directions=frozenset({netpolicy.Direction.INGRESS}),
        ingress=rules,
    )


@pytest.mark.parametrize(
    ("source", "target", "ipv6", "chosen"),
    [
        (("10.9.0.1", "fd09::1"), ("10.9.0.2", "fd09::2"), False, ("10.9.0.1", "10.9.0.2")),
        (("10.9.0.1", "fd09::1"), ("10.9.0.2", "fd09::2"), True, ("fd09::1", "fd09::2")),
        (("10.9.0.1",), ("10.9.0.2", "fd09::2"), True, ("10.9.0.1", "10.9.0.2")),
        (("10.9.0.1", "fd09::1"), ("fd09::2",), False, ("fd09::1", "fd09::2")),
        (("fe80::1", "fd09::1"), ("fe80::2", "fd09::2"), False, ("fd09::1", "fd09::2")),
        (("fe80::1", "10.9.0.1"), ("fe80::2",), False, ("fe80::1", "fe80::2")),
        (("10.9.0.1",), ("fd09::2",), False, None),
        ((), (), False, None),
    ],
)
def test_a_pair_speaks_one_family_that_both_have(
    source: tuple[str, ...], target: tuple[str, ...], ipv6: bool, chosen: tuple[str, str] | None
) -> None:
    ends = reach.addresses(member("a", *source), member("b", *target), ipv6=ipv6)
    assert ends == (tuple(ip_address(text) for text in chosen) if chosen else None)


def test_every_pair_of_different_pods_is_asked_about_in_both_directions() -> None:
    found = matrix([member("a"), member("b"), member("c")])
    assert len(found.results) == 6
    assert len(found.by_pair()) == 6


def test_what_policies_say_depends_on_the_addresses_that_the_pair_uses() -> None:
    members = [member(f"p{number}", f"10.9.0.{number}") for number in range(3)]
    rule = netpolicy.Rule(0, peers=(BLOCK,))
    found = reach.expect("blue", members, [policy(rule)], NETWORKS, PING)
    expected = {(one.source, one.target): one.expected for one in found.results}
    assert {source for (source, _), allowed in expected.items() if allowed} == {
        "default/p0",
        "default/p1",
    }
    assert sum(expected.values()) == 4


def test_the_reason_names_the_rule_that_allows_and_the_policies_that_isolate() -> None:
    members = [member("a", "10.9.0.1"), member("z", "10.9.0.9")]
    policies = [policy(netpolicy.Rule(3, peers=(BLOCK,)), name="some"), policy(name="none")]
    found = reach.expect("blue", members, policies, NETWORKS, PING).by_pair()
    assert found["default/a", "default/z"].reason == (
        "default/some spec.ingress[3] allows it at the target"
    )
    assert found["default/z", "default/a"].reason == (
        "no rule of default/some, default/none allows it at the target"
    )
    (other, _) = reach.expect("blue", members, [], NETWORKS, PING).results
    assert other.reason == "no policy isolates either end"


@pytest.mark.parametrize(
    ("expected", "seen", "reaches", "differs"),
    [
        (True, ProbeResult.ANSWERED, True, False),
        (True, ProbeResult.ARRIVED, True, False),
        (True, ProbeResult.SILENT, False, True),
        (False, ProbeResult.ANSWERED, True, True),
        (False, ProbeResult.ARRIVED, True, True),
        (False, ProbeResult.SILENT, False, False),
        (True, ProbeResult.UNKNOWN, None, False),
        (False, ProbeResult.UNKNOWN, None, False),
    ],
)
def test_what_was_seen_against_what_was_expected(
    expected: bool, seen: ProbeResult, reaches: bool, differs: bool
) -> None:
    found = matrix([member("a"), member("b")], lambda *_: expected, lambda *_: seen)
    assert [one.reaches for one in found.results] == [reaches, reaches]
    assert [one.differs for one in found.results] == [differs, differs]
    assert len(found.differing) == (2 if differs else 0)


def test_pairs_that_nobody_tried_are_unknown_once_something_was_measured() -> None:
    bare = matrix([member("a"), member("b")])
    assert not bare.is_measured
    found = reach.measured(bare, {("default/a", "default/b"): ProbeResult.ANSWERED})
    assert found.is_measured
    assert [one.seen for one in found.results] == [ProbeResult.ANSWERED, ProbeResult.UNKNOWN]


def test_namespaces_are_named_where_there_are_several_and_machines_by_their_own_name() -> None:
    one = member("virt-launcher-vm1-abcde", machine="vm1")
    assert matrix([one]).labels() == {"default/virt-launcher-vm1-abcde": "vm1"}
    both = matrix([one, member("b", namespace="shop")]).labels()
    assert list(both.values()) == ["default/vm1", "shop/b"]


def crowd(*, doubles: int = 1) -> list[reach.Member]:
    """Replicas of two Deployments and a lone pod, of which policies tell some apart by label,
    address and named port; the first replica is on the network `doubles` times."""
    found = []
    for number in range(12):
        labels = {"app": f"app{number % 2}", "role": f"r{number % 3}"}
        name = f"app{number % 2}-7d9f8b6c5-bcdf{'bcdfghjklmnp'[number]}"
        one = member(name, f"10.9.0.{number}", labels=labels)
        named = {(netpolicy.Protocol.TCP, "web"): 80 if number % 4 else 81}
        found.append(replace(one, endpoint=replace(one.endpoint, named_ports=named)))
    again = (replace(found[0], id=f"{found[0].id}@net{each}") for each in range(2, doubles + 1))
    return [*found, *again, member("lone", "fd09::1")]


PORT = netpolicy.PolicyPort(netpolicy.Protocol.TCP, "web")
ROLE = netpolicy.Selector((netpolicy.Requirement("role", netpolicy.Operator.IN, ("r1",)),))
APP = netpolicy.Selector((netpolicy.Requirement("app", netpolicy.Operator.IN, ("app0",)),))
WIDE = netpolicy.IPBlock(ip_network("10.9.0.0/28"), (ip_network("10.9.0.4/30"),))
SELECTIVE = [
    replace(policy(netpolicy.Rule(0, (netpolicy.PodSelector("default", pods=ROLE),))), pods=APP),
    replace(policy(netpolicy.Rule(0, (WIDE,), (PORT,)), name="q"), pods=ROLE),
]
WEB = netpolicy.Connection(netpolicy.Protocol.TCP, 80)


def test_pairs_that_are_judged_once_have_the_verdict_of_each() -> None:
    members = crowd()
    found = reach.expect("blue", members, SELECTIVE, NETWORKS, WEB)
    by_id = {one.id: one for one in members}
    for one in found.results:
        ends = one.addresses or (None, None)
        connection = replace(WEB, source=ends[0], target=ends[1])
        endpoints = by_id[one.source].endpoint, by_id[one.target].endpoint
        verdict = evaluator.explain(SELECTIVE, NETWORKS, *endpoints, connection)
        assert (one.expected, one.reason) == (verdict.allowed, reach.reason_of(verdict))
    assert {one.expected for one in found.results} == {True, False}


@pytest.mark.parametrize("doubles", [1, 3])
def test_merged_results_stand_for_all_pairs_of_two_workloads(doubles: int) -> None:
    members = crowd(doubles=doubles)
    group = {one.id: one.group for one in members}
    counted = []
    for merge in (False, True):
        found = reach.expect("blue", members, SELECTIVE, NETWORKS, WEB, merge=merge)
        counts = Counter[object]()
        for one in found.results:
            counts[group[one.source], group[one.target], one.expected, one.reason] += one.pairs
        counted.append(counts)
    assert counted[0] == counted[1]
    summaries = [
        matrix_text.summary(reach.expect("blue", members, SELECTIVE, NETWORKS, WEB, merge=merge))
        for merge in (False, True)
    ]
    assert summaries[0] == summaries[1]


@pytest.mark.parametrize("merge", [False, True])
def test_how_often_policies_are_asked_does_not_grow_with_replicas(
    merge: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, explain = [], evaluator.explain

    def counted(*given: Any) -> evaluator.Verdict:
        calls.append(given)
        return explain(*given)

    monkeypatch.setattr(evaluator, "explain", counted)
    policies = [policy(netpolicy.Rule(0, peers=(netpolicy.PodSelector("default", pods=ROLE),)))]
    numbers = []
    for replicas in (4, 40):
        names = (f"{app}-7d9f8b6c5-b{each:04d}" for app in "ab" for each in range(replicas))
        members = [member(name, labels={"role": f"r{name[0] == 'a':d}"}) for name in names]
        calls.clear()
        found = reach.expect("blue", members, policies, NETWORKS, PING, merge=merge)
        assert sum(one.pairs for one in found.results) == 2 * replicas * (2 * replicas - 1)
        numbers.append(len(calls))
    assert numbers == [4, 4]
