"""The kept answer is the one that looking at everybody gives, whatever came and went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from weft.model import ObjectKey
from weft.policy import netpolicy, selectorindex

KEYS, VALUES = ("app", "tier", "zone"), ("a", "b", "c")
NAMESPACES, PODS = ("one", "two", "three"), ("p", "q", "r")

LABELS = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=3)
SOME = st.lists(st.sampled_from(VALUES), max_size=3).map(tuple)
REQUIREMENTS = st.one_of(
    st.builds(
        netpolicy.Requirement,
        st.sampled_from(KEYS),
        st.sampled_from((netpolicy.Operator.IN, netpolicy.Operator.NOT_IN)),
        SOME,
    ),
    st.builds(
        netpolicy.Requirement,
        st.sampled_from(KEYS),
        st.sampled_from((netpolicy.Operator.EXISTS, netpolicy.Operator.DOES_NOT_EXIST)),
    ),
)
SELECTORS = st.lists(REQUIREMENTS, max_size=3).map(
    lambda found: netpolicy.Selector(tuple(sorted(set(found))))
)
MEMBERS = st.one_of(
    st.builds(netpolicy.PodSelector, namespace=st.sampled_from(NAMESPACES), pods=SELECTORS),
    st.builds(netpolicy.PodSelector, namespaces=SELECTORS, pods=SELECTORS),
)
# A few queries that come and go, rather than ever new ones.
STEPS = st.lists(MEMBERS, min_size=1, max_size=5).flatmap(
    lambda queries: st.lists(
        st.one_of(
            st.tuples(
                st.just("pod"),
                st.tuples(st.sampled_from(NAMESPACES), st.sampled_from(PODS)),
                st.none() | LABELS,
            ),
            st.tuples(st.just("namespace"), st.sampled_from(NAMESPACES), st.none() | LABELS),
            st.tuples(st.just("ask"), st.sampled_from(queries), st.none()),
            st.tuples(st.just("drop"), st.sampled_from(queries), st.none()),
        ),
        max_size=40,
    )
)


class Brute:
    """Everybody is looked at for each question."""

    def __init__(self) -> None:
        self.pods: dict[tuple[str, str], Mapping[str, str]] = {}
        self.namespaces: dict[str, Mapping[str, str]] = {}
        self.asked: list[netpolicy.PodSelector] = []

    def chosen(self, members: netpolicy.PodSelector) -> set[ObjectKey]:
        return {
            ObjectKey(namespace, name)
            for (namespace, name), labels in self.pods.items()
            if members.pods.matches(labels) and self.means(members, namespace)
        }

    def means(self, members: netpolicy.PodSelector, namespace: str) -> bool:
        if members.namespace:
            return members.namespace == namespace
        if not members.namespaces.requirements:
            return True
        labels = self.namespaces.get(namespace)
        return labels is not None and members.namespaces.matches(labels)

    def selectors(self) -> dict[ObjectKey, set[netpolicy.PodSelector]]:
        found: dict[ObjectKey, set[netpolicy.PodSelector]] = {}
        for members in self.asked:
            for key in self.chosen(members):
                found.setdefault(key, set()).add(members)
        return found


@settings(max_examples=400, deadline=None)
@given(STEPS)
def test_what_is_kept_is_what_looking_at_everybody_gives(steps: list[Any]) -> None:
    made, brute = selectorindex.SelectorIndex(), Brute()
    for kind, which, what in steps:
        before = brute.selectors()
        touched: set[ObjectKey] = set()
        if kind == "pod":
            namespace, name = which
            key = ObjectKey(namespace, name)
            touched = {key} if made.set_pod(key, namespace, what) else set()
            if what is None:
                brute.pods.pop(which, None)
            else:
                brute.pods[which] = what
        elif kind == "namespace":
            touched = made.set_namespace(which, what)
            if what is None:
                brute.namespaces.pop(which, None)
            else:
                brute.namespaces[which] = what
        elif kind == "ask":
            made.add(which)
            brute.asked.append(which)
        elif which in brute.asked:
            made.remove(which)
            brute.asked.remove(which)
        after = brute.selectors()
        if kind in ("pod", "namespace"):
            assert touched == {k for k in {*before, *after} if before.get(k) != after.get(k)}
        for members in brute.asked:
            assert made.pods(members) == brute.chosen(members)
        for namespace in NAMESPACES:
            for name in PODS:
                key = ObjectKey(namespace, name)
                assert made.selectors(key) == after.get(key, set())
    for members in brute.asked:
        made.remove(members)
    assert len(made) == 0
    assert made._index == {}
    assert made._chosen == {}
    assert made._choosing == {}


class Counting(dict[str, str]):
    """Labels that count how often they are asked."""

    asked = 0

    def get(self, key: str, default: object = None) -> object:  # type: ignore[override]
        type(self).asked += 1
        return super().get(key, default)


def requires(**labels: str) -> netpolicy.Selector:
    return netpolicy.Selector(
        tuple(
            netpolicy.Requirement(key, netpolicy.Operator.IN, (value,))
            for key, value in sorted(labels.items())
        )
    )


def test_a_pod_is_not_compared_with_queries_that_ask_for_other_labels() -> None:
    """Not even where all ask for one label alike, which comes first, and only then differ."""
    made = selectorindex.SelectorIndex()
    for number in range(1000):
        made.add(netpolicy.PodSelector("one", pods=requires(app="all", tier=f"t{number}")))
    for number in range(1000):
        made.add(netpolicy.PodSelector(namespaces=requires(all="x", team=f"t{number}")))
    made.set_namespace("one", {"all": "x", "team": "t3"})
    Counting.asked = 0
    made.set_pod(ObjectKey("one", "p"), "one", Counting(app="all", tier="t7"))
    assert Counting.asked < 10
    assert made.selectors(ObjectKey("one", "p")) == {
        netpolicy.PodSelector("one", pods=requires(app="all", tier="t7")),
        netpolicy.PodSelector(namespaces=requires(all="x", team="t3")),
    }
