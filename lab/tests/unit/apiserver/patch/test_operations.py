"""JSON Patch: how many operations, and how much they may copy."""

from __future__ import annotations

from typing import Any

import pytest

from lab.tests.support.memory_cluster import World
from weft.decode.budget import Exceeded
from weft_lab.apiserver import (
    patches,
    request,
    status,
)
from weft_lab.apiserver.patch import operations


def refused(world: World, media: str, body: Any, code: int, message: str) -> None:
    before = world.get("widgets", "w")
    with pytest.raises(status.ApiError, match=message) as caught:
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


@pytest.mark.parametrize(
    ("operation", "wanted"),
    [
        ({"op": "add", "path": "/l/-", "value": 3}, {"l": [1, 2, 3], "a": "x"}),
        ({"op": "add", "path": "/l/0", "value": 0}, {"l": [0, 1, 2], "a": "x"}),
        ({"op": "add", "path": "/l/-1", "value": 3}, {"l": [1, 2, 3], "a": "x"}),
        ({"op": "remove", "path": "/l/-1"}, {"l": [1], "a": "x"}),
        ({"op": "replace", "path": "/l/1", "value": 5}, {"l": [1, 5], "a": "x"}),
        ({"op": "replace", "path": "/new", "value": 5}, {"l": [1, 2], "a": "x", "new": 5}),
        ({"op": "move", "from": "/a", "path": "/b"}, {"l": [1, 2], "b": "x"}),
        ({"op": "copy", "from": "/l", "path": "/m"}, {"l": [1, 2], "a": "x", "m": [1, 2]}),
        ({"op": "test", "path": "/absent", "value": None}, {"l": [1, 2], "a": "x"}),
        ({"op": "add", "path": "/a~1b~0c", "value": 1}, {"l": [1, 2], "a": "x", "a/b~c": 1}),
    ],
)
def test_operations(operation: dict[str, Any], wanted: Any) -> None:
    assert operations.apply({"l": [1, 2], "a": "x"}, [operation], request.BUDGET) == wanted


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        ({"op": "add", "path": "/no/b", "value": 1}, 'operation 0 ("add" "/no/b"): the path'),
        ({"op": "remove", "path": "/no"}, "the member is not there"),
        ({"op": "remove", "path": "/l/7"}, "the list has no place 7"),
        ({"op": "add", "path": "/l/x", "value": 1}, '"x" is no index of a list'),
        ({"op": "add", "path": "/a/b", "value": 1}, "the path is not there"),
        ({"op": "test", "path": "/l/0", "value": True}, "the value is another one"),
        ({"op": "add", "path": "", "value": {}}, "the whole object"),
        ({"op": "odd", "path": "/a"}, "the operation is not known"),
        ({"op": "add"}, "it needs a path"),
        ({"op": "move", "path": "/a"}, "it needs a from"),
        ({"op": "add", "path": "a", "value": 1}, "does not begin with a slash"),
    ],
)
def test_operations_that_do_not_fit_are_refused(operation: dict[str, Any], message: str) -> None:
    with pytest.raises(operations.Refused) as caught:
        operations.apply({"l": [1, 2], "a": "x"}, [operation], request.BUDGET)
    assert message in str(caught.value)
