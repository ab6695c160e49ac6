"""To which requests admission rules apply."""

from __future__ import annotations

from typing import Any

import pytest

from weft_lab.apiserver import admissionrules, builtin
from weft_lab.apiserver.admissionrules import AdmissionRequest
from weft_lab.apiserver.auth import User
from weft_lab.apiserver.expressions import Faulty

RESOURCES = {each.plural: each for each in builtin.resources()}


def asked(plural: str = "pods", subresource: str = "", **more: Any) -> AdmissionRequest:
    resource = RESOURCES[plural]
    given: dict[str, Any] = {
        "operation": "CREATE",
        "namespace": "ta" if resource.namespaced else "",
        "name": "web",
        "user": User("tenant"),
        "dry_run": False,
        "new": {"metadata": {"labels": {"app": "a"}}},
        "old": None,
        "spaces": {"metadata": {"labels": {"team": "a"}}} if resource.namespaced else None,
    }
    return AdmissionRequest(
        resource=resource, version=resource.versions[0], subresource=subresource, **given | more
    )


def rule(*resources: str, **more: Any) -> dict[str, Any]:
    every = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "scope": "*"}
    return {**every, "resources": list(resources), **more}


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("pods", {"pods"}),
        ("pods/status", {"pods/status"}),
        ("pods/*", {"pods", "pods/status"}),
        ("*/status", {"pods/status", "nodes/status"}),
        ("*", {"pods", "nodes"}),
        ("*/*", {"pods", "nodes", "pods/status", "nodes/status"}),
        ("services", set()),
    ],
)
def test_a_pattern_means_resources_and_what_is_below_them(pattern: str, meant: set[str]) -> None:
    paths = ("pods", "pods/status", "nodes", "nodes/status")
    chosen = {
        path
        for path in paths
        if admissionrules.applies({}, [rule(pattern)], asked(*path.split("/")))
    }
    assert chosen == meant


@pytest.mark.parametrize(
    ("part", "applies"),
    [
        ({"operations": ["UPDATE"]}, False),
        ({"apiGroups": ["apps"]}, False),
        ({"apiVersions": ["v1"]}, True),
        ({"apiVersions": ["v2"]}, False),
        ({"scope": "Namespaced"}, True),
        ({"scope": "Cluster"}, False),
        ({"resourceNames": ["web"]}, True),
        ({"resourceNames": ["other"]}, False),
    ],
)
def test_each_part_of_a_rule_counts(part: dict[str, Any], applies: bool) -> None:
    assert admissionrules.applies({}, [rule("pods", **part)], asked()) is applies


def test_exclusions_and_selectors_narrow_what_rules_choose() -> None:
    rules = [rule("*")]
    assert not admissionrules.applies({"excludeResourceRules": [rule("pods")]}, rules, asked())
    for part in ("namespaceSelector", "objectSelector"):
        for labels, applies in (({"team": "a"}, True), ({"team": "b"}, False)):
            match = {part: {"matchLabels": labels}}
            found = asked(new={"metadata": {"labels": {"team": "a"}}})
            assert admissionrules.applies(match, rules, found) is applies
    match = {"namespaceSelector": {"matchLabels": {"team": "b"}}}
    assert admissionrules.applies(match, rules, asked("nodes")), "it is in no namespace"


def test_rules_concern_a_type_whatever_is_done_with_it() -> None:
    assert admissionrules.concerns([rule("pods/status")], RESOURCES["pods"])
    assert not admissionrules.concerns([rule("pods", apiGroups=["apps"])], RESOURCES["pods"])


def test_one_false_condition_outweighs_faulty_ones() -> None:
    faulty, false, true = ({"expression": text} for text in ("object.a == 1", "false", "true"))
    assert admissionrules.meets([true], {"object": {}})
    assert not admissionrules.meets([faulty, false], {"object": {}})
    with pytest.raises(Faulty):
        admissionrules.meets([faulty, true], {"object": {}})
