from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from weft.control.cluster.waiting import Waiting


def test_one_freed_address_wakes_one_in_the_order_of_arrival() -> None:
    waiting = Waiting()
    for pod in "abc":
        waiting.add(pod, "net", exhausted=True)
    assert waiting.freed("net") == ["a"]
    assert waiting.freed("other") == []
    waiting.add("a", "net", exhausted=True)  # somebody else was faster
    assert waiting.end_turn("a") == []
    assert waiting.freed("net") == ["b"]


def test_all_that_want_the_very_same_thing_try_again() -> None:
    waiting = Waiting()
    waiting.add("a", "net", exhausted=False)
    waiting.add("b", "net", exhausted=False)
    waiting.add("c", "net", exhausted=True)
    assert waiting.freed("net") == ["a", "b", "c"]
    assert len(waiting) == 0


def test_a_turn_that_is_not_used_goes_to_the_next() -> None:
    waiting = Waiting()
    for pod in "abc":
        waiting.add(pod, "net", exhausted=True)
    assert waiting.freed("net") == ["a"]
    assert waiting.end_turn("a") == ["b"]
    waiting.add("b", "other", exhausted=False)  # b found something else missing
    assert waiting.end_turn("b") == ["c"]
    assert waiting.end_turn("c") == []


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["n", "m"]), st.booleans())))
def test_a_pod_waits_in_one_place(steps: list[tuple[str, str, bool]]) -> None:
    waiting = Waiting()
    last: dict[str, tuple[str, bool]] = {}
    for pod, network, exhausted in steps:
        waiting.add(pod, network, exhausted=exhausted)
        last[pod] = (network, exhausted)
    assert len(waiting) == len(last)
    woken = []
    for network in ("n", "m"):
        turn = waiting.freed(network)
        while turn:
            woken += turn
            turn = [each for pod in turn for each in waiting.end_turn(pod)]
    assert sorted(woken) == sorted(last)
