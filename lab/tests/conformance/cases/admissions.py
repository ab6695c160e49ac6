"""Admission policies: how they are written, and what they refuse."""

from __future__ import annotations

from typing import Any

from lab.tests.conformance.cases.objects import MAPS, NADS, PODS, config, nad, pod
from lab.tests.conformance.exchange import MERGE, TABLE, Ask, Case

GROUP = "/apis/admissionregistration.k8s.io/v1"
POLICIES = f"{GROUP}/validatingadmissionpolicies"
BINDINGS = f"{GROUP}/validatingadmissionpolicybindings"
WEBHOOKS = f"{GROUP}/validatingwebhookconfigurations"
_API = "admissionregistration.k8s.io/v1"
_HERE = {"matchLabels": {"kubernetes.io/metadata.name": "{ns}"}}


def policy(name: str, *validations: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A policy about config maps, NADs and pods of the case's namespace."""
    rules = [
        {
            "apiGroups": ["", "k8s.cni.cncf.io"],
            "apiVersions": ["*"],
            "operations": ["CREATE", "UPDATE", "DELETE"],
            "resources": ["configmaps", "network-attachment-definitions", "pods", "pods/*"],
        }
    ]
    match = {"resourceRules": rules, "namespaceSelector": _HERE}
    spec = {"matchConstraints": match, "validations": list(validations), **more}
    return {
        "apiVersion": _API,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": f"{{ns}}-{name}"},
        "spec": spec,
    }


def binding(name: str, *actions: str) -> dict[str, Any]:
    return {
        "apiVersion": _API,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": f"{{ns}}-{name}"},
        "spec": {"policyName": f"{{ns}}-{name}", "validationActions": list(actions)},
    }


def hook(url: str, **more: Any) -> dict[str, Any]:
    every = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}
    made = {
        "name": "a.example.com",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "clientConfig": {"url": url},
        "rules": [every],
        **more,
    }
    meta = {"name": "{ns}-h"}
    return {
        "apiVersion": _API,
        "kind": "ValidatingWebhookConfiguration",
        "metadata": meta,
        "webhooks": [made],
    }


_KEY = "weft/x"
_RULE = {
    "expression": "request.userInfo.username == 'nobody' || variables.same",
    "messageExpression": "'annotations ' + variables.keys.join(' and ') + ' stay'",
    "reason": "Forbidden",
}
_VARIABLES = [
    {"name": "keys", "expression": "['weft/x', 'weft/y']"},
    {
        "name": "same",
        "expression": "object == null || variables.keys.all(key,"
        " object.metadata.?annotations[?key].orValue('') =="
        " (oldObject == null ? '' : oldObject.metadata.?annotations[?key].orValue('')))",
    },
]
_SAY = {"metadata": {"annotations": {_KEY: "1"}}}
_SAID = config("said", annotations={_KEY: "1"})


def _in_force(name: str, *actions: str, **spec: Any) -> tuple[Ask, ...]:
    return (
        Ask("POST", POLICIES, policy(name, *spec.pop("rules"), **spec)),
        Ask("POST", BINDINGS, binding(name, *actions)),
    )


_WRONG: tuple[dict[str, Any], ...] = (
    policy("w"),
    policy("w", {"expression": ""}),
    policy("w", {"expression": "true"}, failurePolicy="Odd"),
    policy("w", {"expression": "true", "reason": "Odd"}),
    {**policy("w", {"expression": "true"}), "spec": {"validations": [{"expression": "true"}]}},
)
_NOT_THREE = {"expression": "object.data.a != '3'"}
_PLAIN = {"expression": "object.data.a == '1'"}

