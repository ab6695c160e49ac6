"""What a lab's nodes tell of their OVN."""

from __future__ import annotations

from typing import Any

from weft import names
from weft_lab import cluster


def node(name: str, status: str, message: str = "OVN 25.03.0 has known faults: X") -> Any:
    own = {"type": names.OVN_CONDITION, "status": status, "message": message}
    conditions = [{"type": "Ready", "status": "True"}, own]
    return {"metadata": {"name": name}, "status": {"conditions": conditions}}


def test_faults_are_read_from_the_nodes() -> None:
    assert cluster.faults(node("a", "True")) == "OVN 25.03.0 has known faults: X"
    assert cluster.faults(node("a", "False", "OVN 26.03.1: none")) == ""
    assert cluster.faults({"metadata": {"name": "a"}}) == ""
