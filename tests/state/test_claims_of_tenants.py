"""What a claim's author may edit, and what that takes from others: nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.state.test_claims import claim, condition, kept, reservation
from tests.support import cluster_world as world
from tests.support.cluster_world import address, allocations, managed, settled
from tests.support.manager_state import Manager, World
from tests.support.memory_api import MemoryApi
from weft import names
from weft.control.cluster.outcome import Ref
from weft.kube.resources import IPAMCLAIMS, NADS, PODS
from weft.model import ObjectKey

RED = [{"name": "red", "ipam-claim-reference": "vm.net1"}]
BLUE = [{"name": "blue", "ipam-claim-reference": "vm.net1"}]
CLAIM = "default/vm.net1"


def networks() -> MemoryApi:
    """Two networks of one subnet; of blue, the first address is its gateway's."""
    api = MemoryApi()
    api.put(NADS, world.nad("red", subnets="10.0.0.0/24", allowPersistentIPs=True))
    blue: dict[str, Any] = {"subnets": "10.0.0.0/24", "excludeSubnets": "10.0.0.1/32"}
    api.put(NADS, world.nad("blue", allowPersistentIPs=True, **blue))
    return api


def reserved(network: str, **requested: Any) -> dict[str, Any]:
    made = reservation(**requested)
    made["spec"]["network"] = network
    return made


def move(api: MemoryApi, how: str) -> None:
    """Makes the claim one of network blue."""
    if how == "recreated":
        api.remove(IPAMCLAIMS, CLAIM)
        api.put(IPAMCLAIMS, claim() | {"metadata": claim()["metadata"] | {"uid": "another"}})
    else:
        api.change(IPAMCLAIMS, CLAIM, {"spec": {"network": "blue"}})


@pytest.mark.parametrize("how", ["edited", "recreated"])
async def test_a_claim_in_use_gives_nothing_on_another_network(how: str) -> None:
    api = networks()
    api.put(IPAMCLAIMS, reserved("red", ips=["10.0.0.1"]))
    async with managed(api) as manager:
        api.put(PODS, world.pod("first", RED))
        await settled(api, manager)
        before = allocations(api, "first")
        assert address(api, "first", "default/red") == "10.0.0.1/24"
        move(api, how)
        await settled(api, manager)
        assert condition(api)[0] == "False"
        assert "pods use them on network red still" in condition(api)[2]
        api.put(PODS, world.pod("second", BLUE))
        await settled(api, manager)
        assert not allocations(api, "second")
        api.put(PODS, world.pod("rival", [{"name": "red", "ips": ["10.0.0.1"]}]))
        await settled(api, manager)
        assert not allocations(api, "rival"), "the first pod has it"
        assert allocations(api, "first") == before
        api.remove(PODS, "default/first")
        api.remove(PODS, "default/second")
        await settled(api, manager)
        assert address(api, "rival", "default/red") == "10.0.0.1/24"
        assert "still" not in condition(api)[2]
        api.put(PODS, world.pod("third", BLUE))
        await settled(api, manager)
        assert address(api, "third") == "10.0.0.2/24"
        assert kept(api) == ["10.0.0.2/24"]
        api.remove(PODS, "default/third")
        api.remove(IPAMCLAIMS, CLAIM)
        await settled(api, manager)
        api.put(NADS, world.nad("blue", subnets="10.0.0.0/24", allowPersistentIPs=True))
        await settled(api, manager)
        api.put(PODS, world.pod("last"))
        await settled(api, manager)
        assert address(api, "last") == "10.0.0.1/24"


async def test_a_claim_that_was_invalid_before_it_moved_is_not_held_up() -> None:
    api = networks()
    api.put(IPAMCLAIMS, reserved("red", ips=["10.0.0.9"]))
    async with managed(api) as manager:
        await settled(api, manager)
        for network in ("", "blue"):
            api.change(IPAMCLAIMS, CLAIM, {"spec": {"network": network}})
            await settled(api, manager)
        api.put(PODS, world.pod("free", [{"name": "red", "ips": ["10.0.0.9"]}]))
        await settled(api, manager)
        assert address(api, "free", "default/red") == "10.0.0.9/24"
        assert condition(api)[0] == "True", condition(api)


async def test_a_claim_that_moves_takes_no_address_along() -> None:
    api = networks()
    api.put(IPAMCLAIMS, {**claim(network="red")})
    async with managed(api) as manager:
        api.put(PODS, world.pod("first", RED))
        await settled(api, manager)
        assert kept(api) == ["10.0.0.1/24"]
        api.remove(PODS, "default/first")
        await settled(api, manager)
        move(api, "edited")
        await settled(api, manager)
        assert kept(api) == []
        assert "spec.network is another one now" in condition(api)[2]
        api.put(PODS, world.pod("free", [{"name": "red", "ips": ["10.0.0.1"]}]))
        await settled(api, manager)
        assert address(api, "free", "default/red") == "10.0.0.1/24"


async def test_a_claim_that_moves_while_no_manager_runs_takes_no_address_along() -> None:
    """It would be kept before the pod that has the address."""
    api = networks()
    made = reserved("red", ips=["10.0.0.7"])
    made["metadata"]["generation"] = 1
    api.put(IPAMCLAIMS, made)
    api.put(PODS, world.pod("victim", [{"name": "blue", "ips": ["10.0.0.7"]}]))
    async with managed(api) as manager:
        await settled(api, manager)
        assert kept(api) == ["10.0.0.7/24"]
    victim = allocations(api, "victim")
    edited = {"spec": {"network": "blue"}, "metadata": {"generation": 2}}
    api.change(IPAMCLAIMS, CLAIM, edited)
    async with managed(api) as manager:
        api.put(PODS, world.pod("thief", BLUE))
        await settled(api, manager)
        assert allocations(api, "victim") == victim
        assert address(api, "thief") != "10.0.0.7/24"
        assert kept(api) == [address(api, "thief")]
        assert "to have 10.0.0.7 instead" in condition(api)[2]


