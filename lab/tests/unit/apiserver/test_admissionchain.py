"""A write that webhooks judge is tried again with their answers, and is the same each time."""

from __future__ import annotations

from typing import Any

import pytest

from lab.tests.support.memory_cluster import World, crd
from weft_lab.apiserver import admissionchain, auth, status, webhooks, writes

Object = dict[str, Any]
HOOK = {
    "name": "a.example.com",
    "clientConfig": {"url": "https://127.0.0.1:1/x"},
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
    "failurePolicy": "Ignore",
    "rules": [
        {
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "operations": ["CREATE"],
            "resources": ["configmaps"],
        }
    ],
}
HOOKS = "validatingwebhookconfigurations"


def prepared(world: World, method: str = "POST", plural: str = "configmaps") -> Any:
    chain = admissionchain.Chain(world.cluster)
    target = world.target(plural)
    chain.prepare(target, auth.User("me"), method, {})
    return chain, target


async def test_a_write_of_one_try_is_that_of_the_next(world: World) -> None:
    world.create(HOOKS, {"metadata": {"name": "h"}, "webhooks": [HOOK]})
    chain, target = prepared(world)
    tries: list[Object] = []

    def write(body: Object) -> Any:
        tries.append(body)
        return writes.create(world.cluster, target, body, writes.Options())

    made = await chain.carry_out(target, write, {"metadata": {"generateName": "m-"}})
    await chain.close()
    assert len(tries) == 2, "the first try asks, the second is done"
    assert tries[0]["metadata"]["uid"] == tries[1]["metadata"]["uid"] == made.uid
    assert len(world.cluster.collection(target.resource).items) == 1


async def test_what_no_webhook_is_about_is_written_at_once(world: World) -> None:
    world.create(HOOKS, {"metadata": {"name": "h"}, "webhooks": [HOOK]})
    for method, plural in (("GET", "configmaps"), ("POST", "secrets"), ("POST", HOOKS)):
        _, target = prepared(world, method, plural)
        assert target.admission == ()


async def test_a_webhook_that_cannot_be_asked_refuses(world: World) -> None:
    strict = {**HOOK, "failurePolicy": "Fail"}
    world.create(HOOKS, {"metadata": {"name": "h"}, "webhooks": [strict]})
    chain, target = prepared(world)

    def write(body: Object) -> Any:
        return writes.create(world.cluster, target, body, writes.Options())

    with pytest.raises(status.ApiError, match=r'failed calling webhook "a\.example\.com"'):
        await chain.carry_out(target, write, {"metadata": {"name": "m"}})
    await chain.close()
    assert world.get("configmaps", "m") is None


async def test_a_write_does_not_wait_by_itself(world: World) -> None:
    world.create(HOOKS, {"metadata": {"name": "h"}, "webhooks": [HOOK]})
    _, target = prepared(world)
    with pytest.raises(webhooks.Unanswered):
        writes.create(world.cluster, target, {"metadata": {"name": "m"}}, writes.Options())


async def test_a_migration_is_refused_where_there_are_no_instances_at_all(world: World) -> None:
    """Nor is the kind of instances there, as after its definition was deleted."""
    plural = "virtualmachineinstancemigrations"
    defined = crd()
    defined["metadata"]["name"] = f"{plural}.kubevirt.io"
    defined["spec"] |= {"group": "kubevirt.io", "names": {"plural": plural, "kind": "Migration"}}
    world.create("customresourcedefinitions", defined)
    await world.settle()
    _, target = prepared(world, plural=plural)
    body = {"metadata": {"name": "x"}, "spec": {"vmiName": "m"}}
    with pytest.raises(status.ApiError, match='the VMI "default/m" does not exist'):
        writes.create(world.cluster, target, body, writes.Options())


def test_options_are_those_of_the_query() -> None:
    asked = {"fieldManager": "me", "fieldValidation": "Strict", "dryRun": "All", "pretty": "1"}
    found = {"apiVersion": "meta.k8s.io/v1", "dryRun": ["All"]}
    assert admissionchain.options("DELETE", asked) == {**found, "kind": "DeleteOptions"}
    named = {"fieldManager": "me", "fieldValidation": "Strict"}
    assert admissionchain.options("UPDATE", asked) == {**found, **named, "kind": "UpdateOptions"}
