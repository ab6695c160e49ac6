"""How admission policies, bindings and webhooks are written."""

from __future__ import annotations

from typing import Any

import pytest

from weft_lab.apiserver import admissiontypes


def policy(**spec: Any) -> dict[str, Any]:
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}]
    made = {
        "matchConstraints": {"resourceRules": rules},
        "validations": [{"expression": "true"}],
        **spec,
    }
    obj = {"spec": made}
    admissiontypes.default_policy(obj)
    return obj


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"validations": [{"expression": "1 +"}]}, "spec.validations[0].expression"),
        ({"validations": [{"expression": "1"}]}, "spec.validations[0].expression"),
        ({"variables": [{"name": "x", "expression": "params"}]}, "spec.variables[0].expression"),
        ({"paramKind": {"kind": "ConfigMap", "apiVersion": "v1"}}, "spec.paramKind"),
        ({"matchConstraints": {}}, "spec.matchConstraints.resourceRules"),
        ({"failurePolicy": "Odd"}, "spec.failurePolicy"),
    ],
)
def test_what_the_lab_cannot_evaluate_is_refused(spec: dict[str, Any], field: str) -> None:
    assert field in [cause.field for cause in admissiontypes.validate_policy(policy(**spec))]


def test_a_policy_as_it_should_be_is_taken() -> None:
    assert not admissiontypes.validate_policy(policy())


@pytest.mark.parametrize(
    ("part", "field"),
    [
        ({"clientConfig": {"url": "http://x"}}, "webhooks[0].clientConfig.url"),
        ({"clientConfig": {}}, "webhooks[0].clientConfig"),
        ({"clientConfig": {"service": {"name": "a"}}}, "webhooks[0].clientConfig.service"),
        ({"timeoutSeconds": 31}, "webhooks[0].timeoutSeconds"),
        ({"sideEffects": "Some"}, "webhooks[0].sideEffects"),
        ({"failurePolicy": "Odd"}, "webhooks[0].failurePolicy"),
        ({"matchPolicy": "Odd"}, "webhooks[0].matchPolicy"),
        ({"admissionReviewVersions": ["v9"]}, "webhooks[0].admissionReviewVersions"),
        (
            {"matchConditions": [{"name": "a", "expression": "1 +"}]},
            "webhooks[0].matchConditions[0].expression",
        ),
        ({}, None),
    ],
)
def test_a_webhook_is_reached_by_tls(part: dict[str, Any], field: str | None) -> None:
    hook = {"name": "a", "clientConfig": {"url": "https://x"}, "sideEffects": "None"}
    obj = {"webhooks": [{**hook, "admissionReviewVersions": ["v1"], **part}]}
    admissiontypes.default_webhooks(obj)
    found = [cause.field for cause in admissiontypes.validate_webhooks(obj)]
    assert found == ([] if field is None else [field])


def test_mutating_webhooks_are_refused() -> None:
    assert not admissiontypes.refuse_webhooks({"webhooks": []})
    found = admissiontypes.refuse_webhooks({"webhooks": [{"name": "a"}]})
    assert [(cause.field, cause.reason) for cause in found] == [("webhooks", "FieldValueForbidden")]
