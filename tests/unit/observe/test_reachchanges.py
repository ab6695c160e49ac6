"""Pairs that gain and lose reach, held to the evaluator pair by pair."""

from dataclasses import replace
from ipaddress import ip_network
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.reach import member
from weft.labels import Operator, Requirement, Selector
from weft.model import ObjectKey
from weft.observe import reach, reachchanges
from weft.observe.reach import Member
from weft.observe.reachchanges import Rules
from weft.policy import evaluator, netpolicy

NETWORKS = {ObjectKey(name, "blue"): "blue" for name in ("default", "shop")}
TCP = netpolicy.Protocol.TCP
WEB = netpolicy.PolicyPort(TCP, "web")


def labelled(key: str, *values: str) -> Selector:
    return Selector((Requirement(key, Operator.IN, values),))


def members() -> list[Member]:
    found = []
    for number in range(12):
        namespace = "shop" if number % 4 == 3 else "default"
        labels = {"app": "abc"[number % 3], "pod": str(number)}
        one = member(f"p{number}", f"10.9.0.{number}", namespace=namespace, labels=labels)
        end = replace(
            one.endpoint,
            namespace_labels={"team": "x" if namespace == "shop" else "y"},
            named_ports={(TCP, "web"): 8000 + number % 2},
        )
        found.append(replace(one, endpoint=end))
    return found


def policy(name: str, namespace: str, pods: Selector, *rules: netpolicy.Rule) -> netpolicy.Policy:
    return netpolicy.Policy(
        namespace=namespace,
        name=name,
        uid=name,
        nads=(ObjectKey(namespace, "blue"),),
        pods=pods,
        directions=frozenset({netpolicy.Direction.INGRESS}),
        ingress=rules,
    )


BLOCK = netpolicy.IPBlock(ip_network("10.9.0.0/29"), (ip_network("10.9.0.2/31"),))
TEAM = netpolicy.PodSelector(namespaces=labelled("team", "x"), pods=labelled("app", "a", "b"))
KEPT = policy("kept", "default", labelled("app", "b"), netpolicy.Rule(0, (TEAM,)))
OLD = policy("old", "default", labelled("app", "a"), netpolicy.Rule(0, (BLOCK,)))
NEW = policy("new", "shop", labelled("app", "a", "c"), netpolicy.Rule(0, (TEAM,), (WEB,)))


def test_all_pairs_are_those_of_the_evaluator() -> None:
    there = members()
    before, after = Rules((KEPT, OLD), NETWORKS), Rules((KEPT, NEW), NETWORKS)
    asked = [
        netpolicy.Connection(None),
        *(netpolicy.Connection(TCP, port) for port in (reachchanges.OTHER, 8000, 8001)),
    ]
    expected = set()
    for source in there:
        for target in there:
            ends = reach.addresses(source, target)
            assert ends is not None
            for question in asked if source is not target else ():
                connection = replace(question, source=ends[0], target=ends[1])
                old, new = (
                    evaluator.allowed(
                        rules.policies, NETWORKS, source.endpoint, target.endpoint, connection
                    )
                    for rules in (before, after)
                )
                if old is not new:
                    names = source.id, target.id
                    expected.add((*names, str(question.protocol or "ICMP"), question.port, new))
    found = reachchanges.changes("blue", there, before, after).pairs
    named = {(one.source, one.target, one.protocol, one.port, one.allowed) for one in found}
    assert named <= expected
    others = {each[:3] + each[4:] for each in named if each[3] == reachchanges.OTHER}
    # Where no policy of the pair names a port, it is one of the others.
    assert all(each[:3] + each[4:] in others for each in expected - named)
    assert len(found) == len(named) > 50


def intervals(*ranges: tuple[int, int]) -> list[tuple[int, int]]:
    ports = tuple(netpolicy.PolicyPort(TCP, *one) for one in ranges)
    ranged = policy("ranged", "default", netpolicy.EVERYTHING, netpolicy.Rule(0, None, ports))
    asked = reachchanges.questions([ranged], {})
    return [(one.connection.port, one.last) for one in asked if one.connection.protocol]


def test_each_interval_that_ranges_make_is_asked_about_once() -> None:
    assert intervals((80, 0), (443, 0)) == [(0, 0), (80, 80), (443, 443)]
    assert intervals((1, 100), (50, 200), (300, 0)) == [
        (0, 0),
        (1, 49),
        (50, 100),
        (101, 200),
        (300, 300),
    ]
    assert intervals((1, 65535)) == [(1, 65535)]  # no port is left that none names


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 9)), max_size=5),
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 9)), max_size=5),
)
def test_no_port_that_differs_is_missed(old: list[Any], new: list[Any]) -> None:
    def ranged(listed: list[Any]) -> netpolicy.Policy:
        ports = tuple(netpolicy.PolicyPort(TCP, one, one + more) for one, more in listed)
        return policy("ranged", "default", netpolicy.EVERYTHING, netpolicy.Rule(0, None, ports))

    def allowed(listed: list[Any]) -> set[int]:
        return {port for one, more in listed for port in range(one, one + more + 1)}

    ends = [member("a", "10.9.0.1"), member("b", "10.9.0.2")]
    found = reachchanges.changes(
        "blue", ends, *(Rules((ranged(one),), NETWORKS) for one in (old, new))
    )
    for gains, expected in (
        (False, allowed(old) - allowed(new)),
        (True, allowed(new) - allowed(old)),
    ):
        named = {
            port
            for one in found.pairs
            if one.source == "default/a" and one.allowed is gains
            for port in range(one.port, one.last + 1)
        }
        assert named == expected


