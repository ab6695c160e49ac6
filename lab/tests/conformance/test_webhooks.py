"""Both servers ask a webhook the same, and do with its answers the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lab.tests.conformance import known
from lab.tests.conformance.cases.admissions import WEBHOOKS, hook
from lab.tests.conformance.cases.objects import MAPS, NADS, PODS, config, nad, pod
from lab.tests.conformance.exchange import (
    APPLY,
    MERGE,
    Ask,
    Case,
    Difference,
    compare,
    differences,
    level,
)
from lab.tests.conformance.servers import Api
from lab.tests.support import judge
from lab.tests.support.judge import Judge

pytestmark = pytest.mark.cluster

_HERE = {"matchLabels": {"kubernetes.io/metadata.name": "{ns}"}}
_PLAIN = {"matchExpressions": [{"key": "sign", "operator": "DoesNotExist"}]}
_RULE = {
    "apiGroups": ["", "k8s.cni.cncf.io"],
    "apiVersions": ["*"],
    "operations": ["*"],
    "resources": ["configmaps", "network-attachment-definitions", "pods", "pods/status"],
}
_WRITE = config("m")


@pytest.fixture(scope="module")
def webhook() -> Iterator[Judge]:
    with judge.running() as found:
        yield found


def _configured(webhook: Judge, path: str, **more: Any) -> dict[str, Any]:
    client = {"url": f"{webhook.url}/{path}", "caBundle": webhook.bundle}
    made = {"clientConfig": client, "rules": [_RULE], "namespaceSelector": _HERE}
    made |= {"objectSelector": _PLAIN, **more}
    return hook("", **made)


def _in_force(webhook: Judge, path: str, **more: Any) -> tuple[Ask, ...]:
    """The webhook is asked from here on: a refusal by a second one shows that both are known."""
    sign = {
        **_configured(webhook, "deny", objectSelector={"matchLabels": {"sign": "x"}})["webhooks"][
            0
        ],
        "name": "sign.example.com",
    }
    made = _configured(webhook, path, **more)
    made["webhooks"].append(sign)
    seen = config("sign", labels={"sign": "x"})
    return (
        Ask("POST", WEBHOOKS, made),
        Ask("POST", f"{MAPS}?dryRun=All", seen, until=422),
    )


_GONE = Ask("DELETE", f"{WEBHOOKS}/{{ns}}-h")
_CONDITION = {"name": "a", "expression": "object.data.a == '1'"}
_FAULTY = {"name": "a", "expression": "object.data.absent == '1'"}


def _cases(webhook: Judge) -> tuple[Case, ...]:
    def case(name: str, path: str, *asks: Ask, **more: Any) -> Case:
        return Case(f"hook-{name}", (*_in_force(webhook, path, **more), *asks, _GONE))

    dry = Ask("POST", f"{MAPS}?dryRun=All", _WRITE)
    absent = {"clientConfig": {"url": "https://127.0.0.1:1/x", "caBundle": webhook.bundle}}
    unknown = {"clientConfig": {"url": f"{webhook.url}/allow"}}
    return (
        case(
            "allows",
            "allow",
            Ask("POST", f"{MAPS}?fieldManager=me&fieldValidation=Strict", _WRITE),
            Ask("POST", MAPS, _WRITE),
            Ask("POST", MAPS, {**_WRITE, "metadata": {"generateName": "gen-"}}),
            Ask("PUT", f"{MAPS}/m", config("m", {"a": "2"})),
            Ask("PATCH", f"{MAPS}/m", {"data": {"a": "3"}}, MERGE),
            Ask("PATCH", f"{MAPS}/m", {"data": {"a": "3"}}, MERGE),
            Ask("PATCH", f"{MAPS}/m?dryRun=All", {"data": {"a": "4"}}, MERGE),
            Ask("PATCH", f"{MAPS}/n?fieldManager=me", config("n"), APPLY),
            Ask("POST", NADS, nad("blue")),
            Ask("PATCH", f"{NADS}/blue", {"spec": {"config": "{ }"}}, MERGE),
            Ask("DELETE", f"{NADS}/blue"),
            Ask("POST", PODS, pod("web")),
            Ask("PATCH", f"{PODS}/web/status", {"status": {"phase": "Running"}}, MERGE),
            Ask("DELETE", f"{MAPS}/m"),
            Ask("DELETE", MAPS),
        ),
        case("denies", "deny", dry, Ask("POST", MAPS, config("m", {"a b": "1"}))),
        case("silent", "silent", dry),
        case("reason", "reason", dry),
        case("good", "good", dry),
        case("warns", "warn", dry, Ask("POST", f"{MAPS}?dryRun=All", {**_WRITE, "own": 1})),
        case("other", "other", dry),
        case("patch", "patch", dry),
        case("empty", "empty", dry),
        case("odd", "odd", dry),
        case("odd-ignored", "odd", dry, failurePolicy="Ignore"),
        case("error", "error", dry),
        case("slow", "slow", dry, timeoutSeconds=3),
        case("slow-ignored", "slow", dry, timeoutSeconds=3, failurePolicy="Ignore"),
        case("absent", "", dry, **absent),
        case("absent-ignored", "", dry, failurePolicy="Ignore", **absent),
        case("unknown", "", dry, **unknown),
        case(
            "conditions",
            "deny",
            dry,
            Ask("POST", f"{MAPS}?dryRun=All", config("m", {"a": "2"})),
            matchConditions=[_CONDITION],
        ),
        case("faulty", "deny", dry, matchConditions=[_FAULTY]),
        case("faulty-ignored", "deny", dry, matchConditions=[_FAULTY], failurePolicy="Ignore"),
        case("exact", "deny", dry, matchPolicy="Exact"),
        case(
            "exact-other",
            "deny",
            dry,
            matchPolicy="Exact",
            rules=[{**_RULE, "apiVersions": ["v9"]}],
        ),
        case(
            "operations",
            "deny",
            Ask("POST", MAPS, _WRITE),
            Ask("PATCH", f"{MAPS}/m", {"data": {"a": "3"}}, MERGE),
            Ask("DELETE", f"{MAPS}/m"),
            rules=[
                {**_RULE, "operations": ["UPDATE"]},
                {**_RULE, "operations": ["CREATE"], "resources": ["pods"]},
            ],
        ),
    )


NAMES = [case.name for case in _cases(Judge("", ""))]


@pytest.fixture(scope="module")
def found(pair: tuple[Api, Api], webhook: Judge) -> dict[str, list[Difference]]:
    """What differs in each case: in answers, and in what the webhook was asked."""
    return {
        case.name: [*compare(case, *pair), *_asked(case.name, webhook)] for case in _cases(webhook)
    }


def _asked(name: str, webhook: Judge) -> Iterator[Difference]:
    asked: dict[str, list[Any]] = {
        "kube-apiserver-admission": [],
        "weft-lab-apiserver-admission": [],
    }
    for each in webhook.reviews():
        if each["request"].get("name") != "sign":
            asked[each.pop("agent")].append(level(each, managed=False))
    yield from differences(f"{name}/asked", *asked.values())


@pytest.mark.parametrize("name", NAMES)
def test_a_webhook_is_asked_and_heard_alike(found: dict[str, list[Difference]], name: str) -> None:
    rest = known.unlisted(found[name], known.WEBHOOKS)
    assert not rest, "\n".join(["the servers differ:", *map(str, rest)])


def test_each_listed_difference_is_there(found: dict[str, list[Difference]]) -> None:
    gone = known.gone((one for each in found.values() for one in each), known.WEBHOOKS)
    assert not gone, "\n".join(["listed, but not there any more:", *map(str, gone)])
