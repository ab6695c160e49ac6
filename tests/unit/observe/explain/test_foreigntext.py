"""What nodes write reaches a terminal: it cannot steer one, fill one, or hold the command up."""

import json

import pytest

from tests.support.explained import SILENT, evidence, with_port, with_zone
from tests.unit.observe.explain.test_zone import PORTS, answer
from weft import errors
from weft.observe.explain import agentpods, sentence, steps, zone
from weft.observe.explain.evidence import (
    DropCount,
    Evidence,
    InterfaceFacts,
    NodeFacts,
    NodeState,
    Trace,
    Unseen,
)

HOSTILE = "x\x1b]0;title\x07\x9b31m\x7f\u202e\nok  all is well " + "y" * (1 << 20)
CASES: dict[str, Evidence] = {
    "database": evidence(nodes={"node1": Unseen(HOSTILE), "node2": Unseen(HOSTILE)}),
    "stage": evidence(nodes=with_zone("node1", trace=Trace(False, HOSTILE, HOSTILE))),
    "ACL": evidence(nodes=with_zone("node1", trace=Trace(False, "_acl_eval", "", HOSTILE))),
    "other port": evidence(nodes=with_zone("node1", trace=Trace(False, port=HOSTILE))),
    "trace": evidence(nodes=with_zone("node1", trace=Unseen(HOSTILE))),
    "flow": evidence(nodes=with_zone("node1", datapath=Trace(False, match=HOSTILE))),
    "interface": evidence(
        nodes=with_port("node1", "a", interface=InterfaceFacts(HOSTILE, error=HOSTILE))
    ),
    "port security": evidence(nodes=with_port("node1", "a", security=(HOSTILE,))),
    "drops": evidence(
        probe=SILENT,
        drops={"node1": (DropCount(HOSTILE, 1, HOSTILE, HOSTILE), DropCount(HOSTILE, 1))},
    ),
    "condition": evidence(
        nodes={},
        states={
            node: NodeState(True, "c", f"node1 node2 {HOSTILE}") for node in ("node1", "node2")
        },
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_shown_is_one_short_line_without_control_characters(name: str) -> None:
    for step in steps.walk(CASES[name]):
        for text in (step.name, step.seen, step.remedy):
            assert text.isprintable()
            assert len(text) <= 1000
    assert sentence.explain(CASES[name]).sentence.isprintable()
    assert any("x�" in step.seen for step in steps.walk(CASES[name])), "the text is not shown"


@pytest.mark.parametrize(
    "text", ["\n" * 200_000, "1. a (\n" * 30_000, "1. a (b): , priority 1\n" * 9_000, " " * 200_000]
)
def test_a_trace_is_read_in_the_time_that_its_length_needs(text: str) -> None:
    """A search that began anew at each line would take minutes."""
    found = zone.facts(answer(trace=text, datapath=text), PORTS)
    assert isinstance(found, NodeFacts)


def test_a_trace_is_read_as_far_as_a_node_sends_it() -> None:
    """`onnode` cuts it there itself; who sends more is no agent."""
    found = zone.facts(answer(trace=" " * zone.MOST + f'output to "{PORTS[1]}"'), PORTS)
    assert isinstance(found, NodeFacts)
    assert found.trace == Trace(reaches=False)


@pytest.mark.parametrize("count", ["1e999", "[]", "null", '"x"', "NaN"])
def test_a_count_that_is_no_number_is_no_drop(count: str) -> None:
    assert zone.drops(json.loads(f'{{"drops": [["0", "0", {count}, "ip"]]}}'), ()) == ()


@pytest.mark.parametrize(
    "output", [b"", b"text", b"[]", b'"x"', b"[" * 200_000, b'{"a": ' * 200_000, b"9" * 5000]
)
def test_an_answer_that_cannot_be_read_is_no_answer(output: bytes) -> None:
    with pytest.raises(errors.Unavailable):
        agentpods.answer("node1", output)
