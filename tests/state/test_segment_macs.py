"""Localnets on one VLAN of a physical network are one segment: no MAC is on it twice."""

from __future__ import annotations

from typing import Any

import pytest

from tests.state.test_machine_macs import macs
from tests.support import cluster_world as world
from tests.support.cluster_world import managed, messages, settled
from tests.support.memory_api import MemoryApi
from weft.kube.resources import NADS, PODS

MAC = "02:00:00:00:00:01"


def localnet(name: str, subnets: str | None = None, **config: Any) -> Any:
    return world.nad(
        name, subnets=subnets, topology="localnet", physicalNetworkName="lan", **config
    )


def asking(name: str, network: str, mac: str = MAC) -> Any:
    return world.pod(name, [{"name": network, "mac": mac}])


SAME: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "one VLAN": ({"vlanID": 7}, {"vlanID": 7}),
    "untagged": ({}, {}),
    "a trunk": ({"trunk": [7, 9]}, {"vlanID": 7}),
    "all VLANs": ({"trunk": "all"}, {"vlanID": 7}),
    "untagged in a trunk": ({"trunk": [0, 9]}, {}),
}
OTHER: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "two VLANs": ({"vlanID": 7}, {"vlanID": 8}),
    "another physical network": ({}, {"physicalNetworkName": "wan"}),
    "another VLAN than a trunk's": ({"trunk": [7, 9]}, {"vlanID": 8}),
    "an overlay": ({}, {"topology": "layer2", "physicalNetworkName": None}),
}


def two(api: MemoryApi, one: dict[str, Any], other: dict[str, Any]) -> None:
    api.put(NADS, localnet("red", **one))
    made = {"topology": "localnet", "physicalNetworkName": "lan", **other}
    api.put(NADS, world.nad("blue", subnets=None, **{k: v for k, v in made.items() if v}))


@pytest.mark.parametrize("case", SAME)
async def test_a_mac_of_another_network_of_the_segment_is_refused(case: str) -> None:
    """It says who has it, and the pod goes on when that is gone."""
    api = MemoryApi()
    two(api, *SAME[case])
    async with managed(api) as manager:
        api.put(PODS, asking("first", "red"))
        await settled(api, manager)
        api.put(PODS, asking("second", "blue"))
        await settled(api, manager)
        assert not macs(api, "second")
        told = (
            f'mac "{MAC}": is held by Pod default/first on network red, which is on the same VLAN'
        )
        assert told in " ".join(messages(api, "second"))
        api.remove(PODS, "default/first")
        await settled(api, manager)
        assert list(macs(api, "second").values()) == [MAC]


@pytest.mark.parametrize("case", OTHER)
async def test_other_segments_may_have_it(case: str) -> None:
    api = MemoryApi()
    two(api, *OTHER[case])
    async with managed(api) as manager:
        api.put(PODS, asking("first", "red"))
        api.put(PODS, asking("second", "blue"))
        await settled(api, manager)
        assert list(macs(api, "second").values()) == [MAC]


async def test_generated_macs_do_not_clash_and_a_restart_keeps_them() -> None:
    """Both networks have one subnet, so equal addresses would give equal MACs."""
    api = MemoryApi()
    api.put(NADS, localnet("red", "10.5.0.0/24"))
    api.put(NADS, localnet("blue", "10.5.0.0/24"))
    for name, network in (("first", "red"), ("second", "blue")):
        api.put(PODS, world.pod(name, network))
    async with managed(api) as manager:
        await settled(api, manager)
        before = [*macs(api, "first").values(), *macs(api, "second").values()]
        assert len(set(before)) == 2
    async with managed(api) as manager:
        api.put(PODS, world.pod("third", [{"name": "blue", "mac": before[0]}]))
        await settled(api, manager)
        assert not macs(api, "third")
        assert [*macs(api, "first").values(), *macs(api, "second").values()] == before