CASES = (
    Case(
        "policy-objects",
        (
            Ask("POST", POLICIES, policy("p", {"expression": "true"})),
            Ask("GET", f"{POLICIES}/{{ns}}-p"),
            Ask("PATCH", f"{POLICIES}/{{ns}}-p", {"spec": {"failurePolicy": "Ignore"}}, MERGE),
            Ask("POST", BINDINGS, binding("p", "Deny")),
            Ask("GET", f"{POLICIES}/{{ns}}-p", accept=TABLE),
            Ask("GET", f"{BINDINGS}/{{ns}}-p", accept=TABLE),
            Ask("GET", GROUP),
            Ask("POST", f"{WEBHOOKS}?dryRun=All", hook("https://x.example/admit")),
            Ask("POST", f"{WEBHOOKS}?dryRun=All", hook("https://x.example"), accept=TABLE),
            Ask("POST", f"{WEBHOOKS}?dryRun=All", hook("http://x.example")),
            Ask("POST", f"{WEBHOOKS}?dryRun=All", hook("https://x.example", timeoutSeconds=31)),
            Ask("POST", f"{BINDINGS}?dryRun=All", binding("q")),
            Ask("POST", f"{BINDINGS}?dryRun=All", binding("q", "Deny", "Warn")),
            Ask("POST", f"{BINDINGS}?dryRun=All", binding("q", "Odd")),
            *(Ask("POST", f"{POLICIES}?dryRun=All", each) for each in _WRONG),
            Ask("DELETE", f"{POLICIES}/{{ns}}-p"),
            Ask("DELETE", f"{BINDINGS}/{{ns}}-p"),
        ),
    ),
    Case(
        "policy-refuses",
        (
            *_in_force("p", "Deny", rules=[_RULE], variables=_VARIABLES),
            Ask("POST", f"{MAPS}?dryRun=All", _SAID, until=403),
            Ask("POST", MAPS, config("m")),
            Ask("PATCH", f"{MAPS}/m", _SAY, MERGE),
            Ask("PATCH", f"{MAPS}/m", {"data": {"b": "c"}}, MERGE),
            Ask("PUT", f"{MAPS}/m", _SAID | {"metadata": _SAY["metadata"] | {"name": "m"}}),
            Ask("POST", MAPS, {**_SAID, "metadata": {"generateName": "gen-", **_SAY["metadata"]}}),
            Ask("POST", NADS, nad("blue")),
            Ask("PATCH", f"{NADS}/blue", _SAY, MERGE),
            Ask("POST", PODS, pod("web")),
            Ask("PATCH", f"{PODS}/web", _SAY, MERGE),
            Ask("PATCH", f"{PODS}/web/status", _SAY, MERGE),
            Ask("POST", MAPS, {**_SAID, "data": {"a b": ""}}),
            Ask("POST", MAPS, {**_SAID, "metadata": {"name": "m", **_SAY["metadata"]}}),
            Ask("DELETE", f"{MAPS}/m"),
            Ask("DELETE", f"{POLICIES}/{{ns}}-p"),
            Ask("POST", MAPS, config("free", annotations={_KEY: "1"}), until=201),
        ),
    ),
    Case(
        "policy-plain",
        (
            *_in_force("p", "Deny", rules=[_PLAIN, {"expression": "false", "message": "never"}]),
            Ask("POST", f"{MAPS}?dryRun=All", config("x", {"a": "2"}), until=422),
            Ask("POST", f"{MAPS}?dryRun=All", config("x", {"a": "1"})),
            Ask("POST", f"{MAPS}?dryRun=All", config("x", {"b": "1"})),
            Ask("DELETE", f"{POLICIES}/{{ns}}-p"),
        ),
    ),
    Case(
        "policy-ignores",
        (
            *_in_force(
                "p", "Deny", rules=[{"expression": "object.data.a != '3'"}], failurePolicy="Ignore"
            ),
            Ask("POST", f"{MAPS}?dryRun=All", config("x", {"a": "3"}), until=422),
            Ask("POST", f"{MAPS}?dryRun=All", config("x", {"b": "1"})),
            Ask("DELETE", f"{POLICIES}/{{ns}}-p"),
        ),
    ),
    Case(
        "policy-conditions",
        (
            *_in_force(
                "p",
                "Deny",
                rules=[{"expression": "request.operation == 'UPDATE'", "reason": "Forbidden"}],
                matchConditions=[
                    {"name": "a", "expression": "object == null || object.data.a == '1'"},
                    {"name": "b", "expression": "request.userInfo.username == 'admin'"},
                ],
            ),
            Ask("POST", f"{MAPS}?dryRun=All", config("x", {"a": "1"}), until=403),
            Ask("POST", MAPS, config("m", {"a": "2"})),
            Ask("PATCH", f"{MAPS}/m", {"data": {"a": "1"}}, MERGE),
            Ask("DELETE", f"{MAPS}/m"),
            Ask("DELETE", MAPS),
            Ask("DELETE", f"{POLICIES}/{{ns}}-p"),
        ),
    ),
    Case(
        "policy-warns",
        (
            *_in_force("p", "Warn", rules=[{"expression": "false", "message": "unwise"}]),
            Ask("POST", f"{POLICIES}", policy("q", {"expression": "object.metadata.name != 'q'"})),
            Ask("POST", BINDINGS, binding("q", "Deny")),
            Ask("POST", f"{MAPS}?dryRun=All", config("q"), until=422),
            Ask("POST", f"{MAPS}?dryRun=All", config("m")),
            Ask("DELETE", f"{POLICIES}/{{ns}}-p"),
            Ask("DELETE", f"{POLICIES}/{{ns}}-q"),
        ),
    ),
)
