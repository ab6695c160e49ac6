"""The list of policies: whom each is for, and whether it is in force."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import consoled
from tests.support import objects as made
from weft.console.pages import policies
from weft.kube import resources


def judged(status: str = "True", kind: str = "Accepted", **policy: Any) -> dict[str, Any]:
    condition = {"type": kind, "status": status, "message": "is as it is"}
    whole = made.policy(app="web", ingress=[], networks="default/blue", **policy)
    return {**whole, "status": {"conditions": [condition]}}


def only(obj: dict[str, Any]) -> policies.Row:
    found = policies.view(consoled.read({resources.MULTINETWORKPOLICIES: [obj]}), consoled.asked())
    return found.part.rows[0]


def test_a_policy_in_one_line() -> None:
    row = only(judged())
    assert row.networks == ("default/blue",)
    assert row.selects == "app=web"
    assert row.directions == ("Ingress",)
    assert (row.state, row.text) == ("ok", "in force")


@pytest.mark.parametrize(
    ("kind", "state"), [("Accepted", "fail"), ("NetworksBound", "warn"), ("Matching", "warn")]
)
def test_what_is_not_true_is_shown(kind: str, state: str) -> None:
    row = only(judged("False", kind))
    assert (row.state, row.text) == (state, "is as it is")


def test_a_policy_that_nobody_has_judged() -> None:
    row = only({**judged(), "status": {}})
    assert (row.state, "judged" in row.text) == ("warn", True)


def test_a_broken_policy_says_what_is_wrong() -> None:
    broken = {**judged(), "status": {}, "spec": {"podSelector": "all"}}
    row = only(broken)
    assert row.state == "fail"
    assert "podSelector" in row.text
