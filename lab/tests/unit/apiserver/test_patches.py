"""A patch of an object as a whole: refused in full, or done."""

from __future__ import annotations

from typing import Any

import pytest

from lab.tests.support.memory_cluster import World, pod
from weft_lab.apiserver import (
    patches,
    status,
)


@pytest.mark.parametrize("media", [patches.MERGE, patches.STRATEGIC, patches.JSON])
async def test_a_strict_patch_is_refused_as_a_whole(world: World, media: str) -> None:
    world.create("pods", pod("web"))
    spec = {"restartPolcy": "Never"}
    body: Any = {"spec": spec}
    if media == patches.JSON:
        body = [{"op": "add", "path": "/spec/restartPolcy", "value": "Never"}]
    with pytest.raises(status.ApiError) as caught:
        world.patch("pods", "web", media, body, validation="Strict")
    assert caught.value.code == 422
    assert "is invalid: patch: Invalid value: " in str(caught.value)
    assert 'strict decoding error: unknown field "spec.restartPolcy"' in str(caught.value)
    assert "restartPolcy" not in world.patch("pods", "web", media, body)["spec"]


@pytest.mark.parametrize(
    "patch",
    [
        {"$retainKeys": 5},
        {"$setElementOrder/finalizers": "x"},
        {"$deleteFromPrimitiveList/finalizers": {}},
        {"finalizers": ["a"], "$setElementOrder/finalizers": [{"a": []}]},
    ],
)
async def test_directives_of_another_type_are_no_errors_of_the_server(
    world: World, patch: dict[str, Any]
) -> None:
    world.create("pods", pod("web"))
    refusals = []
    try:
        world.patch("pods", "web", patches.STRATEGIC, {"metadata": patch})
    except status.ApiError as error:
        refusals.append(error.code)
    assert refusals in ([], [400], [422])


async def refused(world: World, media: str, body: Any, message: str, code: int = 422) -> None:
    with pytest.raises(status.ApiError) as caught:
        world.patch("pods", "web", media, body)
    assert message in str(caught.value)
    assert caught.value.code == code


async def test_only_the_server_writes_times_of_deletion(world: World) -> None:
    world.create("pods", pod("web"))
    patch = {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}
    await refused(world, patches.MERGE, patch, "metadata.deletionTimestamp: Invalid value")
    found = world.get("pods", "web")
    assert found is not None
    assert "deletionTimestamp" not in found["metadata"]


async def test_a_patch_leaves_an_object_of_its_type_and_name(world: World) -> None:
    world.create("pods", pod("web"))
    await refused(world, patches.MERGE, {"kind": "Other"}, 'no kind "Other" is registered')
    await refused(world, patches.MERGE, {"metadata": None}, "name must be provided", 400)


def applied(data: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data}


@pytest.mark.parametrize("reset", [[], [{}]])
async def test_managed_fields_can_be_forgotten(world: World, reset: list[Any]) -> None:
    found = world.patch("configmaps", "c", patches.APPLY, applied({"a": "1"}))
    assert found["metadata"]["managedFields"]
    patch = {"metadata": {"managedFields": reset}}
    assert "managedFields" not in world.patch("configmaps", "c", patches.MERGE, patch)["metadata"]


async def test_an_apply_names_what_the_type_cannot_hold(world: World) -> None:
    with pytest.raises(status.ApiError, match="failed to create typed patch object"):
        world.patch("configmaps", "c", patches.APPLY, applied({"a": 1}))
