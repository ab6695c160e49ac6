"""Conditions as Kubernetes has them."""

from __future__ import annotations

from weft.api import conditions
from weft.api.networkstatus import Condition, NetworkReason


def test_the_transition_time_is_that_of_the_status_not_of_the_message() -> None:
    def shown(status: str, message: str, before: object, now: str) -> list[dict[str, object]]:
        made = Condition("Served", status, NetworkReason.SERVED, message)
        return conditions.rendered([made], before, 3, now)

    first = shown("True", "a", None, "t1")
    assert first[0]["lastTransitionTime"] == "t1"
    assert first[0]["observedGeneration"] == 3
    second = shown("True", "b", {"conditions": first}, "t2")
    assert (second[0]["lastTransitionTime"], second[0]["message"]) == ("t1", "b")
    third = shown("False", "b", {"conditions": second}, "t3")
    assert third[0]["lastTransitionTime"] == "t3"


def test_whatever_stood_there_before_is_survived() -> None:
    present: list[object] = [{"conditions": "x"}, {"conditions": [1, {}]}, "x", 7, []]
    for before in present:
        made = Condition("Served", "True", NetworkReason.SERVED, "")
        assert conditions.rendered([made], before, 0, "t")[0]["lastTransitionTime"] == "t"
