"""Flows as text, and which of them --follow prints."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support import objects
from tests.support.flowed import report, switched, tracked, world
from weft.cli import flows
from weft.observe.flows.record import Report
from weft.observe.flows.sighting import Side

GUARD = objects.policy(
    "guard", app="b", ingress=[{"ports": [{"port": 80}]}], policyTypes=["Ingress"]
)


def found() -> Report:
    return report(
        world(GUARD),
        {
            "node1": (tracked(".1", ".2", "a", passes=None, port=81),),
            "node2": (
                tracked(".1", ".2", "b"),
                switched(
                    Side("red_b"), Side("red_a"), passes=True, network="red", is_directed=False
                ),
            ),
        },
    )


def test_a_table_says_who_whom_what_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    flows._show(replace(found(), left_off=3, notices=("node node3: silent",)))
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "AGE  NETWORK  SOURCE     DESTINATION  PROTO/PORT  VERDICT  POLICY",
        "0s   blue     default/a  default/b    TCP/80      allowed  default/guard spec.ingress[0]",
        "0s   blue     default/a  default/b    TCP/81      denied   default/guard spec.ingress",
        "1s   red      default/a  default/b    IP          allowed  -",
        "",
        flows.UNDIRECTED,
    ]
    assert printed.err.splitlines() == [
        "Not seen: node node3: silent",
        "And 3 more: choose with --network, --pod, --vm or --dropped.",
    ]


def test_no_flow_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    flows._show(report(world(), {}))
    assert capsys.readouterr().out == "No flow is seen.\n"


def test_a_flow_is_news_once_while_it_lasts() -> None:
    shown, listed = flows.Shown(), found().flows
    assert shown.news(listed) == list(listed)
    assert shown.news(listed) == []
    assert shown.news(listed[:1]) == []
    assert shown.news(listed) == list(listed[1:])
    assert [shown.notices(["a"]), shown.notices(["a", "b"]), shown.notices([])] == [
        ["a"],
        ["b"],
        [],
    ]


@pytest.mark.parametrize(("took", "left"), [(0.2, 1.8), (1.0, 1.0), (3.0, 3.0)])
def test_nodes_have_peace_for_as_long_as_a_look_takes(took: float, left: float) -> None:
    assert flows.pause(2.0, took) == pytest.approx(left)
