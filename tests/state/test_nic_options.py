"""What NICs ask for beside addresses: granted, refused with the remedy, or told."""

from __future__ import annotations

import json

import pytest

from tests.support import cluster_world as world
from tests.support.cluster_world import allocations, manage, managed, messages, settled
from tests.support.memory_api import MemoryApi
from weft import names
from weft.kube.resources import NADS, PODS

PERMITS = {"portSecurity": "off", "allowedAddressPairs": ["10.1.0.96/28"]}
PAIR = {"ip": "10.1.0.100/32", "mac": "00:00:5e:00:01:0a"}


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        ({"portSecurity": "off"}, 'portSecurity "off": is more than network blue permits'),
        ({"allowedAddressPairs": [PAIR]}, "is more than network blue permits: none"),
    ],
)
async def test_a_pod_waits_until_the_owner_permits_what_it_asks_for(
    args: dict[str, object], problem: str
) -> None:
    api = MemoryApi()
    api.put(NADS, world.nad("blue"))
    api.put(PODS, world.pod("one", [{"name": "blue", "cni-args": args}]))
    async with managed(api) as manager:
        await settled(api, manager)
        assert allocations(api, "one") == {}
        (message,) = messages(api, "one")
        assert problem in message
        assert '"permits"' in message
        spec = world.nad("blue", permits=PERMITS)["spec"]
        api.change(NADS, "default/blue", {"spec": spec})
        await settled(api, manager)
    given = allocations(api, "one")["default/blue"]
    assert {key: given[key] for key in args} == args
    assert given["ip_addresses"] == ["10.1.0.1/24"]


async def test_addresses_of_permitted_ranges_are_given_to_nobody_in_turn() -> None:
    api = MemoryApi()
    ranges = {"allowedAddressPairs": ["10.1.0.0/28"]}
    api.put(NADS, world.nad("blue", permits=ranges))
    api.put(PODS, world.pod("one"))
    await manage(api)
    assert allocations(api, "one")["default/blue"]["ip_addresses"] == ["10.1.0.16/24"]


async def test_a_machine_asks_by_an_annotation_and_hears_its_name() -> None:
    api = MemoryApi()
    api.put(NADS, world.nad("blue", permits=PERMITS))
    pod = world.pod("virt-launcher-vm1-abcde")
    owner = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance"}
    pod["metadata"]["ownerReferences"] = [{**owner, "name": "vm1", "uid": "u", "controller": True}]
    asked = {"blue": {"portSecurity": "mac", "allowedAddressPairs": [PAIR]}}
    pod["metadata"]["annotations"][names.NIC_OPTIONS] = json.dumps(asked)
    api.put(PODS, pod)
    await manage(api)
    given = allocations(api, "virt-launcher-vm1-abcde")["default/blue"]
    assert (given["portSecurity"], given["allowedAddressPairs"]) == ("mac", [PAIR])
    assert "hostname" not in given, "agents of an older release would refuse the allocation"


async def test_a_running_pods_nic_stays_as_it_is_and_an_event_says_so() -> None:
    api = MemoryApi()
    api.put(NADS, world.nad("blue"))
    api.put(PODS, world.pod("one"))
    async with managed(api) as manager:
        await settled(api, manager)
        api.change(PODS, "default/one", {"status": {"phase": "Running"}})
        limit = {"name": "blue", "bandwidth": {"egressRate": 1000}}
        notes = {names.NETWORKS: json.dumps([limit])}
        api.change(PODS, "default/one", {"metadata": {"annotations": notes}})
        await settled(api, manager)
    assert "changing bandwidth of default/blue is refused" in messages(api, "one")[-1]
    assert "bandwidth" not in allocations(api, "one")["default/blue"]
