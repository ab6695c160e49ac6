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
