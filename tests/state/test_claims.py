"""Addresses that stay with a VM: claims and pods in, annotations and statuses out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support import cluster_world as world
from tests.support.cluster_world import address, allocations, manage, managed, messages, settled
from tests.support.memory_api import MemoryApi
from weft import names
from weft.api import ipamclaim
from weft.kube import errors
from weft.kube.resources import IPAMCLAIMS, NADS, PODS, Resource

REQUEST = [{"name": "blue", "ipam-claim-reference": "vm.net1"}]


def claim(name: str = "vm.net1", network: str = "blue") -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "default", "uid": f"claim-{name}"},
        "spec": {"network": network, "interface": "net1"},
    }


def kept(api: MemoryApi) -> list[str]:
    status = api.of(IPAMCLAIMS, "default/vm.net1").get("status", {})
    return list(status.get("ips", []))


def persistent(**config: Any) -> dict[str, Any]:
    return world.nad("blue", allowPersistentIPs=True, **config)


async def test_a_vm_keeps_its_address_and_mac_from_pod_to_pod() -> None:
    api = MemoryApi()
    api.put(NADS, persistent(subnets="10.1.0.0/29"))
    api.put(IPAMCLAIMS, claim())
    async with managed(api) as manager:
        api.put(PODS, world.pod("launcher-1", REQUEST))
        await settled(api, manager)
        given = allocations(api, "launcher-1")
        assert kept(api) == [address(api, "launcher-1")]
        api.remove(PODS, "default/launcher-1")
        for number in range(4):
            api.put(PODS, world.pod(f"other-{number}"))
        await settled(api, manager)
        others = {address(api, f"other-{number}") for number in range(4)}
        assert kept(api)[0] not in others
        api.put(PODS, world.pod("launcher-2", REQUEST))
        await settled(api, manager)
        assert allocations(api, "launcher-2") == given
        api.remove(PODS, "default/launcher-2")
        await settled(api, manager)
    async with managed(api) as manager:  # nothing but the claim remembers
        api.put(PODS, world.pod("other-5"))
        await settled(api, manager)
        api.put(PODS, world.pod("launcher-3", REQUEST))
        await settled(api, manager)
        assert [address(api, "launcher-3")] == kept(api)
        again, first = allocations(api, "launcher-3"), given
        assert again["default/blue"]["mac_address"] == first["default/blue"]["mac_address"]


@pytest.mark.parametrize("first", [IPAMCLAIMS, PODS], ids=["claim", "pod"])
async def test_an_address_is_free_when_both_its_claim_and_its_pod_are_gone(
    first: Resource,
) -> None:
    """Either of the two alone keeps it."""
    api = MemoryApi()
    keys = {IPAMCLAIMS: "default/vm.net1", PODS: "default/launcher"}
    api.put(NADS, persistent(subnets="10.1.0.0/30"))
    api.put(IPAMCLAIMS, claim())
    async with managed(api) as manager:
        for name, requested in [("launcher", REQUEST), ("one", "blue")]:
            api.put(PODS, world.pod(name, requested))
            await settled(api, manager)
        kept = address(api, "launcher")
        api.put(PODS, world.pod("two"))
        await settled(api, manager)
        assert not address(api, "two"), "the network is full"
        api.remove(first, keys.pop(first))
        await settled(api, manager)
        assert not address(api, "two"), f"it goes although only the {first.kind} is gone"
        ((second, key),) = keys.items()
        api.remove(second, key)
        await settled(api, manager)
        assert address(api, "two") == kept


async def test_a_pod_waits_for_its_claim() -> None:
    api = MemoryApi()
    api.put(NADS, persistent())
    api.put(PODS, world.pod("launcher", REQUEST))
    async with managed(api) as manager:
        await settled(api, manager)
        assert not allocations(api, "launcher")
        assert "IPAMClaim default/vm.net1" in messages(api, "launcher")[0]
        api.put(IPAMCLAIMS, claim())
        await settled(api, manager)
        assert kept(api) == [address(api, "launcher")]


async def test_a_claim_of_another_network_is_refused_by_name() -> None:
    api = MemoryApi()
    api.put(NADS, persistent())
    api.put(IPAMCLAIMS, claim(network="red"))
    api.put(PODS, world.pod("launcher", REQUEST))
    await manage(api)
    assert not allocations(api, "launcher")
    (message,) = messages(api, "launcher")
    assert 'spec.network "red"' in message
    assert "'blue'" in message


async def test_one_claim_does_not_serve_two_interfaces_of_a_pod() -> None:
    api = MemoryApi()
    api.put(NADS, persistent())
    api.put(IPAMCLAIMS, claim())
    api.put(PODS, world.pod("launcher", REQUEST * 2))
    await manage(api)
    assert not allocations(api, "launcher")
    assert "is used by another interface" in messages(api, "launcher")[0]


@pytest.mark.parametrize("persists", [True, False])
async def test_only_where_addresses_persist_a_claim_holds_one(persists: bool) -> None:
    api = MemoryApi()
    api.put(NADS, world.nad("blue", allowPersistentIPs=persists))
    api.put(IPAMCLAIMS, claim())
    api.put(PODS, world.pod("launcher", REQUEST))
    async with managed(api) as manager:
        await settled(api, manager)
        given = address(api, "launcher")
        assert given
        assert kept(api) == ([given] if persists else [])
        api.remove(PODS, "default/launcher")
        api.put(PODS, world.pod("rival", [{"name": "blue", "ips": [given]}]))
        await settled(api, manager)
        assert bool(allocations(api, "rival")) is not persists


def condition(api: MemoryApi, name: str = "vm.net1") -> tuple[str, str, str]:
    return ipamclaim.condition(api.of(IPAMCLAIMS, f"default/{name}"))


async def test_a_claim_says_that_the_subnet_is_exhausted_until_it_is_not() -> None:
    api = MemoryApi()
    api.put(NADS, persistent(subnets="10.1.0.0/30"))
    for name in ("one", "two"):
        api.put(PODS, world.pod(name))
    async with managed(api) as manager:
        await settled(api, manager)
        api.put(IPAMCLAIMS, claim())
        api.put(PODS, world.pod("launcher", REQUEST))
        await settled(api, manager)
        status, reason, message = condition(api)
        assert (status, reason) == ("False", "SubnetExhausted")
        assert "no address is free in subnet 10.1.0.0/30" in message
        assert not kept(api)
        api.remove(PODS, "default/one")
        await settled(api, manager)
        assert condition(api)[:2] == ("True", "SuccessfulAllocation")
        assert kept(api) == [address(api, "launcher")]


async def test_a_claim_says_that_a_mac_is_taken() -> None:
    api = MemoryApi()
    api.put(NADS, persistent())
    api.put(IPAMCLAIMS, claim())
    mac = "02:00:00:00:00:01"
    async with managed(api) as manager:
        api.put(PODS, world.pod("one", [{"name": "blue", "mac": mac}]))
        await settled(api, manager)
        api.put(PODS, world.pod("launcher", [{**REQUEST[0], "mac": mac}]))
        await settled(api, manager)
        status, reason, message = condition(api)
        assert (status, reason) == ("False", "MACAddressConflict")
        assert "is held by Pod default/one" in message


async def test_a_refused_mac_costs_a_claim_none_of_its_addresses() -> None:
    api = MemoryApi()
    api.put(NADS, persistent(subnets="10.1.0.0/29"))
    api.put(IPAMCLAIMS, claim())
    mac = "02:00:00:00:00:01"
    async with managed(api) as manager:
        api.put(PODS, world.pod("launcher-1", REQUEST))
        api.put(PODS, world.pod("one", [{"name": "blue", "mac": mac}]))
        await settled(api, manager)
        api.remove(PODS, "default/launcher-1")
        api.put(PODS, world.pod("launcher-2", [{**REQUEST[0], "mac": mac}]))
        await settled(api, manager)
        assert not allocations(api, "launcher-2")
        assert condition(api)[:2] == ("False", "MACAddressConflict")
        api.put(PODS, world.pod("rival", [{"name": "blue", "ips": [f"{kept(api)[0]}"]}]))
        await settled(api, manager)
        assert not allocations(api, "rival")
        assert any("IPAMClaim default/vm.net1" in message for message in messages(api, "rival"))


async def test_two_claims_of_one_address_keep_it_for_the_first() -> None:
    api = MemoryApi()
    api.put(NADS, persistent())
    api.put(IPAMCLAIMS, claim())
    async with managed(api) as manager:
        api.put(PODS, world.pod("launcher", REQUEST))
        await settled(api, manager)
        before = allocations(api, "launcher")
        api.put(IPAMCLAIMS, {**claim("rival.net1"), "status": {"ips": kept(api)}})
        api.put(PODS, world.pod("rival", [{**REQUEST[0], "ipam-claim-reference": "rival.net1"}]))
        await settled(api, manager)
        assert not allocations(api, "rival")
        status, reason, message = condition(api, "rival.net1")
        assert (status, reason) == ("False", "IPAddressConflict")
        assert "is held by IPAMClaim default/vm.net1" in message
        api.remove(IPAMCLAIMS, "default/rival.net1")
        await settled(api, manager)
        assert allocations(api, "launcher") == before


async def test_a_claim_whose_address_somebody_has_says_so() -> None:
    api = MemoryApi()
    api.put(NADS, persistent())
    async with managed(api) as manager:
        api.put(PODS, world.pod("one"))
        await settled(api, manager)
        late = {**claim(), "status": {"ips": [address(api, "one")]}}
        api.put(IPAMCLAIMS, late)
        await settled(api, manager)
        status, reason, message = condition(api)
        assert (status, reason) == ("False", "IPAddressConflict")
        assert "is held by Pod default/one" in message
        assert kept(api) == [address(api, "one")]  # what was promised is not taken back
        api.remove(PODS, "default/one")
        api.put(PODS, world.pod("launcher", REQUEST))
        await settled(api, manager)
        assert condition(api)[:2] == ("True", "SuccessfulAllocation")
        assert [address(api, "launcher")] == kept(api)


def reservation(name: str = "vm.net1", **requested: Any) -> dict[str, Any]:
    made = claim(name)
    made["metadata"]["annotations"] = {names.IP_RESERVATION: json.dumps(requested)}
    return made


async def test_an_address_is_reserved_before_there_is_a_pod() -> None:
    api = MemoryApi()
    api.put(NADS, persistent(subnets="10.1.0.0/29"))
    api.put(IPAMCLAIMS, reservation(ips=["10.1.0.5"], mac="02:00:00:00:00:05"))
    async with managed(api) as manager:
        await settled(api, manager)
        assert kept(api) == ["10.1.0.5/29"]
        assert condition(api) == (
            *("True", ipamclaim.SUCCESS),
            "addresses are kept, with MAC 02:00:00:00:00:05",
        )
        api.put(PODS, world.pod("thief", [{"name": "blue", "ips": ["10.1.0.5"]}]))
        api.put(PODS, world.pod("double", [{"name": "blue", "mac": "02:00:00:00:00:05"}]))
        await settled(api, manager)
        for name in ("thief", "double"):
            assert not allocations(api, name)
            assert "IPAMClaim default/vm.net1" in messages(api, name)[0]
    async with managed(api) as manager:  # nothing but the claim remembers
        api.put(PODS, world.pod("launcher", REQUEST))
        await settled(api, manager)
        given = allocations(api, "launcher")["default/blue"]
        assert given["ip_addresses"] == ["10.1.0.5/29"]
        assert given["mac_address"] == "02:00:00:00:00:05"


async def test_any_address_of_both_families_is_reserved() -> None:
    api = MemoryApi()
    api.put(NADS, persistent(subnets="10.1.0.0/29,fd00::/64"))
    api.put(IPAMCLAIMS, reservation(ips=["fd00::77"]))
    await manage(api)
    assert kept(api) == ["10.1.0.1/29", "fd00::77/64"]


async def test_a_reservation_does_not_take_what_a_running_pod_holds() -> None:
    api = MemoryApi()
    api.put(NADS, persistent(subnets="10.1.0.0/29"))
    api.put(PODS, world.pod("web"))
    await manage(api)
    held = address(api, "web").partition("/")[0]
    api.put(IPAMCLAIMS, reservation(ips=[held]))
    async with managed(api) as manager:  # a manager that begins with both
        await settled(api, manager)
        status, reason, message = condition(api)
        assert (status, reason, kept(api)) == ("False", "IPAddressConflict", [])
        assert "Pod default/web" in message
        api.remove(PODS, "default/web")
        await settled(api, manager)
        assert condition(api)[0] == "True"
        assert kept(api) == [f"{held}/29"]


@pytest.mark.parametrize(
    ("requested", "config", "reason", "named"),
    [
        ({"mac": "0a:58:0a:01:00:01"}, {}, "MACAddressConflict", "Pod default/web"),
        ({"ips": ["10.2.0.1"]}, {}, "InternalError", "lies outside of subnet 10.1.0.0/29"),
        ({"ips": ["fd00::1"]}, {}, "InternalError", "is IPv6, but the network has only"),
        ({"ips": ["10.1.0.300"]}, {}, "InternalError", "10.1.0.300"),
        ({"ip": "10.1.0.3"}, {}, "InternalError", "did you mean ips?"),
        ({}, {"allowPersistentIPs": False}, "InternalError", "allowPersistentIPs"),
        ({}, {"subnets": ""}, "InternalError", "assigns no addresses"),
    ],
)
async def test_a_reservation_that_cannot_be_had(
    requested: dict[str, Any], config: dict[str, Any], reason: str, named: str
) -> None:
    api = MemoryApi()
    config = {"subnets": "10.1.0.0/29", "allowPersistentIPs": True, **config}
    api.put(NADS, world.nad("blue", **config))
    api.put(PODS, world.pod("web"))
    await manage(api)
    api.put(IPAMCLAIMS, reservation(**requested))
    await manage(api)
    assert condition(api)[:2] == ("False", reason)
    assert named in condition(api)[2]
    assert kept(api) == []


async def test_a_reservation_waits_for_its_network() -> None:
    api = MemoryApi()
    api.put(IPAMCLAIMS, reservation())
    async with managed(api) as manager:
        await settled(api, manager)
        assert "network blue: does not exist" in condition(api)[2]
        api.put(NADS, persistent(subnets="10.1.0.0/29"))
        await settled(api, manager)
        assert kept(api) == ["10.1.0.1/29"]


async def test_a_released_reservation_frees_its_address() -> None:
    api = MemoryApi()
    api.put(NADS, persistent(subnets="10.1.0.0/30"))
    for name in ("one", "two"):
        api.put(IPAMCLAIMS, reservation(name))
    api.put(IPAMCLAIMS, reservation("vm.net1"))
    async with managed(api) as manager:
        await settled(api, manager)
        assert condition(api)[:2] == ("False", "SubnetExhausted")
        api.remove(IPAMCLAIMS, "default/two")
        await settled(api, manager)
        assert len(kept(api)) == 1


async def test_an_edit_of_a_reservation_changes_nothing_and_says_so() -> None:
    api = MemoryApi()
    api.put(NADS, persistent(subnets="10.1.0.0/29"))
    api.put(IPAMCLAIMS, reservation())
    async with managed(api) as manager:
        await settled(api, manager)
        before = kept(api)
        notes = {names.IP_RESERVATION: '{"ips": ["10.1.0.6"]}'}
        api.change(IPAMCLAIMS, "default/vm.net1", {"metadata": {"annotations": notes}})
        await settled(api, manager)
        assert kept(api) == before
        assert "to have 10.1.0.6 instead, delete the claim" in condition(api)[2]


class Fleeting(MemoryApi):
    """A claim is deleted when its status is about to be written; nobody may get one by its name."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: list[str] = []

    async def patch(self, res: Resource, name: str, namespace: str, body: Any, **_: Any) -> Any:
        if res is IPAMCLAIMS and f"{namespace}/{name}" in self.all(IPAMCLAIMS):
            self.remove(IPAMCLAIMS, f"{namespace}/{name}")
        return await super().patch(res, name, namespace, body)

    async def get(self, res: Resource, name: str, namespace: str = "") -> Any:
        if res is IPAMCLAIMS:
            self.refused.append(name)
            raise errors.Forbidden(403, "Forbidden", "cannot get resource ipamclaims")
        return await super().get(res, name, namespace)


async def test_a_claim_that_goes_before_its_status_is_written_asks_for_no_right() -> None:
    """Only a policy's kind may have no status of its own, and only policies may be got by name."""
    api = Fleeting()
    api.put(NADS, persistent())
    made = claim()
    made["metadata"]["annotations"] = {names.IP_RESERVATION: '{"ips": ["10.1.0.9"]}'}
    api.put(IPAMCLAIMS, made)
    await manage(api)
    assert not api.all(IPAMCLAIMS)
    assert not api.refused
