"""A NAD that is deleted under its pods stays until they are gone, whenever anybody dies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from tests.support import cluster_world as world
from tests.support.cluster_world import address, allocations, manage, managed, messages, settled
from tests.support.memory_api import MemoryApi
from tests.support.patience import PATIENCE
from weft import names
from weft.kube.resources import NADS, PODS, Resource

BLUE = "default/blue"


def finalizers(api: MemoryApi, key: str = BLUE) -> list[str]:
    return list(api.of(NADS, key)["metadata"].get("finalizers") or ())


def is_there(api: MemoryApi, key: str = BLUE) -> bool:
    return key in api.all(NADS)


def patches(api: MemoryApi, key: str = BLUE) -> int:
    return api.writes.count(("patch", NADS.kind, key))


def used_world(*pods: str) -> MemoryApi:
    api = MemoryApi()
    api.put(NADS, world.nad("blue"))
    for name in pods:
        api.put(PODS, world.pod(name))
    return api


async def test_a_nad_is_held_from_its_first_pod_to_its_last() -> None:
    api = used_world()
    async with managed(api) as manager:
        await settled(api, manager)
        assert finalizers(api) == []
        before = patches(api)
        for name in ("one", "two", "three"):
            api.put(PODS, world.pod(name))
        await settled(api, manager)
        assert finalizers(api) == [names.NETWORK_IN_USE]
        for name in ("one", "two"):
            api.remove(PODS, f"default/{name}")
        await settled(api, manager)
        assert finalizers(api) == [names.NETWORK_IN_USE]
        api.change(PODS, "default/three", {"status": {"phase": "Succeeded"}})
        await settled(api, manager)
        assert finalizers(api) == []
        assert patches(api) - before == 2


async def test_no_pod_is_annotated_before_its_nad_is_held() -> None:
    api = used_world("one", "two")
    await manage(api)
    held = False
    for _, kind, _, obj in api.history:
        held |= kind == NADS.kind and bool(obj["metadata"].get("finalizers"))
        annotations = obj["metadata"].get("annotations", {})
        assert held or names.POD_NETWORKS not in annotations
    assert address(api, "one")
    assert address(api, "two")


async def test_other_finalizers_are_left_where_they_are() -> None:
    api = used_world("one")
    api.change(NADS, BLUE, {"metadata": {"finalizers": ["example.com/mine"]}})
    await manage(api)
    assert finalizers(api) == ["example.com/mine", names.NETWORK_IN_USE]
    api.remove(PODS, "default/one")
    await manage(api)
    assert finalizers(api) == ["example.com/mine"]


async def test_a_nad_without_pods_goes_at_once() -> None:
    api = used_world()
    await manage(api)
    api.delete_kept(NADS, BLUE)
    assert not is_there(api)


async def test_deleted_under_its_pods_it_serves_them_and_takes_no_new_ones() -> None:
    api = used_world("one", "two")
    async with managed(api) as manager:
        await settled(api, manager)
        given = allocations(api, "one")
        api.delete_kept(NADS, BLUE)
        await settled(api, manager)
        (message,) = messages(api, "blue")
        assert message.startswith("NetworkInUse: NetworkAttachmentDefinition default/blue: ")
        assert "Pod default/one" in message
        assert "Pod default/two" in message
        api.put(PODS, world.pod("late"))
        api.put(NADS, world.nad("red"))
        await settled(api, manager)
        (told,) = messages(api, "late")
        assert told.startswith("ErrorAllocatingPod: NetworkAttachmentDefinition default/blue: ")
        assert "is being deleted" in told
        assert not allocations(api, "late")
        assert allocations(api, "one") == given
        notes = api.of(NADS, BLUE)["metadata"]["annotations"]
        assert notes[names.NETWORK_NAME] == "blue"
        assert api.of(NADS, "default/red")["metadata"]["annotations"][names.NETWORK_ID] == "2"
        api.remove(PODS, "default/one")
        await settled(api, manager)
        assert is_there(api)
        api.remove(PODS, "default/two")
        await settled(api, manager)
        assert not is_there(api)
        api.put(NADS, world.nad("blue"))  # made again: who waited goes on
        await settled(api, manager)
        assert address(api, "late")


STEPS: list[Callable[[MemoryApi], object]] = [
    lambda api: api.put(NADS, world.nad("blue")),
    lambda api: api.put(PODS, world.pod("one")),
    lambda api: api.put(PODS, world.pod("two")),
    lambda api: api.delete_kept(NADS, BLUE),
    lambda api: api.put(PODS, world.pod("late")),
    lambda api: api.put(NADS, world.nad("red", subnets="10.2.0.0/24")),
    lambda api: api.put(PODS, world.pod("other", "red")),
    lambda api: api.remove(PODS, "default/one"),
]


def check_half_way(api: MemoryApi) -> None:
    assert is_there(api)
    assert finalizers(api) == [names.NETWORK_IN_USE]
    assert address(api, "two") == "10.1.0.2/24"
    assert not allocations(api, "late")
    assert address(api, "other", "default/red") == "10.2.0.1/24"
    assert api.of(NADS, BLUE)["metadata"]["annotations"][names.NETWORK_ID] == "1"
    assert api.of(NADS, "default/red")["metadata"]["annotations"][names.NETWORK_ID] == "2"


@pytest.mark.parametrize("restart", [True, False])
async def test_at_each_step_whether_the_manager_lives_on_or_starts_anew(restart: bool) -> None:
    api = MemoryApi()
    if restart:
        for step in STEPS:
            await manage(api)
            step(api)
        await manage(api)
        check_half_way(api)
        api.remove(PODS, "default/two")
        await manage(api)
    else:
        async with managed(api) as manager:
            for step in STEPS:
                step(api)
                await settled(api, manager)
            check_half_way(api)
            api.remove(PODS, "default/two")
            await settled(api, manager)
    assert not is_there(api)


async def test_the_last_pod_goes_while_no_manager_runs() -> None:
    api = used_world("one")
    await manage(api)
    api.delete_kept(NADS, BLUE)
    api.remove(PODS, "default/one")
    assert is_there(api)
    await manage(api)
    assert not is_there(api)


@pytest.mark.parametrize("fate", ["before", "after"])
@pytest.mark.parametrize("victim", range(6))
async def test_killed_at_each_write_whether_it_arrived_or_not(fate: str, victim: int) -> None:
    """Notes, a hold, a pod's annotation, the hold off and on again: death at each."""
    api = used_world("one")
    dead = api.die_at(victim, fate)
    async with managed(api) as manager:
        for step in (
            lambda: api.remove(PODS, "default/one"),
            lambda: api.put(PODS, world.pod("two")),
            lambda: None,
        ):
            waiting = asyncio.create_task(settled(api, manager))
            dying = asyncio.create_task(dead.wait())
            await asyncio.wait({waiting, dying}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            dying.cancel()
            step()
    api.spoil = lambda verb, kind, key: ""
    await manage(api)
    assert address(api, "two")
    assert finalizers(api) == [names.NETWORK_IN_USE]
    api.delete_kept(NADS, BLUE)
    await manage(api)
    assert is_there(api)
    api.remove(PODS, "default/two")
    await manage(api)
    assert not is_there(api)


@pytest.mark.parametrize("fate", ["", "before", "after"])
async def test_a_pod_that_comes_as_the_last_one_goes_finds_the_nad_held(fate: str) -> None:
    api = used_world("one")
    async with managed(api) as manager:
        await settled(api, manager)

        def spoil(verb: str, kind: Resource, key: str) -> str:
            """A pod comes just when the hold is taken off, and perhaps the call is lost."""
            if kind is not NADS:
                return ""
            api.spoil = lambda verb, kind, key: ""
            api.put(PODS, world.pod("two"))
            return fate

        api.spoil = spoil
        since = api.version
        api.remove(PODS, "default/one")
        await settled(api, manager)
        if fate:  # a lost call is made again a moment later
            async with asyncio.timeout(PATIENCE):
                async for _, pod in api.watch(PODS, str(since)):
                    if names.POD_NETWORKS in pod["metadata"]["annotations"]:
                        break
        assert finalizers(api) == [names.NETWORK_IN_USE]
        assert address(api, "two")
        held = True
        for version, kind, _, obj in api.history:
            if kind == NADS.kind:
                held = bool(obj["metadata"].get("finalizers"))
            annotations = obj["metadata"].get("annotations", {})
            if version > since and names.POD_NETWORKS in annotations and kind == PODS.kind:
                assert held or obj["metadata"]["name"] == "one"


async def test_what_another_writer_annotated_holds_the_nad_too() -> None:
    api = used_world()
    one = world.pod("one")
    entry = {"mac_address": "0a:58:0a:01:00:05", "ip_addresses": ["10.1.0.5/24"], "tunnel_id": 12}
    one["metadata"]["annotations"][names.POD_NETWORKS] = json.dumps({BLUE: entry})
    api.put(PODS, one)
    await manage(api)
    assert finalizers(api) == [names.NETWORK_IN_USE]


async def test_a_nad_that_became_another_plugins_can_go() -> None:
    api = used_world("one")
    await manage(api)
    api.change(NADS, BLUE, {"spec": {"config": '{"type": "macvlan", "name": "blue"}'}})
    async with managed(api) as manager:
        await settled(api, manager)
        api.remove(PODS, "default/one")
        await settled(api, manager)
        assert finalizers(api) == []


async def test_of_one_networks_nads_each_is_held_by_its_own_pods() -> None:
    api = used_world("one")
    api.put(NADS, world.nad("blue", namespace="other"))
    await manage(api)
    assert finalizers(api) == [names.NETWORK_IN_USE]
    assert finalizers(api, "other/blue") == []


async def test_when_all_that_were_named_are_gone_the_next_are() -> None:
    many = [f"p{number:02}" for number in range(12)]
    api = used_world(*many)
    async with managed(api) as manager:
        await settled(api, manager)
        api.delete_kept(NADS, BLUE)
        await settled(api, manager)
        (message,) = messages(api, "blue")
        assert "and 2 more" in message
        named = [name for name in many if f"default/{name}" in message]
        assert len(named) == 10
        for name in named[:-1]:
            api.remove(PODS, f"default/{name}")
        await settled(api, manager)
        assert len(messages(api, "blue")) == 1
        api.remove(PODS, f"default/{named[-1]}")
        await settled(api, manager)
        (_, again) = messages(api, "blue")
        assert all(f"default/{name}" in again for name in set(many) - set(named))
