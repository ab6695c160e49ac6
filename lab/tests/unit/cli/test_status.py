"""How `weft lab status` tells of faults that nodes' OVN has."""

from __future__ import annotations

from typing import Any

import pytest

from weft import names
from weft_lab import cluster
from weft_lab.cli import status as lab_status


def node(name: str, status: str, message: str = "OVN 25.03.0 has known faults: X") -> Any:
    own = {"type": names.OVN_CONDITION, "status": status, "message": message}
    conditions = [{"type": "Ready", "status": "True"}, own]
    return {"metadata": {"name": name}, "status": {"conditions": conditions}}


def test_what_several_nodes_have_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    nodes = [
        {"name": name, "ready": True, "faults": cluster.faults(node(name, status))}
        for name, status in (("a", "True"), ("b", "False"), ("c", "True"))
    ]
    lab_status.show(
        {
            "running": True,
            "services": [],
            "cluster": {"api": "ok", "nodes": nodes},
            "lab": {"port": 1},
            "kubeconfig": "k",
            "folder": "f",
            "console": "http://here",
        }
    )
    out = capsys.readouterr().out
    assert out.count("known faults") == 1
    assert "a, c: OVN 25.03.0 has known faults: X" in out
    assert "console: http://here" in out
