"""JSON Patch: how many operations, and how much they may copy."""

from __future__ import annotations

from typing import Any

import pytest

from lab.tests.support.memory_cluster import World
from weft.decode.budget import Exceeded
from weft_lab.apiserver import (
    patches,
    status,
)
from weft_lab.apiserver.patch import operations


def refused(world: World, media: str, body: Any, code: int, said: str) -> None:
    before = world.get("widgets", "w")
    with pytest.raises(status.ApiError, match=said) as caught:
        world.patch("widgets", "w", media, body)
    assert caught.value.code == code
    assert world.get("widgets", "w") == before


async def test_copies_that_double_are_counted_before_they_are_made(widgets: World) -> None:
    double = [{"op": "copy", "from": "/spec/o", "path": f"/spec/o/c{n}"} for n in range(30)]
    refused(widgets, patches.JSON, double, 413, "the copy operations of the patch")
    assert widgets.patch("widgets", "w", patches.JSON, double[:3])["spec"]["o"]["c2"]["c1"]["c0"]


async def test_a_patch_has_so_many_operations(widgets: World) -> None:
    test = {"op": "test", "path": "/spec/o/a", "value": "x"}
    refused(
        widgets, patches.JSON, [test] * (operations.MOST + 1), 413, "allowed maximum operations"
    )


async def test_copies_that_nest_are_refused_at_a_depth(widgets: World) -> None:
    deep: list[Any] = [{"op": "add", "path": "/spec/o", "value": {}}]
    path = "/spec/o"
    for _ in range(9):
        deep.append({"op": "copy", "from": "/spec/o", "path": path + "/c"})
        path = path + path.removeprefix("/spec/o") + "/c"
    with pytest.raises(Exceeded, match="deep"):
        widgets.patch("widgets", "w", patches.JSON, deep)
