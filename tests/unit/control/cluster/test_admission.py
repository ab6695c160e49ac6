"""What is refused at admission: the same as by Events, and in their words."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest

from tests.support import objects
from tests.support.cluster_world import nad, raw_nad, stored
from weft import names
from weft.control.cluster import admission, nads
from weft.control.cluster.allocations import Allocations
from weft.control.cluster.networks import Networks
from weft.kube import resources
from weft.reasons import Reason

Object = dict[str, Any]
RULES = nads.Rules(1400, 1500)
LATER = "2026-02-01T00:00:00Z"


def nobody(_: str) -> Mapping[str, str] | None:
    return None


def made_later(obj: Object) -> Object:
    return {**obj, "metadata": {**obj["metadata"], "creationTimestamp": LATER}}


def judge(new: Object, *there: Object, old: Object | None = None) -> admission.Verdict:
    others = [nads.read(each, RULES) for each in there]
    return admission.judge_nad(new, old, others, RULES, nobody)


def events(new: Object, *there: Object) -> dict[str, list[str]]:
    """What the cluster manager tells the author of a stored NAD: "refused" and the rest."""
    networks = Networks(Allocations(), RULES)
    for each in (*there, new):
        networks.set_nad(resources.key(each), nads.read(each, RULES))
    told = networks.decide(resources.key(new)).events
    return {
        "refused": [each.message for each in told if each.reason is Reason.INVALID_CONFIG],
        "rest": [each.message for each in told if each.reason is not Reason.INVALID_CONFIG],
    }


OWNED = nad("blue", namespace="shop")
CASES = {
    "sound": (nad("red"), ()),
    "another plugin's": (raw_nad("red", '{"cniVersion": "1.0.0", "type": "macvlan"}'), ()),
    "no JSON": (raw_nad("red", "{"), ()),
    "no subnet": (nad("red", subnets="10.1.0.0"), ()),
    "two mistakes": (nad("red", subnets="x", mtu=-1), ()),
    "a localnet": (nad("red", topology="localnet", vlanID=20), ()),
    "a key that nobody reads": (nad("red", subnet="10.2.0.0/24"), ()),
    "another's network": (nad("mine", "blue", namespace="tenant"), (OWNED,)),
    "another's, let in": (
        nad("mine", "blue", namespace="tenant"),
        (nad("blue", namespace="shop", allowedNamespaces=["tenant"]),),
    ),
    "an administrator's": (nad("mine", "blue", namespace="tenant"), (nad("blue"),)),
    "other subnets": (nad("two", "blue", subnets="10.2.0.0/24", namespace="shop"), (OWNED,)),
    "the same again": (nad("two", "blue", namespace="shop"), (OWNED,)),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_refused_is_what_events_would_tell(case: str) -> None:
    new, there = CASES[case]
    verdict, told = judge(made_later(new), *there), events(made_later(new), *there)
    assert [verdict.refusal] == (told["refused"] or [""])
    if not verdict.refusal:
        assert sorted(verdict.warnings) == sorted(told["rest"])


def test_some_are_refused_and_some_are_not() -> None:
    """Else the test above would compare nothing with nothing."""
    judged = {case: judge(made_later(new), *there) for case, (new, there) in CASES.items()}
    assert {case for case, verdict in judged.items() if verdict.refusal} == {
        *("no JSON", "no subnet", "two mistakes"),
        *("another's network", "other subnets"),
    }


def test_who_says_that_it_was_there_first_is_not() -> None:
    """Dates and notes of a new object are its author's."""
    new = nad("mine", "blue", namespace="tenant")
    new["metadata"]["creationTimestamp"] = "1999-01-01T00:00:00Z"
    new["metadata"]["annotations"] = {
        names.NETWORK_NAME: "blue",
        names.NETWORK_ID: "1",
        names.NETWORK_OWNER: "tenant/mine",
        names.ACCEPTED_CONFIG: new["spec"]["config"],
    }
    assert "belongs to namespace shop" in judge(new, OWNED).refusal


def test_one_that_is_broken_may_still_be_labelled_and_mended() -> None:
    broken = nad("red", subnets="10.1.0.0")
    labelled = copy.deepcopy(broken)
    labelled["metadata"]["labels"] = {"a": "b"}
    assert not judge(labelled, broken, old=broken).refusal
    assert not judge(nad("red"), broken, old=broken).refusal
    assert judge(broken, nad("red"), old=nad("red")).refusal
    other = nad("red", subnets="also wrong")
    assert judge(other, broken, old=broken).refusal, "another mistake is another refusal"


