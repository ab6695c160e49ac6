"""Events go when their time is over, and only they, and only then."""

import time
from typing import Any

import pytest

from lab.tests.support.memory_cluster import World, config
from weft_lab.apiserver import expiry


def event(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "involvedObject": {"namespace": "default"}}


async def test_an_event_goes_an_hour_after_its_last_word(world: World) -> None:
    world.create("events", event("a"))
    world.create("configmaps", config())
    await world.settle()
    start = time.monotonic()
    swept = expiry.Expiry(world.cluster, start - 10)
    assert swept.sweep(start) == pytest.approx(expiry.LIFETIME - 10)
    world.cluster.listeners.append(swept.listen)
    world.create("events", event("b"))
    await world.settle()
    assert swept.sweep(start + expiry.LIFETIME - 5) > 0
    assert world.get("events", "a") is None
    assert world.get("events", "b")
    swept.sweep(time.monotonic() + expiry.LIFETIME)
    await world.settle()
    assert world.get("events", "b") is None
    assert world.get("configmaps", "c")
    assert swept.sweep(start) == expiry.LIFETIME


async def test_what_is_reported_again_stays(world: World) -> None:
    swept = expiry.Expiry(world.cluster, 0.0)
    world.cluster.listeners.append(swept.listen)
    for name in ("a", "b"):
        world.create("events", event(name))
    await world.settle()
    between = time.monotonic()
    world.patch("events", "a", "application/merge-patch+json", {"count": 2})
    await world.settle()
    swept.sweep(between + expiry.LIFETIME)
    await world.settle()
    assert world.get("events", "a")
    assert world.get("events", "b") is None


async def test_many_go_in_parts(world: World) -> None:
    for number in range(250):
        world.create("events", event(f"e{number}"))
    await world.settle()
    swept = expiry.Expiry(world.cluster, 0.0)
    sweeps = 1
    while swept.sweep(expiry.LIFETIME) == 0.0:
        sweeps += 1
    await world.settle()
    assert sweeps == 3
    assert not world.cluster.store.collection(expiry.EVENTS).items