async def test_a_pod_keeps_its_address_over_a_restart_though_its_claim_moves() -> None:
    api = networks()
    api.put(IPAMCLAIMS, claim(network="red"))
    async with managed(api) as manager:
        api.put(PODS, world.pod("first", RED))
        await settled(api, manager)
    move(api, "edited")
    async with managed(api) as manager:
        api.put(PODS, world.pod("rival", [{"name": "red", "ips": ["10.0.0.1"]}]))
        await settled(api, manager)
        assert not allocations(api, "rival")


@pytest.mark.parametrize("holder", ["pod", "claim", "reservation"])
async def test_an_edited_mac_takes_nothing_from_others_at_a_restart(holder: str) -> None:
    api = networks()
    api.put(IPAMCLAIMS, reserved("blue"))  # by its name the first
    victim: dict[str, Any] = {"name": "blue"}
    if holder != "pod":
        victim["ipam-claim-reference"] = "z.net1"
        api.put(IPAMCLAIMS, reservation("z.net1") if holder == "reservation" else claim("z.net1"))
    async with managed(api) as manager:
        await settled(api, manager)
        api.put(PODS, world.pod("victim", [victim]))
        await settled(api, manager)
        before = allocations(api, "victim")["default/blue"]
        if holder == "claim":
            api.remove(PODS, "default/victim")
            await settled(api, manager)
    notes = {names.IP_RESERVATION: json.dumps({"mac": before["mac_address"]})}
    api.change(IPAMCLAIMS, CLAIM, {"metadata": {"annotations": notes}})
    ip = before["ip_addresses"][0].partition("/")[0]
    async with managed(api) as manager:
        api.put(PODS, world.pod("thief", [{"name": "blue", "ips": [ip]}]))
        await settled(api, manager)
        assert not allocations(api, "thief")
        assert "to have" in condition(api)[2]
        if holder == "claim":
            api.put(PODS, world.pod("victim", [victim]))
            await settled(api, manager)
        after = allocations(api, "victim")["default/blue"]
        assert after["ip_addresses"] == before["ip_addresses"]
        assert after["mac_address"] == before["mac_address"]


async def test_a_reserved_mac_does_not_go_to_who_edits_his_claim_before_a_restart() -> None:
    api, mac = networks(), "02:00:00:00:00:05"
    api.put(IPAMCLAIMS, reservation("z.net1", mac=mac))
    api.put(IPAMCLAIMS, reserved("blue"))
    async with managed(api) as manager:
        await settled(api, manager)
    notes = {names.IP_RESERVATION: json.dumps({"mac": mac})}
    api.change(IPAMCLAIMS, CLAIM, {"metadata": {"annotations": notes}})
    async with managed(api) as manager:
        api.put(PODS, world.pod("owner", [{"name": "blue", "ipam-claim-reference": "z.net1"}]))
        await settled(api, manager)
        assert allocations(api, "owner")["default/blue"]["mac_address"] == mac


@pytest.mark.parametrize(
    ("mac", "is_had"), [("0a:58:0a:00:00:63", False), ("0a:58:0a:00:00:07", True)]
)
async def test_the_mac_that_is_made_of_anothers_address_is_not_reserved(
    mac: str, is_had: bool
) -> None:
    api = networks()
    api.put(IPAMCLAIMS, reserved("blue", ips=["10.0.0.7"], mac=mac))
    async with managed(api) as manager:
        await settled(api, manager)
        assert (condition(api)[0] == "True") is is_had
        assert is_had or "is made of address 10.0.0.99" in condition(api)[2]


@pytest.mark.parametrize(
    ("requested", "is_woken"),
    [({"ips": ["10.0.0.50"]}, True), ({"ips": ["10.9.0.1"]}, False), ({"oops": 1}, False)],
    ids=["held", "outside", "misread"],
)
def test_what_becomes_free_wakes_only_the_claims_that_it_may_help(
    requested: dict[str, Any], is_woken: bool
) -> None:
    api = World()
    api.put(NADS, world.nad("blue", subnets="10.0.0.0/24", allowPersistentIPs=True))
    api.put(PODS, world.pod("holder", [{"name": "blue", "ips": ["10.0.0.50"]}]))
    api.put(PODS, world.pod("web"))
    manager = Manager(api)
    manager.settle()
    api.put(IPAMCLAIMS, reserved("blue", **requested))
    ref = Ref(IPAMCLAIMS, ObjectKey.parse(CLAIM))
    manager.notify(ref)
    manager.settle()
    assert condition(api)[0] == "False"
    gone = Ref(PODS, ObjectKey.parse("default/web"))
    api.remove(PODS, str(gone.key))
    manager.notify(gone)
    assert (ref in [each for each, _ in manager.cluster.take_due()]) is is_woken


async def test_a_reservation_that_its_network_refuses_is_had_when_that_is_edited() -> None:
    api = MemoryApi()
    api.put(NADS, world.nad("blue", subnets="10.0.0.0/24"))
    api.put(IPAMCLAIMS, reserved("blue"))
    async with managed(api) as manager:
        await settled(api, manager)
        assert "allowPersistentIPs" in condition(api)[2]
        api.put(NADS, world.nad("blue", subnets="10.0.0.0/24", allowPersistentIPs=True))
        await settled(api, manager)
        assert kept(api) == ["10.0.0.1/24"]
