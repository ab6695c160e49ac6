"""The API server's inside in memory, for all tests of its parts."""

from __future__ import annotations

import pytest

from lab.tests.support.memory_cluster import World, crd


@pytest.fixture
async def world() -> World:
    return await World.begin()


@pytest.fixture
async def widgets(world: World) -> World:
    """The widget w, of a kind that lets everything through."""
    world.create(
        "customresourcedefinitions",
        crd({"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
    )
    await world.settle()
    world.create("widgets", {"metadata": {"name": "w"}, "spec": {"o": {"a": "x"}}})
    return world