def test_ports_that_another_policy_of_the_pair_names_are_asked_about() -> None:
    web = netpolicy.PolicyPort(TCP, 8080)
    out = replace(
        policy("out", "default", labelled("app", "a")),
        directions=frozenset({netpolicy.Direction.EGRESS}),
        egress=(netpolicy.Rule(0, None, (web,)),),
    )
    deny = policy("deny", "default", labelled("app", "b"))
    ends = [member(name, f"10.9.0.{end}", labels={"app": name}) for end, name in enumerate("ab", 1)]
    found = reachchanges.changes(
        "blue", ends, Rules((out,), NETWORKS), Rules((out, deny), NETWORKS)
    ).pairs
    assert [one.connection for one in found if one.source == "default/a"] == ["TCP port 8080"]


def test_each_family_is_judged() -> None:
    four, six = (netpolicy.IPBlock(ip_network(one)) for one in ("10.9.0.0/24", "fd09::/64"))
    old = policy("blocks", "default", netpolicy.EVERYTHING, netpolicy.Rule(0, (four, six)))
    new = policy("blocks", "default", netpolicy.EVERYTHING, netpolicy.Rule(0, (four,)))
    ends = [member(name, f"10.9.0.{end}", f"fd09::{end}") for end, name in enumerate("ab", 1)]
    found = reachchanges.changes(
        "blue", ends, Rules((old,), NETWORKS), Rules((new,), NETWORKS)
    ).pairs
    assert [(one.source, one.connection, one.allowed) for one in found][:1] == [
        ("default/a", "ping over IPv6", False)
    ]
    gone = reachchanges.changes("blue", ends, Rules((old,), NETWORKS), Rules((KEPT,), {})).pairs
    assert not gone
    both = policy("blocks", "default", netpolicy.EVERYTHING)
    found = reachchanges.changes(
        "blue", ends, Rules((old,), NETWORKS), Rules((both,), NETWORKS)
    ).pairs
    assert {one.family for one in found} == {""}


def test_a_block_is_not_judged_without_addresses() -> None:
    block = netpolicy.IPBlock(ip_network("10.9.0.0/24"))
    web = (netpolicy.PolicyPort(TCP, 80),)
    ends = [member("a", labels={"app": "a"}), member("b", labels={"app": "b"})]
    here = labelled("app", "b")

    def judged(old: list[netpolicy.Rule], new: list[netpolicy.Rule]) -> reachchanges.ReachChanges:
        versions = (
            Rules((policy("one", "default", here, *each),), NETWORKS) for each in (old, new)
        )
        return reachchanges.changes("blue", ends, *versions)

    blocked, all_web = netpolicy.Rule(0, (block,)), netpolicy.Rule(0, None, web)
    to_b = ("default/a > default/b",)
    assert judged([blocked], []) == reachchanges.ReachChanges((), to_b)
    assert judged([], [blocked]).unjudged == to_b
    # It may hide what another rule loses, ...
    assert judged([blocked, all_web], [blocked]).unjudged == to_b
    # ... but what it cannot change is judged.
    narrow = netpolicy.Rule(0, (block,), web)
    lost = judged([all_web, netpolicy.Rule(1)], [all_web, narrow])
    assert {one.connection for one in lost.pairs} == {"ping", "TCP ports that no policy names"}
    assert lost.unjudged == ()
    known = [
        member(name, f"10.9.0.{end}", labels={"app": name}) for end, name in enumerate("ab", 1)
    ]
    ends[:] = known
    assert judged([blocked], []).unjudged == ()


BLOCKS = [netpolicy.IPBlock(ip_network(f"10.{number}.0.0/16")) for number in range(3)]
WITHIN = st.lists(st.tuples(st.sets(st.sampled_from(range(3))), st.booleans()), max_size=3)


@example([({0}, False)], [({1}, False)], [(set(), False)])  # each block alone matters
@given(WITHIN, WITHIN, WITHIN)
def test_what_is_said_without_addresses_is_true_with_any(old: Any, new: Any, out: Any) -> None:
    def rules(listed: Any) -> tuple[netpolicy.Rule, ...]:
        web = (netpolicy.PolicyPort(TCP, 80),)
        return tuple(
            netpolicy.Rule(
                index, tuple(BLOCKS[each] for each in sorted(of)) or None, web if narrow else None
            )
            for index, (of, narrow) in enumerate(listed)
        )

    leaves = replace(
        policy("leaves", "default", labelled("app", "a")),
        directions=frozenset({netpolicy.Direction.EGRESS}),
        egress=rules(out),
    )

    def found(*addresses: str) -> reachchanges.ReachChanges:
        ends = [
            member(name, *addresses[end : end + 1], labels={"app": name})
            for end, name in enumerate("ab")
        ]
        versions = (
            Rules((leaves, policy("one", "default", labelled("app", "b"), *rules(each))), NETWORKS)
            for each in (old, new)
        )
        return reachchanges.changes("blue", ends, *versions)

    def differing(changes: reachchanges.ReachChanges) -> set[tuple[str, str, bool]]:
        return {(one.source, one.connection, one.allowed) for one in changes.pairs}

    unknown = found()
    for source in range(4):
        for target in range(4):
            known = differing(found(f"10.{source}.0.1", f"10.{target}.0.2"))
            assert differing(unknown) <= known
            assert unknown.unjudged or differing(unknown) == known
