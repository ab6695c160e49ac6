"""The record of a flow, as scripts get it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft import errors
from weft.observe.flows.record import (
    EndKind,
    Evidence,
    FlowEnd,
    FlowPolicy,
    FlowRecord,
    Report,
    Verdict,
    document,
    parse,
)
from weft.policy.netpolicy import Direction

MACHINE = FlowEnd(EndKind.MACHINE, "team", "vm-a", "virt-launcher-vm-a-x2x", "10.1.0.5")
POD = FlowEnd(EndKind.POD, "team", "web", "web", "10.1.0.6")
ALLOWED = FlowRecord(
    network="blue",
    source=MACHINE,
    target=POD,
    verdict=Verdict.ALLOWED,
    protocol="TCP",
    port=443,
    policies=(FlowPolicy("team", "web", Direction.INGRESS, 0),),
    nodes=("node1", "node2"),
    connections=3,
    evidence=(Evidence.CONNECTION,),
)


def test_a_report_is_the_same_after_json() -> None:
    denied = replace(ALLOWED, verdict=Verdict.DENIED, source=FlowEnd(address="10.1.0.9"), port=None)
    report = Report("2026-11-30T16:00:00.250Z", (ALLOWED, denied), 7, ("node node3: silent",))
    assert parse(json.loads(json.dumps(document(report))), "flows.json") == report


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (None, "must be an object with a list of flows"),
        ({"flows": {}}, "must be an object with a list of flows"),
        ({"flows": [7]}, "flows[0] 7: is no flow"),
        ({"flows": [{"network": "blue"}]}, "KeyError: 'source'"),
        (
            {"flows": [{"network": "b", "source": {}, "target": {}, "verdict": "maybe"}]},
            "'maybe' is not a valid Verdict",
        ),
    ],
)
def test_what_is_no_report_is_refused_with_its_place(found: object, said: str) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        parse(found, "flows.json")
    assert said in str(refused.value)
    assert str(refused.value).startswith("flows.json: ")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["network", "source", "target", "verdict", "policies", "port"]), inner
        )
    ),
)


@given(st.lists(JSON, max_size=3))
def test_any_json_is_read_or_refused(flows: list[object]) -> None:
    try:
        parse({"flows": flows}, "flows.json")
    except errors.InvalidInput:
        pass


def test_ends_and_services_read_as_on_the_command_line() -> None:
    assert [str(MACHINE), str(POD), str(FlowEnd(address="fd00::7"))] == [
        *("vm/team/vm-a", "team/web", "fd00::7"),
    ]
    assert ALLOWED.service == "TCP/443"
    assert replace(ALLOWED, protocol="", port=None).service == "IP"
    assert str(ALLOWED.policies[0]) == "team/web spec.ingress[0]"
