"""Attachments by NAD and node, kept as pods come and go."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from weft import model
from weft.api.pod import Pod
from weft.control.cluster.membercounts import MemberCounts

NADS = (model.ObjectKey("default", "blue"), model.ObjectKey("default", "red"))
PODS = st.one_of(
    st.none(),
    st.builds(
        lambda node, nads, ended: Pod(
            model.PodRef(model.ObjectKey("default", "p"), "u"),
            "1",
            node=node,
            allocated=tuple(nads),
            is_completed=ended,
        ),
        st.sampled_from(["", "node1", "node2"]),
        st.lists(st.sampled_from(NADS), max_size=3),
        st.booleans(),
    ),
)


@given(st.lists(st.tuples(st.integers(0, 4), PODS), max_size=30))
def test_counts_are_those_of_the_pods_that_are_there(steps: list[tuple[int, Pod | None]]) -> None:
    members, there = MemberCounts(), dict[int, Pod | None]()
    for key, pod in steps:
        members.set_pod(there.get(key), pod)
        there[key] = pod
    alive = [each for each in there.values() if each and each.node and not each.is_completed]
    for nad in NADS:
        expected = Counter[str]()
        for each in alive:
            expected[each.node] += each.allocated.count(nad)
        assert members.count((nad,)) == +expected
    for node in ("node1", "node2"):
        assert members.nads_on(node) == {n for e in alive if e.node == node for n in e.allocated}
