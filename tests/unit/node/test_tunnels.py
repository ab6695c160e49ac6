"""What a Node and Open vSwitch say of nodes that do not answer."""

from __future__ import annotations

from typing import Any

import pytest

from weft import names
from weft.node import tunnels
from weft.node.probes import State


@pytest.mark.parametrize(
    ("states", "status", "reason", "message"),
    [
        ({}, "True", "AllAnswer", "all other nodes answer"),
        ({"b": State.UP}, "True", "AllAnswer", "all other nodes answer"),
        (
            {"b": State.UNANSWERED, "c": State.UP},
            "Unknown",
            "NeverAnswered",
            "b is not answering yet",
        ),
        (
            {"b": State.UNANSWERED, "c": State.DOWN},
            "False",
            "NodesUnreachable",
            "c is not answering",
        ),
    ],
)
def test_the_condition(states: dict[str, State], status: str, reason: str, message: str) -> None:
    found = tunnels.condition(states, {"status": status, "lastTransitionTime": "before"}, "now")
    assert (found["type"], found["status"], found["reason"]) == ("TunnelsUp", status, reason)
    assert message in found["message"]
    assert found["lastTransitionTime"] == "before"


def test_a_message_names_few() -> None:
    message = tunnels.named([f"node{number}" for number in range(12)])
    assert message.endswith("node9 and 2 more are")


def test_marks_follow_the_dead_tunnels_alone() -> None:
    def port(name: str, remote: str, *, marked: bool = False) -> dict[str, Any]:
        ids = {"ovn-chassis-id": f"chassis@{remote}%10.0.0.1"} if remote else {}
        return {
            "name": name,
            "external_ids": ids | ({names.TUNNEL_STATE: "down"} if marked else {}),
        }

    ports = {
        1: port("ovn-a", "10.0.0.2"),
        2: port("ovn-b", "10.0.0.3", marked=True),
        3: port("ovn-c", "10.0.0.4", marked=True),
        4: port("pod", ""),
    }
    found = tunnels.marks(ports, frozenset({"10.0.0.2", "10.0.0.3"}))
    assert {each["where"][0][2]: each["mutations"][0][1] for each in found} == {
        "ovn-a": "insert",
        "ovn-c": "delete",
    }
