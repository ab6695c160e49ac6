"""An edit of a network that pods use: it reaches them, or it waits and they keep what they had."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support import cluster_world as world
from tests.support.cluster_world import address, allocations, manage, managed, messages, settled
from tests.support.memory_api import MemoryApi
from weft import names
from weft.control.zone import nads
from weft.kube.resources import NADS, PODS

BLUE = "default/blue"


def edited(**config: Any) -> dict[str, Any]:
    return {"spec": world.nad("blue", **config)["spec"]}


def accepted(api: MemoryApi, key: str = BLUE) -> dict[str, Any]:
    """What agents go by."""
    notes = api.of(NADS, key)["metadata"]["annotations"]
    found: dict[str, Any] = json.loads(notes[names.ACCEPTED_CONFIG])
    return found


def waiting(api: MemoryApi, name: str = "blue") -> list[str]:
    return [each for each in messages(api, name) if each.startswith("EditWaits")]


def used() -> MemoryApi:
    api = MemoryApi()
    api.put(NADS, world.nad("blue", mtu=1300))
    api.put(PODS, world.pod("one"))
    return api


@pytest.mark.parametrize("restart", [False, True], ids=["", "restarted"])
@pytest.mark.parametrize(
    "edit",
    [
        {"subnets": "10.2.0.0/24"},
        {"mtu": 1200},
        {"mtu": 1300, "dhcp": {"enabled": False}},
        {"mtu": 1300, "network": "red"},
        {"mtu": 1300, "subnets": None},
    ],
)
async def test_an_edit_that_pods_cannot_follow_waits_for_their_end(
    edit: dict[str, Any], restart: bool
) -> None:
    api = used()
    await manage(api)
    given, before = allocations(api, "one"), accepted(api)
    seen = nads.declared_network(nads.read(api.of(NADS, BLUE), default_mtu=1400))
    async with managed(api) as manager:
        await settled(api, manager)
        api.change(NADS, BLUE, edited(**edit))
        if not restart:
            await settled(api, manager)
    async with managed(api) as manager:
        await settled(api, manager)
        api.put(PODS, world.pod("two"))
        await settled(api, manager)
        assert accepted(api) == before
        now = nads.declared_network(nads.read(api.of(NADS, BLUE), default_mtu=1400))
        assert seen is not None
        assert now is not None
        assert now.network == seen.network  # so no agent changes a row
        assert allocations(api, "one") == given
        assert address(api, "two") == "10.1.0.2/24"  # with whom it can talk
        message = waiting(api)[-1]
        assert "Pod default/one" in message
        assert "(pods run with " in message
        api.remove(PODS, "default/one")
        await settled(api, manager)
        assert accepted(api) == before
        assert "Pod default/two" in waiting(api)[-1]
        api.remove(PODS, "default/two")
        await settled(api, manager)
        assert accepted(api) == json.loads(edited(**edit)["spec"]["config"])


async def test_an_edit_that_is_taken_back_waits_no_more() -> None:
    api = used()
    async with managed(api) as manager:
        await settled(api, manager)
        api.change(NADS, BLUE, edited(mtu=1200))
        await settled(api, manager)
        assert len(waiting(api)) == 1
        api.change(NADS, BLUE, edited(mtu=1300))
        api.remove(PODS, "default/one")
        await settled(api, manager)
        assert len(waiting(api)) == 1
        assert accepted(api)["mtu"] == 1300


@pytest.mark.parametrize(
    "edit",
    [
        {"dhcp": {"dns": ["10.1.0.9"], "leaseSeconds": 600}},
        {"reservedSubnets": "10.1.0.8/29"},
        {"excludeSubnets": "10.1.0.128/25"},
        {"allowPersistentIPs": True},
        {"allowedNamespaces": ["tb"]},
    ],
)
async def test_an_edit_that_pods_can_follow_counts_at_once(edit: dict[str, Any]) -> None:
    api = used()
    async with managed(api) as manager:
        await settled(api, manager)
        given = allocations(api, "one")
        api.change(NADS, BLUE, edited(mtu=1300, **edit))
        await settled(api, manager)
        assert accepted(api) == json.loads(edited(mtu=1300, **edit)["spec"]["config"])
        assert not messages(api, "blue")
        assert allocations(api, "one") == given


async def test_who_has_an_address_that_is_excluded_now_is_reported_and_keeps_it() -> None:
    api = used()
    async with managed(api) as manager:
        await settled(api, manager)
        given = allocations(api, "one")
        api.change(NADS, BLUE, edited(mtu=1300, excludeSubnets="10.1.0.0/29"))
        api.put(PODS, world.pod("two"))
        await settled(api, manager)
        (message,) = messages(api, "blue")
        assert message.startswith("AddressesExcluded: NetworkAttachmentDefinition default/blue: ")
        assert "Pod default/one" in message
        assert allocations(api, "one") == given
        assert address(api, "two") == "10.1.0.8/24"


async def test_an_edit_of_all_nads_waits_and_counts_together() -> None:
    api = used()
    also = world.nad("also", "blue", mtu=1300)
    api.put(NADS, also)
    async with managed(api) as manager:
        await settled(api, manager)
        api.change(NADS, BLUE, edited(mtu=1200))
        await settled(api, manager)
        changed = world.nad("also", "blue", mtu=1200)["spec"]
        api.change(NADS, "default/also", {"spec": changed})
        await settled(api, manager)
        assert accepted(api)["mtu"] == accepted(api, "default/also")["mtu"] == 1300
        assert waiting(api)
        assert waiting(api, "also")
        api.remove(PODS, "default/one")
        await settled(api, manager)
        assert accepted(api)["mtu"] == accepted(api, "default/also")["mtu"] == 1200


async def test_replaced_with_other_subnets_and_without_notes_its_pods_keep_theirs() -> None:
    """As `kubectl replace` does: the notes and the finalizer go together with the edit."""
    api = used()
    async with managed(api) as manager:
        await settled(api, manager)
        before = accepted(api)
        api.put(NADS, world.nad("blue", subnets="10.2.0.0/24"))
        await settled(api, manager)
        assert accepted(api) == before
        assert waiting(api)
        assert api.of(NADS, BLUE)["metadata"]["finalizers"] == [names.NETWORK_IN_USE]


async def test_what_a_pod_was_given_after_an_edit_is_never_of_before() -> None:
    """The pod comes while the note of the edit is on its way."""
    api = MemoryApi()
    api.put(NADS, world.nad("blue"))
    async with managed(api) as manager:
        await settled(api, manager)
        api.change(NADS, BLUE, edited(subnets="10.2.0.0/24"))
        api.put(PODS, world.pod("one"))
        await settled(api, manager)
        assert address(api, "one") == "10.2.0.1/24"
        assert accepted(api)["subnets"] == "10.2.0.0/24"
        assert not waiting(api)
