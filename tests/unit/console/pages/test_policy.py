"""The editor of one policy: what it shows, and which texts it takes."""

from __future__ import annotations

import pytest
import yaml

from tests.support import consoled
from tests.support import objects as made
from weft import errors, names
from weft.console.page import NoSuchObject
from weft.console.pages import policy
from weft.kube import resources

HERE = {"namespace": "default", "name": "web"}
OBJECT = made.policy("web", app="web", ingress=[], networks="default/blue")


def test_what_programs_keep_at_the_object_is_not_shown() -> None:
    meta = {**OBJECT["metadata"], "managedFields": [{"manager": "x"}], "resourceVersion": "7"}
    meta["annotations"] = {**meta["annotations"], names.ACCEPTED_POLICY: "{}"}
    whole = {**OBJECT, "metadata": meta, "status": {"conditions": []}}
    found = policy.view(
        consoled.read({resources.MULTINETWORKPOLICIES: [whole]}), consoled.asked(path=HERE)
    )
    shown = yaml.safe_load(found.manifest)
    assert set(shown) == {"apiVersion", "kind", "metadata", "spec"}
    assert "managedFields" not in shown["metadata"]
    assert names.ACCEPTED_POLICY not in shown["metadata"]["annotations"]
    assert shown["metadata"]["resourceVersion"] == "7"
    assert policy.parsed(found.manifest, consoled.asked(path=HERE))["spec"] == OBJECT["spec"]


def test_a_new_one_begins_with_a_policy_that_is_valid_yaml() -> None:
    asked = consoled.asked(path={**HERE, "name": policy.NEW})
    found = policy.view(consoled.read({}), asked)
    assert found.is_new
    assert policy.parsed(found.manifest, asked)["metadata"]["namespace"] == "default"


def test_a_policy_that_is_not_there() -> None:
    with pytest.raises(NoSuchObject, match="no such policy"):
        policy.view(consoled.read({}), consoled.asked(path=HERE))
    with pytest.raises(errors.InvalidInput, match="is no object's name"):
        policy.view(consoled.read({}), consoled.asked(path={**HERE, "namespace": ".."}))


@pytest.mark.parametrize(
    ("manifest", "problem"),
    [
        ("", "has no kind"),
        ("[]", "has no kind"),
        ("a: [", "manifest"),
        ("a: 1\n---\nb: 2", "more than one document"),
        ("kind: Pod\nmetadata: {name: web}", "must be MultiNetworkPolicy"),
        ("kind: MultiNetworkPolicy\nmetadata: {name: other}", "must be web"),
        ("kind: MultiNetworkPolicy\nmetadata: {name: web, namespace: kube-system}", "default"),
        ("kind: [MultiNetworkPolicy]\nmetadata: {name: web}", "must be MultiNetworkPolicy"),
    ],
)
def test_another_text_is_refused(manifest: str, problem: str) -> None:
    with pytest.raises(errors.WeftError, match=problem):
        policy.parsed(manifest, consoled.asked(path=HERE))
