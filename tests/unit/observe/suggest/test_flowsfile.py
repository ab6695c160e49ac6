"""Flows as they are printed: a document, or one a line; and what is neither."""

from __future__ import annotations

import json

import pytest

from weft import errors
from weft.observe.flows import record
from weft.observe.flows.record import EndKind, FlowEnd, FlowRecord, Report, Verdict
from weft.observe.suggest import flowsfile

POD = FlowEnd(EndKind.POD, "default", "a", "a", "10.9.0.1")
FLOW = FlowRecord("blue", POD, FlowEnd(address="192.0.2.1"), Verdict.ALLOWED, "TCP", 80)


def test_a_document_and_lines() -> None:
    whole = json.dumps(record.document(Report("2026-11-30T16:00:00Z", (FLOW, FLOW))))
    assert flowsfile.parse(whole, "file") == (FLOW, FLOW)
    lines = f"{json.dumps(record.data(FLOW))}\n\n{json.dumps(record.data(FLOW))}\n"
    assert flowsfile.parse(lines, "file") == (FLOW, FLOW)
    assert flowsfile.parse("", "file") == ()


@pytest.mark.parametrize("text", ["x", "{", '{"flows": 1}', "[]", '{"a": 1}', "[" * 100_000, "1"])
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises(errors.InvalidInput, match="file"):
        flowsfile.parse(text, "file")


def test_a_flow_that_was_looked_at_twice_is_one() -> None:
    times = [("2026-11-30T16:00:00Z", 3), ("2026-11-30T16:00:09Z", None), ("", 1)]
    seen = [
        FlowRecord(
            *("blue", POD, POD, Verdict.ALLOWED, "TCP", 80),
            first_seen=time,
            last_seen=time,
            connections=count,
        )
        for time, count in times
    ]
    (found,) = flowsfile.merged(seen)
    assert (found.first_seen, found.last_seen) == (times[0][0], times[1][0])
    assert found.connections == 3