def test_an_owner_may_edit_its_network() -> None:
    """Others that disagree then hear of it by Events, as they may be edited after it."""
    owned = copy.deepcopy(OWNED)
    owned["metadata"]["annotations"] = {
        names.NETWORK_NAME: "blue",
        names.NETWORK_ID: "1",
        names.NETWORK_OWNER: "shop/blue",
        names.ACCEPTED_CONFIG: owned["spec"]["config"],
    }
    edited = nad("blue", namespace="shop", subnets="10.9.0.0/24")
    edited["metadata"]["annotations"] = owned["metadata"]["annotations"]
    second = made_later(nad("two", "blue", namespace="shop"))
    assert not judge(edited, owned, second, old=owned).refusal
    third = made_later(nad("two", "blue", namespace="shop", mtu=1300))
    assert "mtu 1300" in judge(third, owned, old=second).refusal


def policy(**spec: Any) -> Object:
    made = objects.named(resources.MULTINETWORKPOLICIES, "p", "a", {names.POLICY_FOR: "blue"})
    return stored({**made, "spec": {"podSelector": {}, **spec}})


def test_a_policy_that_is_invalid_as_a_whole_is_refused() -> None:
    bad = policy(podSelector={"matchLabels": {"-": "x"}})
    verdict = admission.judge_policy(bad, None)
    assert verdict.refusal.startswith("MultiNetworkPolicy a/p: ")
    assert "podSelector" in verdict.refusal
    assert admission.judge_policy(bad, bad) == admission.Verdict()
    assert admission.judge_policy(bad, policy()).refusal
    assert admission.judge_policy(policy(), None) == admission.Verdict()


def test_a_part_that_is_skipped_is_a_warning() -> None:
    bad = policy(ingress=[{"from": [{"ipBlock": {"cidr": "10.0.0.0/99"}}]}])
    verdict = admission.judge_policy(bad, None)
    assert not verdict.refusal
    (warning,) = verdict.warnings
    assert warning.startswith("MultiNetworkPolicy a/p: ")
    assert "10.0.0.0/99" in warning


def test_a_user_defined_network_that_is_not_served_is_stored_with_a_warning() -> None:
    layer2 = {"role": "Primary", "subnets": ["10.9.0.0/24"]}
    made = objects.named(resources.UDNS, "db", "red")
    made["spec"] = {"topology": "Layer2", "layer2": layer2}
    verdict = admission.judge_udn(made, resources.UDNS, RULES)
    assert not verdict.refusal
    (warning,) = verdict.warnings
    assert warning.startswith(
        'UserDefinedNetwork red/db: spec.layer2.role "Primary": is not served'
    )
    made["spec"]["layer2"] = {**layer2, "role": "Secondary"}
    assert admission.judge_udn(made, resources.UDNS, RULES) == admission.Verdict()


def test_names_of_user_defined_networks_are_refused_by_hand() -> None:
    squatter = nad("x", "cluster_udn_pay", namespace="shop")
    assert "belongs to ClusterUserDefinedNetwork pay" in judge(squatter).refusal
    owner = {"apiVersion": "k8s.ovn.org/v1", "kind": "ClusterUserDefinedNetwork", "name": "pay"}
    forged = copy.deepcopy(squatter)
    forged["metadata"]["ownerReferences"] = [{**owner, "uid": "u", "controller": True}]
    assert judge(forged).refusal == judge(squatter).refusal
    # One that is rendered may be labelled by anybody.
    assert not judge(forged, forged, old=forged).refusal


def test_a_nad_by_hand_does_not_join_a_user_defined_network() -> None:
    rendered = nad("db", "shop_db", namespace="shop")
    owner = {"apiVersion": "k8s.ovn.org/v1", "kind": "UserDefinedNetwork", "name": "db"}
    rendered["metadata"]["ownerReferences"] = [{**owner, "uid": "u", "controller": True}]
    verdict = judge(made_later(nad("x", "shop_db", namespace="shop")), rendered)
    assert "is rendered from another object" in verdict.refusal
