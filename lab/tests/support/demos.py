"""What every demo's outcome must have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.tests.support.labs import LabHouse


def holds(labs: LabHouse, which: str, name: str, claims: Mapping[str, int]) -> Any:
    """Run a demo, whose checks must all hold, as many of each claim; returns its outcome."""
    shown = labs.json("demo", which, "--name", name, check=False)
    assert "checks" in shown, shown
    assert [check for check in shown["checks"] if not check["holds"]] == []
    assert shown["holds"]
    made = [check["claim"] for check in shown["checks"]]
    assert {claim: made.count(claim) for claim in claims} == claims
    return shown
