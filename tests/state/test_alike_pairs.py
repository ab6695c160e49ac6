"""Pairs that no policy can tell apart are judged once: whatever the policies, as each by itself."""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_address, ip_network
from typing import TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from weft.model import ObjectKey
from weft.observe import reach
from weft.observe.reach import Member
from weft.observe.workloads import Workload
from weft.policy import evaluator, netpolicy
from weft.policy.netpolicy import Direction, Operator, Protocol

T = TypeVar("T")
NETWORKS = {ObjectKey("x", "blue"): "blue", ObjectKey("y", "red"): "red"}
# Few of each, so that rules and members meet often.
SPACES, KEYS, VALUES = ("x", "y"), ("app", "tier"), ("1", "2")
ADDRESSES = tuple(
    ip_address(text)
    for text in ("10.0.0.1", "10.0.0.2", "10.0.0.6", "fd00::1", "fd00::2", "fe80::1", "169.254.0.1")
)
BLOCKS = tuple(
    ip_network(text)
    for text in ("10.0.0.0/24", "10.0.0.0/30", "10.0.0.1/32", "fd00::/64", "fd00::1/128", "::/0")
)
# What a pod has of each: many pods then differ in one thing alone.
LABELS: tuple[dict[str, str], ...] = ({}, {"app": "1"}, {"app": "2", "tier": "1"})
HELD = (ADDRESSES[:1], ADDRESSES[1:2], ADDRESSES[2:4], ADDRESSES[3:6], ())
PORT_NAMES: tuple[dict[tuple[Protocol, str], int], ...] = (
    {},
    {(Protocol.TCP, "web"): 80},
    {(Protocol.TCP, "web"): 81, (Protocol.UDP, "db"): 80},
)

SELECTORS = st.just(netpolicy.EVERYTHING) | st.builds(
    netpolicy.Selector,
    st.lists(
        st.builds(
            netpolicy.Requirement,
            st.sampled_from(KEYS),
            st.sampled_from(Operator),
            st.lists(st.sampled_from(VALUES), min_size=1, max_size=2).map(tuple),
        ),
        min_size=1,
        max_size=2,
    ).map(tuple),
)
PEERS = st.one_of(
    st.builds(netpolicy.PodSelector, st.sampled_from(("", *SPACES)), SELECTORS, SELECTORS),
    st.builds(
        netpolicy.IPBlock,
        st.sampled_from(BLOCKS),
        st.lists(st.sampled_from(BLOCKS), max_size=2).map(tuple),
    ),
)
WAYS = ((Direction.INGRESS,), (Direction.EGRESS,), tuple(Direction))
PROTOCOLS = st.sampled_from((Protocol.TCP, Protocol.TCP, Protocol.UDP))
POLICY_PORTS = st.one_of(
    st.builds(netpolicy.PolicyPort, PROTOCOLS, st.sampled_from(("web", "web", "db", 80, 81, None))),
    st.builds(netpolicy.PolicyPort, PROTOCOLS, st.just(80), st.just(85)),
)


def some(each: st.SearchStrategy[T]) -> st.SearchStrategy[tuple[T, ...] | None]:
    return st.none() | st.lists(each, max_size=3).map(tuple)


@st.composite
def some_rules(draw: st.DrawFn) -> tuple[netpolicy.Rule, ...]:
    count = draw(st.integers(1, 2))
    return tuple(
        netpolicy.Rule(index, draw(some(PEERS)), draw(some(POLICY_PORTS))) for index in range(count)
    )


@st.composite
def some_policies(draw: st.DrawFn) -> list[netpolicy.Policy]:
    return [
        netpolicy.Policy(
            namespace=draw(st.sampled_from(SPACES)),
            name=f"p{number}",
            uid=str(number),
            nads=tuple(draw(st.lists(st.sampled_from(sorted(NETWORKS)), min_size=1, max_size=2))),
            pods=draw(SELECTORS),
            directions=frozenset(draw(st.sampled_from(WAYS))),
            ingress=draw(some_rules()),
            egress=draw(some_rules()),
            mode=draw(st.sampled_from((*[netpolicy.Mode.ENFORCE] * 3, netpolicy.Mode.AUDIT))),
        )
        for number in range(draw(st.integers(1, 4)))
    ]


@st.composite
def some_members(draw: st.DrawFn) -> list[Member]:
    """Pods of few workloads, some of them on the network more than once."""
    found = []
    for number in range(draw(st.integers(4, 10))):
        space, labels = draw(st.sampled_from(SPACES)), draw(st.sampled_from(LABELS))
        named = draw(st.sampled_from(PORT_NAMES))
        workload = Workload(space, draw(st.sampled_from("ab")))
        for nic in range(draw(st.integers(1, 2))):
            addresses, of = draw(st.sampled_from(HELD)), {"app": "1" if space == "x" else "2"}
            end = netpolicy.Endpoint(space, f"pod{number}", labels, of, "blue", addresses, named)
            id = f"{space}/pod{number}@net{nic}"
            found.append(Member(id, "node1", f"net{nic}", "", end, workload=workload))
    return found


CONNECTIONS = st.builds(
    netpolicy.Connection,
    st.sampled_from((Protocol.TCP, Protocol.TCP, Protocol.UDP, None)),
    st.sampled_from((80, 81)),
)


@settings(max_examples=150)
@given(some_members(), some_policies(), CONNECTIONS, st.booleans())
def test_alike_pairs_have_the_verdict_of_each_pair_by_itself(
    members: list[Member],
    policies: list[netpolicy.Policy],
    question: netpolicy.Connection,
    ipv6: bool,
) -> None:
    singly = []
    for source in members:
        for target in members:
            if source.pod != target.pod:
                ends = reach.addresses(source, target, ipv6=ipv6)
                asked = netpolicy.Connection(
                    question.protocol, question.port, *(ends or (None, None))
                )
                verdict = evaluator.explain(
                    policies, NETWORKS, source.endpoint, target.endpoint, asked
                )
                reason = reach.reason_of(verdict)
                singly.append(reach.PairResult(source.id, target.id, ends, verdict.allowed, reason))
    found = reach.expect("blue", members, policies, NETWORKS, question, ipv6=ipv6)
    assert list(found.results) == singly

    merged = reach.expect("blue", members, policies, NETWORKS, question, ipv6=ipv6, merge=True)
    group = {one.id: one.group for one in members}
    counts = [Counter[object](), Counter[object]()]
    for results, count in ((singly, counts[0]), (merged.results, counts[1])):
        for one in results:
            ends_of = group[one.source], group[one.target]
            count[*ends_of, one.expected, one.reason] += one.pairs
    assert counts[0] == counts[1]
    assert all(one.pairs > 0 for one in merged.results)
    exact = {(one.source, one.target): (one.expected, one.reason, one.addresses) for one in singly}
    for one in merged.results:  # each names a pair that is so
        assert exact[one.source, one.target] == (one.expected, one.reason, one.addresses)
