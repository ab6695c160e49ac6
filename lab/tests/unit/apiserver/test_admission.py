"""What a policy in force finds wrong in a request."""

from __future__ import annotations

from typing import Any

import pytest

from weft_lab.apiserver import admission, admissionrules, admissiontypes, builtin
from weft_lab.apiserver.auth import User

PODS = next(each for each in builtin.resources() if each.plural == "pods")


def judged(rule: dict[str, Any], obj: Any, **spec: Any) -> list[tuple[str, str]]:
    match = {
        "resourceRules": [
            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["pods"]}
        ]
    }
    policy = {
        "metadata": {"name": "p"},
        "spec": {"matchConstraints": match, "validations": [rule], **spec},
    }
    admissiontypes.default_policy(policy)
    binding = {"metadata": {"name": "b"}, "spec": {"policyName": "p"}}
    asked = admissionrules.AdmissionRequest(
        *("CREATE", PODS, PODS.versions[0], "", "ta", "web", User("tenant"), False), obj, None
    )
    found = admission.judge(admission.Bound(policy, binding), asked)
    return [(each.message, each.reason) for each in found]


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"expression": "object.a == 2"}, ("failed expression: object.a == 2", "Invalid")),
        ({"expression": "object.a == 2", "message": "no"}, ("no", "Invalid")),
        (
            {
                "expression": "object.a == 2",
                "message": "no",
                "messageExpression": "'it is ' + string(object.a)",
                "reason": "Forbidden",
            },
            ("it is 1", "Forbidden"),
        ),
        (
            {"expression": "object.a == 2", "message": "no", "messageExpression": "object.b"},
            ("no", "Invalid"),
        ),
        (
            {"expression": "object.b == 1"},
            ("expression 'object.b == 1' resulted in error: no such key: b", "Invalid"),
        ),
    ],
)
def test_a_rule_that_does_not_hold_says_so(rule: dict[str, Any], told: tuple[str, str]) -> None:
    assert judged(rule, {"a": 1}) == [told]


def test_what_cannot_be_evaluated_passes_where_failures_are_ignored() -> None:
    assert not judged({"expression": "object.b == 1"}, {"a": 1}, failurePolicy="Ignore")
    assert judged({"expression": "object.a == 2"}, {"a": 1}, failurePolicy="Ignore")


def test_variables_are_seen_by_those_after_them() -> None:
    variables = [
        {"name": "one", "expression": "object.a"},
        {"name": "two", "expression": "variables.one + 1"},
    ]
    assert not judged({"expression": "variables.two == 2"}, {"a": 1}, variables=variables)
    assert judged({"expression": "variables.two == 3"}, {"a": 1}, variables=variables)


def test_conditions_choose_the_requests() -> None:
    conditions = [{"name": "a", "expression": "request.userInfo.username != 'tenant'"}]
    assert not judged({"expression": "false"}, {"a": 1}, matchConditions=conditions)
