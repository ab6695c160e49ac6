"""What nodes write reaches a terminal: it can neither steer nor fill one."""

import pytest

from tests.support.explained import SILENT, evidence, with_port, with_zone
from weft.observe.explain import sentence, steps
from weft.observe.explain.evidence import (
    DropCount,
    Evidence,
    InterfaceFacts,
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
