"""What `weft vm migrate` answers, and whether a budget was kept."""

from __future__ import annotations

from typing import Any

import pytest

from weft import errors
from weft_lab.vm import migrationreport


def migration(**status: Any) -> dict[str, Any]:
    found = {"phase": "Succeeded", "migrationState": {"sourceNode": "a", "targetNode": "b"}}
    meta = {"name": "m", "namespace": "ns"}
    return {"metadata": meta, "spec": {"vmiName": "vm"}, "status": {**found, **status}}


@pytest.mark.parametrize(("text", "limit"), [("200ms", 200), ("1.5s", 1500), ("0ms", 0)])
def test_a_budget_is_a_time(text: str, limit: int) -> None:
    assert migrationreport.budget(text) == limit


def test_a_refusal_is_its_reason_alone() -> None:
    denied = 'admission webhook "migration-create-validator.kubevirt.io" denied the request: '
    assert migrationreport.refusal(f"{denied}Cannot migrate VMI.") == "Cannot migrate VMI."
    assert migrationreport.refusal("spec.vmiName: Required value") == "spec.vmiName: Required value"


@pytest.mark.parametrize("text", ["200", "fast", "-1ms", "1m", "1e3s"])
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(errors.InvalidInput, match="must be a time"):
        migrationreport.budget(text)


@pytest.mark.parametrize(
    ("cost", "kept", "says"),
    [
        ({"standstillMilliseconds": 200, "downtimeMilliseconds": 90}, True, "kept"),
        ({"standstillMilliseconds": 201, "downtimeMilliseconds": 90}, False, "exceeded by 1 ms"),
        ({"downtimeMilliseconds": 90}, True, "kept"),
        ({}, False, "nobody measured"),
    ],
)
def test_what_peers_saw_counts(cost: dict[str, int], kept: bool, says: str) -> None:
    found = migrationreport.result(migration(cost=cost), 200)
    assert found["budget"]["kept"] is kept
    assert says in migrationreport.lines(found)[-1]


def test_a_failure_comes_with_its_reason() -> None:
    state = {"sourceNode": "a", "targetNode": "b", "failureReason": "why"}
    found = migrationreport.result(migration(phase="Failed", migrationState=state), None)
    assert found["failureReason"] == "why"
    assert "budget" not in found
