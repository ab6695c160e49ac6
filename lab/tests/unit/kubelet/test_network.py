"""When does a Node say that its network is not ready?"""

from __future__ import annotations

import pytest

from weft_lab.kubelet import network, nodeobject


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (["", ""], ["", ""]),
        (["x"], [""]),
        (["x", "x"], ["", "x"]),
        (["x", "", "x"], ["", "", ""]),
        (["x", "y", "y", ""], ["", "y", "y", ""]),
    ],
)
def test_a_trouble_is_reported_when_it_is_seen_twice(found: list[str], told: list[str]) -> None:
    shown = network.ReportedTrouble()
    seen = []
    for now in found:
        before = shown.trouble
        assert shown.changes(now) == (bool(shown.trouble) != bool(before))
        seen.append(shown.trouble)
    assert seen == told


def test_a_node_without_network_is_not_ready() -> None:
    def ready(trouble: str, now: str, earlier: dict[str, object]) -> dict[str, object]:
        facts = {"cpus": 2, "memory_kib": 1024, "system": {}, "earlier": earlier}
        status = nodeobject.status("n", "10.0.0.1", now=now, network=trouble, **facts)  # type: ignore[arg-type]
        (condition,) = status["conditions"]
        return dict(condition)

    first = ready("", "t1", {})
    assert (first["status"], first["lastTransitionTime"]) == ("True", "t1")
    lost = ready("no database", "t2", {"conditions": [first]})
    assert (lost["status"], lost["reason"]) == ("False", "KubeletNotReady")
    assert "NetworkPluginNotReady" in str(lost["message"])
    assert str(lost["message"]).endswith("no database")
    again = ready("no database", "t3", {"conditions": [lost]})
    assert again["lastTransitionTime"] == "t2"
