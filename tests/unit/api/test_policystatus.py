"""A policy's status: three conditions in plain words, and nothing that changes by itself."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.support.policies import written
from weft.api import policy, policystatus
from weft.api.policystatus import Binding, Findings, Unmatched
from weft.model import ObjectKey
from weft.policy.netpolicy import PodSelector, Selector

WEB = {"matchLabels": {"app": "web"}}
GOOD = policy.parse(written(podSelector=WEB, ingress=[{"from": [{"namespaceSelector": WEB}]}]))
BOUND = (Binding("blue", (ObjectKey("ns1", "blue"),), 3),)
FOUND = Findings(GOOD, generation=2, bindings=BOUND)


def by_type(found: Findings) -> dict[str, tuple[str, str, str]]:
    return {c.type: (c.status, c.reason, c.message) for c in policystatus.conditions(found)}


def test_all_is_well() -> None:
    assert by_type(FOUND) == {
        "Accepted": ("True", "Accepted", "the whole policy can be enforced"),
        "Bound": ("True", "Bound", "pods that it selects are on blue"),
        "SelectorsMatch": ("True", "AllMatch", "every selector matches a pod on its networks"),
    }


def test_the_whole_status() -> None:
    status = policystatus.render(FOUND, None, "T1")
    assert status["networks"] == [
        {"name": "blue", "networkAttachmentDefinitions": ["ns1/blue"], "ports": 3}
    ]
    assert (status["ports"], status["mode"], status["observedGeneration"]) == (3, "enforce", 2)
    assert (status["skipped"], status["unmatched"]) == ([], [])
    assert {each["lastTransitionTime"] for each in status["conditions"]} == {"T1"}


def test_what_is_audited_says_so() -> None:
    audited = policy.parse(written(mode="audit"))
    found = Findings(audited, bindings=BOUND)
    assert by_type(found)["Accepted"][:2] == ("True", "Audited")
    assert policystatus.render(found, None, "T")["mode"] == "audit"


def test_skipped_parts_are_listed_with_what_to_do() -> None:
    broken = written(ingress=[{"from": [{}], "ports": [{"port": "80"}]}])
    found = replace(FOUND, policy=policy.parse(broken))
    status, reason, message = by_type(found)["Accepted"]
    assert (status, reason) == ("True", "PartsSkipped")
    assert message.endswith("spec.ingress[0].from[0] and spec.ingress[0].ports[0].port")
    first, second = policystatus.render(found, None, "T")["skipped"]
    assert first["rule"] == "selects no peer"
    assert second["value"] == '"80"'
    assert second["remedy"] == "write the number without quotes"
    assert policystatus.skipped_text(found.policy.skipped[0]) == (  # type: ignore[union-attr]
        "spec.ingress[0].from[0] {}: selects no peer "
        "(give the peer a podSelector, namespaceSelector or ipBlock)"
    )


def test_of_very_many_skipped_parts_some_are_listed() -> None:
    found = replace(FOUND, policy=policy.parse(written(ingress=[{"from": [{}] * 500}])))
    status = policystatus.render(found, None, "T")
    assert len(status["skipped"]) == policystatus.MAX_REPORTED
    assert by_type(found)["Accepted"][2].endswith("from[4] and 495 more")
    assert len(json.dumps(status)) < 10_000


def test_a_broken_policy_says_what_is_in_force() -> None:
    never = Findings(None, problems=("spec: is missing",))
    assert by_type(never)["Accepted"][1:] == (
        "Invalid",
        "spec: is missing: no part of it is in force",
    )
    assert {by_type(never)[kind][0] for kind in ("Bound", "SelectorsMatch")} == {"Unknown"}
    assert policystatus.render(never, None, "T")["mode"] == "none"
    once = replace(FOUND, problems=("spec: is missing",))
    assert by_type(once)["Accepted"][2].endswith("the version accepted last stays in force")
    assert by_type(once)["Bound"][0] == "True"


def test_missing_networks_and_pods() -> None:
    missing = replace(FOUND, bindings=(), unbound=("NAD x: does not exist",))
    assert by_type(missing)["Bound"] == ("False", "NetworkMissing", "NAD x: does not exist")
    assert by_type(missing)["SelectorsMatch"][0] == "Unknown"
    empty = replace(FOUND, bindings=(Binding("blue", ()), Binding("red", ())))
    message = "no pod that podSelector selects is on blue or red"
    assert by_type(empty)["Bound"] == ("False", "NoPods", message)


def test_of_very_many_missing_networks_some_are_named() -> None:
    many = tuple(f"NAD {number}: does not exist" for number in range(1000))
    message = by_type(replace(FOUND, unbound=many))["Bound"][2]
    assert message.startswith("NAD 0: does not exist; NAD 1: does not exist; ")
    assert message.endswith("; 995 more")


def test_selectors_that_match_nothing_are_named() -> None:
    unmatched = tuple(policystatus.selectors_of(GOOD))
    found = replace(FOUND, unmatched=unmatched)
    assert by_type(found)["SelectorsMatch"] == (
        "False",
        "NothingMatches",
        "no pod on its networks matches spec.podSelector (pods with app=web in namespace ns1) or "
        "spec.ingress[0].from (all pods in namespaces with app=web)",
    )
    assert policystatus.render(found, None, "T")["unmatched"][1] == {
        "field": "spec.ingress[0].from",
        "selects": "all pods in namespaces with app=web",
    }


def test_the_same_again_is_the_same() -> None:
    before = policystatus.render(FOUND, None, "T1")
    assert policystatus.render(FOUND, before, "T2") == before
    grown = replace(FOUND, bindings=(Binding("blue", (ObjectKey("ns1", "blue"),), 4),))
    after = policystatus.render(grown, before, "T2")
    assert (after["conditions"], after["ports"]) == (before["conditions"], 4)


def test_a_time_is_that_of_the_last_change_of_status() -> None:
    before = policystatus.render(FOUND, None, "T1")
    found = replace(FOUND, bindings=(Binding("blue", (ObjectKey("ns1", "blue"),), 0),))
    times = [
        c["lastTransitionTime"] for c in policystatus.render(found, before, "T2")["conditions"]
    ]
    assert times == ["T1", "T2", "T1"]


@pytest.mark.parametrize("before", [None, {}, [], {"conditions": 5}, {"conditions": [None, {}]}])
def test_whatever_stood_there_before(before: object) -> None:
    status = policystatus.render(FOUND, before, "T")
    assert [each["lastTransitionTime"] for each in status["conditions"]] == ["T"] * 3


@pytest.mark.parametrize(
    ("expressions", "words"),
    [
        ([], "all pods"),
        ([{"key": "a", "operator": "In", "values": ["b"]}], "pods with a=b"),
        ([{"key": "a", "operator": "In", "values": ["c", "b"]}], "pods with a in (b, c)"),
        ([{"key": "a", "operator": "NotIn", "values": ["b"]}], "pods with a!=b"),
        ([{"key": "a", "operator": "NotIn", "values": ["b", "c"]}], "pods with a notin (b, c)"),
        ([{"key": "a", "operator": "Exists"}], "pods with a"),
        ([{"key": "a", "operator": "DoesNotExist"}], "pods with !a"),
    ],
)
def test_selectors_in_words(expressions: list[object], words: str) -> None:
    parsed = policy.parse(written(podSelector={"matchExpressions": expressions}))
    assert policystatus.selector_text(parsed.selected_pods) == f"{words} in namespace ns1"
    assert policystatus.selector_text(PodSelector()) == "all pods in all namespaces"


def test_every_selector_has_its_place() -> None:
    rules = [{"from": [{"ipBlock": {"cidr": "::/0"}}]}, {"from": [{"podSelector": WEB}]}, {}]
    parsed = policy.parse(written(ingress=rules, egress=[{"to": [{"podSelector": {}}]}]))
    assert [each.field for each in policystatus.selectors_of(parsed)] == [
        "spec.podSelector",
        "spec.ingress[1].from",
        "spec.egress[0].to",
    ]
    first = next(policystatus.selectors_of(parsed))
    assert first == Unmatched("spec.podSelector", PodSelector("ns1", pods=Selector()))


def test_names_of_ports_have_their_pods() -> None:
    http = [{"port": "http"}, {"port": 80}]
    db = {"podSelector": {"matchLabels": {"app": "db"}}}
    egress = [{"to": [db], "ports": http}, {"ports": http}]
    parsed = policy.parse(written(podSelector=WEB, ingress=[{"ports": http}], egress=egress))
    named = [each for each in policystatus.selectors_of(parsed) if each.port]
    found = replace(FOUND, policy=parsed, unmatched=tuple(named))
    assert policystatus.render(found, None, "T")["unmatched"] == [
        {
            "field": "spec.ingress[0].ports",
            "selects": "pods with app=web in namespace ns1 that have a TCP port http",
        },
        {
            "field": "spec.egress[0].ports",
            "selects": "pods with app=db in namespace ns1 that have a TCP port http",
        },
        {
            "field": "spec.egress[1].ports",
            "selects": "all pods in all namespaces that have a TCP port http",
        },
    ]
