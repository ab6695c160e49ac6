"""The editor of one policy: what it shows, and which texts it takes."""

from __future__ import annotations

import pytest
import yaml

from tests.support import consoled
from tests.support import objects as made
from tests.support.memory_api import MemoryApi
from tests.unit.observe.test_members import entry, nad, pod
from weft import errors, names
from weft.console.page import Access, NoSuchObject, Question
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
        ("kind: MultiNetworkPolicy\nmetadata: {name: web, annotations: [a]}", "must be a mapping"),
        ("kind: MultiNetworkPolicy\nmetadata: {name: web, labels: 5}", "must be a mapping"),
        ("kind: List\nitems: [{kind: Pod}, {kind: Pod}]", "List of 2 objects"),
        ("kind: [MultiNetworkPolicy]\nmetadata: {name: web}", "is no text"),
    ],
)
def test_another_text_is_refused(manifest: str, problem: str) -> None:
    with pytest.raises(errors.WeftError, match=problem):
        policy.parsed(manifest, consoled.asked(path=HERE))


SPOILT = ("?x=1", "#", "..", "a/b", "", "A")


@pytest.mark.parametrize("field", ["namespace", "name"])
@pytest.mark.parametrize("name", SPOILT)
async def test_no_path_of_a_request_is_made_of_what_is_no_name(field: str, name: str) -> None:
    asked = consoled.asked(path={**HERE, field: name})
    manifest = yaml.safe_dump(OBJECT)
    api = MemoryApi()
    for action in (policy.preview, policy.apply, policy.delete):
        try:
            outcome = await action(Access(api), asked, {"manifest": manifest})
        except errors.InvalidInput as error:
            said = str(error)
        else:
            said = outcome.sentence
            assert outcome.failed
        assert "is no object's name" in said
    with pytest.raises(errors.InvalidInput, match="is no object's name"):
        policy.view(consoled.read({}), asked)


async def test_what_is_not_there_yet_is_not_deleted() -> None:
    with pytest.raises(errors.InvalidInput, match="is no object's name"):
        await policy.delete(
            Access(MemoryApi()), consoled.asked(path={**HERE, "name": policy.NEW}), {}
        )


async def seen(api: MemoryApi, asked: Question, manifest: str) -> dict[str, str]:
    """The form after its effect was shown."""
    outcome = await policy.preview(Access(api), asked, {"manifest": manifest})
    assert isinstance(outcome.result, policy.Edit)
    return {"manifest": manifest, "seen": outcome.result.seen}


async def test_a_new_policy_leads_to_its_page() -> None:
    asked = consoled.asked(path={**HERE, "name": policy.NEW}, namespace="default")
    api, manifest = MemoryApi(), yaml.safe_dump(OBJECT)
    outcome = await policy.apply(Access(api), asked, await seen(api, asked, manifest))
    assert outcome.to == "/policies/default/web?namespace=default"


async def test_no_other_text_is_applied_than_that_whose_effect_was_shown() -> None:
    asked = consoled.asked(path={**HERE, "name": policy.NEW})
    api, manifest = MemoryApi(), yaml.safe_dump(OBJECT)
    form = await seen(api, asked, manifest)
    for unseen in ({"manifest": manifest}, {**form, "manifest": manifest + "# other\n"}):
        outcome = await policy.apply(Access(api), asked, unseen)
        assert (outcome.to, outcome.sentence) == ("", "Nothing is written yet.")
    sent = {**form, "manifest": manifest.replace("\n", "\r\n")}  # as browsers do
    assert (await policy.apply(Access(api), asked, sent)).to == "/policies/default/web"


async def test_an_edit_says_which_version_it_changes() -> None:
    asked, manifest = consoled.asked(path=HERE), yaml.safe_dump(OBJECT)
    api = MemoryApi()
    outcome = await policy.apply(Access(api), asked, await seen(api, asked, manifest))
    assert outcome.failed
    assert "resourceVersion" in outcome.sentence
    assert "load the page again" in outcome.sentence


async def test_a_network_with_many_members_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    api = MemoryApi()
    api.put(resources.NADS, nad("blue", "blue"))
    api.put(resources.NAMESPACES, {"metadata": {"name": "default"}})
    for number, name in enumerate(("a", "b"), 1):
        held = {"default/blue": entry(number, f"10.9.0.{number}/24")}
        api.put(resources.PODS, pod(name, "blue", held, labels={"app": "web"}))
    asked = consoled.asked(path={**HERE, "name": policy.NEW})
    form = {"manifest": yaml.safe_dump(OBJECT)}
    outcome = await policy.preview(Access(api), asked, form)
    assert isinstance(outcome.result, policy.Edit), outcome.sentence
    assert outcome.result.plan is not None
    assert len({(one.source, one.target) for one in outcome.result.plan.lost}) == 2
    monkeypatch.setattr(policy, "MOST_PAIRS", 3)
    outcome = await policy.preview(Access(api), asked, form)
    assert isinstance(outcome.result, policy.Edit)
    assert outcome.result.plan is not None
    assert not outcome.result.plan.pairs
    (unjudged,) = outcome.result.plan.unjudged
    assert "network blue: its 2 members' pairs are too many" in unjudged
    assert "weft plan" in unjudged
