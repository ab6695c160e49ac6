"""Counts of attachments: always what counting anew would give, and told when they change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from weft.control.cluster.selectorcounts import SelectorCounts, Through
from weft.model import ObjectKey
from weft.policy.netpolicy import Operator, PodSelector, Protocol, Requirement, Selector

WEB = Selector((Requirement("app", Operator.IN, ("web",)),))
NOT_WEB = Selector((Requirement("app", Operator.NOT_IN, ("web",)),))
X, Y = ObjectKey("a", "x"), ObjectKey("b", "y")
QUERIES = [
    PodSelector("a"),
    PodSelector("a", pods=WEB),
    PodSelector(pods=WEB),
    PodSelector(),
    PodSelector(namespaces=WEB),
    PodSelector(namespaces=NOT_WEB, pods=NOT_WEB),
]

labels = st.sampled_from([{}, {"app": "web"}, {"app": "db"}])
steps = st.one_of(
    st.tuples(
        st.just("pod"),
        st.sampled_from([ObjectKey("a", "1"), ObjectKey("a", "2"), ObjectKey("b", "1")]),
        labels,
        st.dictionaries(
            st.sampled_from([Through(X), Through(X, Protocol.TCP, "web"), Through(Y)]),
            st.integers(1, 2),
        ),
    ),
    st.tuples(st.just("namespace"), st.sampled_from(["a", "b"]), st.none() | labels),
    st.tuples(st.just("ask"), st.sampled_from(QUERIES)),
    st.tuples(st.just("drop"), st.sampled_from(QUERIES)),
)


@given(st.lists(steps, max_size=40))
def test_counts_are_those_of_counting_anew(told: list[tuple]) -> None:  # type: ignore[type-arg]
    counts = SelectorCounts()
    pods: dict[ObjectKey, tuple[Mapping[str, str], Mapping[Through, int]]] = {}
    namespaces: dict[str, Mapping[str, str]] = {}
    asked: Counter[PodSelector] = Counter()
    seen: dict[PodSelector, Mapping[Through, int]] = {}

    def expected(members: PodSelector) -> dict[Through, int]:
        found: Counter[Through] = Counter()
        for key, (own, held) in pods.items():
            name = key.namespace
            there = namespaces.get(name)
            if members.namespace:
                chosen = name == members.namespace
            elif there is None:
                chosen = not members.namespaces.requirements
            else:
                chosen = members.namespaces.matches(there)
            if chosen and members.pods.matches(own):
                found.update(held)
        return dict(found)

    for verb, *rest in told:
        if verb == "pod":
            key, own, held = rest
            pods[key] = (own, held)
            counts.set_pod(key, key.namespace, own, held)
        elif verb == "namespace":
            name, own = rest
            namespaces.pop(name, None)
            if own is not None:
                namespaces[name] = own
            counts.set_namespace(name, own)
        elif verb == "ask":
            asked[rest[0]] += 1
            counts.add(rest[0])
            seen.setdefault(rest[0], dict(counts.count(rest[0])))
        elif asked[rest[0]]:
            asked[rest[0]] -= 1
            counts.remove(rest[0])
            if not asked[rest[0]]:
                seen.pop(rest[0], None)
        seen |= {each: dict(counts.count(each)) for each in counts.take_changed() if asked[each]}
        for members in QUERIES:
            if asked[members]:
                assert counts.count(members) == expected(members)
                assert seen[members] == expected(members)
            else:
                assert not counts.count(members)


def test_the_edge_is_reported() -> None:
    counts, told = SelectorCounts(), []
    counts.add(PodSelector("a"))
    one, two = ObjectKey("a", "1"), ObjectKey("a", "2")
    on_x, on_y = {Through(X): 1}, {Through(Y): 1}
    for key, own, held in [
        (one, {}, on_x),
        (two, {}, on_x),
        (two, {"x": "y"}, on_x),
        (two, {}, {}),
        (one, {}, on_y),
    ]:
        counts.set_pod(key, "a", own, held)
        told.append(counts.take_changed())
    edges = [True, False, None, False, True]  # None: nothing has changed
    assert told == [{} if edge is None else {PodSelector("a"): edge} for edge in edges]


def test_pods_without_networks_cost_nothing() -> None:
    counts = SelectorCounts()
    counts.add(PodSelector())
    counts.set_pod(ObjectKey("a", "1"), "a", {}, {})
    assert not counts.count(PodSelector())
