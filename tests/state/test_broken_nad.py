"""A NAD that is broken by an edit: its pods keep what they have, new ones wait."""

from __future__ import annotations

from tests.support import cluster_world as world
from tests.support.cluster_world import address, allocations, manage, managed, messages, settled
from tests.support.memory_api import MemoryApi
from weft import names
from weft.kube.resources import NADS, PODS

BLUE = "default/blue"
BROKEN = {"spec": world.nad("blue", mtu=5)["spec"]}
GOOD = {"spec": world.nad("blue")["spec"]}


def notes(api: MemoryApi, key: str = BLUE) -> dict[str, str]:
    found: dict[str, str] = api.of(NADS, key)["metadata"].get("annotations") or {}
    return found


def used_world() -> MemoryApi:
    api = MemoryApi()
    api.put(NADS, world.nad("blue"))
    api.put(PODS, world.pod("one"))
    return api


async def test_what_was_accepted_stays_noted_while_pods_use_it() -> None:
    api = used_world()
    async with managed(api) as manager:
        await settled(api, manager)
        before = notes(api)
        assert before[names.ACCEPTED_CONFIG] == GOOD["spec"]["config"]
        api.change(NADS, BLUE, BROKEN)
        api.put(PODS, world.pod("two"))
        await settled(api, manager)
        assert notes(api) == before
        (message,) = messages(api, "blue")
        assert message == (
            "InvalidConfig: Failed to parse network config: NetworkAttachmentDefinition "
            "default/blue: spec.config.mtu 5: must be at least 576 (raise it, or leave mtu out "
            "for the default)"
        )
        (told,) = messages(api, "two")
        assert told == (
            "ErrorAllocatingPod: NetworkAttachmentDefinition default/blue: is invalid: "
            "spec.config.mtu 5: must be at least 576 (raise it, or leave mtu out for the default) "
            "(the pod goes on when it is corrected)"
        )
        assert not messages(api, "one")
        api.change(NADS, BLUE, GOOD)
        await settled(api, manager)
        assert address(api, "two") == "10.1.0.2/24"


async def test_a_restart_keeps_what_its_pods_hold() -> None:
    api = used_world()
    api.put(NADS, world.nad("also", "blue"))
    await manage(api)
    given = allocations(api, "one")
    api.change(NADS, BLUE, BROKEN)
    await manage(api)
    asked = [{"name": "also", "ips": ["10.1.0.1"]}]
    api.put(PODS, world.pod("thief", asked))
    api.put(PODS, world.pod("next", "also"))
    await manage(api)
    assert "held by Pod default/one" in messages(api, "thief")[0]
    assert address(api, "next", "default/also") == "10.1.0.2/24"
    assert allocations(api, "one") == given


async def test_a_restart_keeps_the_network_of_the_only_nad() -> None:
    api = used_world()
    await manage(api)
    before = notes(api)
    api.change(NADS, BLUE, BROKEN)
    api.put(NADS, world.nad("red"))
    await manage(api)
    assert notes(api) == before
    assert notes(api, "default/red")[names.NETWORK_ID] == "2"
    api.change(NADS, BLUE, GOOD)
    api.put(PODS, world.pod("two"))
    await manage(api)
    assert notes(api) == before
    assert address(api, "two") == "10.1.0.2/24"


async def test_the_notes_go_with_the_last_pod() -> None:
    api = used_world()
    async with managed(api) as manager:
        await settled(api, manager)
        api.change(NADS, BLUE, BROKEN)
        await settled(api, manager)
        api.remove(PODS, "default/one")
        await settled(api, manager)
        assert not notes(api)
        api.put(NADS, world.nad("red"))
        await settled(api, manager)
        assert notes(api, "default/red")[names.NETWORK_ID] == "2"  # ids are given in turn


async def test_one_that_nobody_used_is_forgotten_at_the_next_start() -> None:
    api = used_world()
    await manage(api)
    api.remove(PODS, "default/one")
    api.change(NADS, BLUE, BROKEN)
    await manage(api)
    assert not notes(api)


async def test_who_disagrees_after_an_edit_keeps_its_pods() -> None:
    api = used_world()
    other = world.nad("other", "blue")
    other["metadata"]["creationTimestamp"] = "2026-01-02T00:00:00Z"
    api.put(NADS, other)
    api.put(PODS, world.pod("two", "other"))
    async with managed(api) as manager:
        await settled(api, manager)
        before = notes(api, "default/other")
        api.change(NADS, "default/other", {"spec": world.nad("other", "blue", mtu=1300)["spec"]})
        await settled(api, manager)
        assert notes(api, "default/other") == before
        (message,) = messages(api, "other")
        assert message.startswith(
            "InvalidConfig: NetworkAttachmentDefinition default/other declares"
        )


async def test_what_is_hardly_meant_is_reported_and_served() -> None:
    api = MemoryApi()
    api.put(NADS, world.nad("blue", mut=1300))
    api.put(NADS, world.nad("red", type="ovn-k8s-cni-overlai"))
    api.put(PODS, world.pod("one"))
    await manage(api)
    assert messages(api, "blue") == [
        "IgnoredKeys: NetworkAttachmentDefinition default/blue: spec.config.mut is ignored; did "
        "you mean mtu?"
    ]
    assert "did you mean ovn-k8s-cni-overlay?" in messages(api, "red")[0]
    assert address(api, "one")
