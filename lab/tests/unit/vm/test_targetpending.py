"""How long a target pod may wait, by KubeVirt's times and annotations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from weft_lab.vm import targetpending
from weft_lab.vm.targetpending import PENDING_TIMEOUT, UNSCHEDULABLE_TIMEOUT

CREATED = datetime(2026, 1, 1, tzinfo=UTC)
WAITS: dict[str, Any] = {"phase": "Pending"}
UNPLACED: dict[str, Any] = {
    "phase": "Pending",
    "conditions": [
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/3 nodes are available",
        }
    ],
}
UNSCHEDULABLE = "unschedulable pod ns/t timeout period exceeded"
PENDING = "pending pod ns/t timeout period exceeded"


def migration(annotations: dict[str, str]) -> dict[str, Any]:
    return {"metadata": {"annotations": annotations}, "spec": {"vmiName": "vm"}}


def pod(status: dict[str, Any]) -> dict[str, Any]:
    meta = {"name": "t", "namespace": "ns", "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {"metadata": meta, "status": status}


@pytest.mark.parametrize(
    ("status", "annotations", "seconds", "over"),
    [
        (UNPLACED, {}, 300, UNSCHEDULABLE),
        (WAITS, {}, 900, PENDING),
        (UNPLACED, {UNSCHEDULABLE_TIMEOUT: "20"}, 20, UNSCHEDULABLE),
        (UNPLACED, {PENDING_TIMEOUT: "20"}, 20, PENDING),
        (WAITS, {PENDING_TIMEOUT: "20", UNSCHEDULABLE_TIMEOUT: "2"}, 20, PENDING),
        (UNPLACED, {UNSCHEDULABLE_TIMEOUT: "soon"}, 300, UNSCHEDULABLE),
        (UNPLACED, {UNSCHEDULABLE_TIMEOUT: "9" * 9_999}, 300, UNSCHEDULABLE),
    ],
)
def test_it_is_given_up_in_its_time(
    status: dict[str, Any], annotations: dict[str, str], seconds: int, over: str
) -> None:
    before = CREATED + timedelta(seconds=seconds - 1)
    early = targetpending.decide(migration(annotations), pod(status), before)
    assert (early.over, early.seconds) == ("", 1)
    late = targetpending.decide(
        migration(annotations), pod(status), CREATED + timedelta(seconds=seconds)
    )
    assert (late.over, late.seconds) == (over, 0)
    assert bool(early.warning) is bool(late.warning) is (status is UNPLACED)


def test_a_time_beyond_all_clocks_is_a_long_time() -> None:
    longest = {UNSCHEDULABLE_TIMEOUT: "9" * 4_000, PENDING_TIMEOUT: "9" * 4_000}
    assert 0 < targetpending.decide(migration(longest), pod(UNPLACED), CREATED).seconds < 2**31


def test_a_pod_without_a_node_says_why() -> None:
    assert targetpending.why(pod(UNPLACED)) == "0/3 nodes are available"
    assert targetpending.why(pod(WAITS)) == ""
