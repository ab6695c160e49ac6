"""What the demo of tenants claims holds for the right reason alone."""

from __future__ import annotations

import json

import pytest

from weft import names
from weft.kube import client
from weft_lab.demos import tenants


def test_the_manifests_are_what_the_demo_says_of_them() -> None:
    found = tenants.objects()
    asked = {}
    for obj in (*found.admin, *found.tenant):
        if obj["kind"] == "Pod":
            meta = obj["metadata"]
            (entry,) = json.loads(meta["annotations"][names.NETWORKS])
            key = f"{meta['namespace']}/{meta['name']}"
            asked[key] = (entry["namespace"] + "/" + entry["name"], *entry["ips"])
    his = {pod: (tenants.NETWORK, address) for pod, address in tenants.HIS.items()}
    others = {pod: (tenants.CLOSED, address) for pod, address in tenants.OTHERS.items()}
    assert asked == {**his, **others}
    assert tenants.grip()["metadata"]["annotations"] == {names.NETWORKS: tenants.CLOSED}
    nads = [obj for obj in found.admin if obj["kind"] == "NetworkAttachmentDefinition"]
    subnets = {json.loads(obj["spec"]["config"])["subnets"] for obj in nads}
    assert (len(nads), len(subnets)) == (2, 1), "the control has the same subnet"
    assert {obj["metadata"]["namespace"] for obj in nads} == {"networks"}
    nodes = {obj["spec"]["nodeName"] for obj in found.tenant}
    assert len(nodes) == 2


async def _fails(error: Exception) -> None:
    raise error


async def _done() -> None:
    return None


@pytest.mark.parametrize(
    ("request_", "holds"),
    [
        (lambda: _fails(client.Forbidden(403, "Forbidden", "no")), True),
        (lambda: _fails(client.NotFound(404, "NotFound", "there is none")), False),
        (lambda: _fails(client.Invalid(422, "Invalid", "wrong")), False),
        (_done, False),
    ],
    ids=["forbidden", "not there", "invalid", "done"],
)
async def test_only_what_is_forbidden_is_refused(request_: object, holds: bool) -> None:
    assert callable(request_)
    assert (await tenants.refused("claim", "where", request_())).holds is holds


@pytest.mark.parametrize("own", [True, False], ids=["the control works", "it does not"])
@pytest.mark.parametrize("other", [True, False], ids=["an answer", "no answer"])
async def test_silence_counts_where_the_control_is_answered(
    monkeypatch: pytest.MonkeyPatch, own: bool, other: bool
) -> None:
    monkeypatch.setattr(tenants, "CONVERGENCE", 0.0)

    async def run(_: str, *argv: str) -> int:
        is_own = argv[-1] == tenants.OTHERS["bank/vault"]
        return 0 if (own if is_own else other) else 1

    verdict = await tenants.silent(run, "bank/teller", "shop/web")
    assert verdict.holds is (own and not other)


async def test_a_ping_without_an_answer_does_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenants, "CONVERGENCE", 0.0)

    async def deaf(*_: str) -> int:
        return 1

    assert not (await tenants.pings(deaf, "shop/web", "stock/store")).holds
