from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from weft.control.cluster.pendingpods import PendingPods
from weft.model import ObjectKey, Segment

A, B, C, D = (ObjectKey("default", name) for name in "abcd")
NET, OTHER = Segment("net"), Segment("net", "node1")


def test_one_freed_address_wakes_one_in_the_order_of_arrival() -> None:
    waiting = PendingPods()
    for pod in (A, B, C):
        waiting.add(pod, NET, exhausted=True)
    assert waiting.freed(NET) == [A]
    assert waiting.freed(OTHER) == []
    waiting.add(A, NET, exhausted=True)  # somebody else was faster
    assert waiting.end_turn(A) == []
    assert waiting.freed(NET) == [B]


def test_all_that_want_the_very_same_thing_try_again() -> None:
    waiting = PendingPods()
    waiting.add(A, NET, exhausted=False)
    waiting.add(B, NET, exhausted=False)
    waiting.add(C, NET, exhausted=True)
    assert waiting.freed(NET) == [A, B, C]
    assert len(waiting) == 0


def test_a_turn_that_is_not_used_goes_to_the_next() -> None:
    waiting = PendingPods()
    for pod in (A, B, C):
        waiting.add(pod, NET, exhausted=True)
    assert waiting.freed(NET) == [A]
    assert waiting.end_turn(A) == [B]
    waiting.add(B, OTHER, exhausted=False)  # b found something else missing
    assert waiting.end_turn(B) == [C]
    assert waiting.end_turn(C) == []


@given(
    st.lists(st.tuples(st.sampled_from([A, B, C, D]), st.sampled_from([NET, OTHER]), st.booleans()))
)
def test_a_pod_waits_in_one_place(steps: list[tuple[ObjectKey, Segment, bool]]) -> None:
    waiting = PendingPods()
    last: dict[ObjectKey, tuple[Segment, bool]] = {}
    for pod, network, exhausted in steps:
        waiting.add(pod, network, exhausted=exhausted)
        last[pod] = (network, exhausted)
    assert len(waiting) == len(last)
    woken = []
    for network in (NET, OTHER):
        turn = waiting.freed(network)
        while turn:
            woken += turn
            turn = [each for pod in turn for each in waiting.end_turn(pod)]
    assert sorted(woken) == sorted(last)
