"""A machine's MAC on a network without subnets: the same from pod to pod, for every manager."""

from __future__ import annotations

from typing import Any

import pytest

from tests.state.test_claims import claim
from tests.support import cluster_world as world
from tests.support.cluster_world import allocations, managed, messages, settled
from tests.support.memory_api import MemoryApi
from weft.kube.resources import IPAMCLAIMS, NADS, PODS


def launcher(name: str, machine: str, networks: object = "plain") -> dict[str, Any]:
    """A machine's pod, as KubeVirt makes it: of another name for each run."""
    made: dict[str, Any] = world.pod(name, networks)
    owner = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "name": machine}
    made["metadata"]["ownerReferences"] = [{**owner, "uid": f"vmi-of-{name}", "controller": True}]
    return made


def macs(api: MemoryApi, name: str) -> dict[str, str]:
    return {key: each["mac_address"] for key, each in allocations(api, name).items()}


async def test_a_machine_that_starts_anew_keeps_its_macs() -> None:
    api = MemoryApi()
    api.put(NADS, world.nad("plain", subnets=None))
    async with managed(api) as manager:
        api.put(PODS, launcher("launcher-a", "db", "plain, plain"))
        api.put(PODS, launcher("launcher-x", "web"))
        await settled(api, manager)
        before = macs(api, "launcher-a")
        assert len({*before.values(), *macs(api, "launcher-x").values()}) == 3
        api.remove(PODS, "default/launcher-a")
        api.put(PODS, launcher("launcher-b", "db", "plain, plain"))
        await settled(api, manager)
        assert macs(api, "launcher-b") == before
        api.remove(PODS, "default/launcher-b")
        await settled(api, manager)
    async with managed(api) as manager:
        api.put(PODS, launcher("launcher-c", "db", "plain, plain"))
        await settled(api, manager)
        assert macs(api, "launcher-c") == before


async def test_a_second_pod_of_a_machine_has_another_mac_while_the_first_is_there() -> None:
    api = MemoryApi()
    api.put(NADS, world.nad("plain", subnets=None))
    async with managed(api) as manager:
        api.put(PODS, launcher("launcher-a", "db"))
        await settled(api, manager)
        api.put(PODS, launcher("launcher-b", "db"))
        await settled(api, manager)
        assert macs(api, "launcher-a") != macs(api, "launcher-b")


async def test_a_pod_that_is_made_again_under_its_name_keeps_its_mac() -> None:
    """As a StatefulSet makes them."""
    api = MemoryApi()
    api.put(NADS, world.nad("plain", subnets=None))
    async with managed(api) as manager:
        api.put(PODS, world.pod("web-0", "plain", uid="first"))
        await settled(api, manager)
        before = macs(api, "web-0")
        api.remove(PODS, "default/web-0")
        api.put(PODS, world.pod("web-0", "plain", uid="second"))
        await settled(api, manager)
        assert macs(api, "web-0") == before


@pytest.mark.parametrize(
    ("networks", "keeps", "is_told"),
    [
        ("kept", True, True),
        ("kept", False, False),
        ([{"name": "kept", "ips": ["10.1.0.9/24"]}], True, False),
        ([{"name": "kept", "ipam-claim-reference": "db"}], True, False),
    ],
    ids=["no claim", "no promise", "an address", "a claim"],
)
async def test_whose_address_goes_although_its_network_may_keep_it_is_reported(
    networks: object, keeps: bool, is_told: bool
) -> None:
    api = MemoryApi()
    api.put(NADS, world.nad("kept", allowPersistentIPs=keeps))
    api.put(IPAMCLAIMS, claim("db", "kept"))
    async with managed(api) as manager:
        api.put(PODS, launcher("launcher-a", "db", networks))
        api.put(PODS, world.pod("web-0", "kept"))
        await settled(api, manager)
        assert allocations(api, "launcher-a")
        told = [each for each in messages(api, "launcher-a") if "AddressNotKept" in each]
        assert bool(told) is is_told
        assert not any("AddressNotKept" in each for each in messages(api, "web-0")), "no machine"
