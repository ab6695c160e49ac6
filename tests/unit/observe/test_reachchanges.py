"""Pairs that gain and lose reach, held to the evaluator pair by pair."""

from dataclasses import replace
from ipaddress import ip_network

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
    changed = (OLD, NEW)
    asked = (*reachchanges.questions(changed), *reachchanges.of_names(changed, there))
    assert {one.port for one in asked} == {0, 1, 8000, 8001}
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
    found = reachchanges.changes("blue", there, before, after, asked)
    assert {
        (one.source, one.target, one.protocol, one.port, one.allowed) for one in found
    } == expected
    assert len(found) == len(expected) > 50


def test_a_range_is_asked_about_at_both_ends() -> None:
    ports = (netpolicy.PolicyPort(TCP, 80, 90), netpolicy.PolicyPort(netpolicy.Protocol.UDP))
    ranged = policy("ranged", "default", netpolicy.EVERYTHING, netpolicy.Rule(0, None, ports))
    asked = {(one.protocol, one.port) for one in reachchanges.questions([ranged])}
    assert asked == {(None, 0), (TCP, 1), (TCP, 80), (TCP, 90), (netpolicy.Protocol.UDP, 1)}
