"""From which addresses NICs may send and receive, across real OVN zones."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from ipaddress import ip_network

import pytest

from tests.support.realised import Cluster, Kept, network
from tests.support.zones import Guest
from weft import model
from weft.control.zone import state

pytestmark = pytest.mark.real

SHARED, VIRTUAL_MAC = "10.1.0.100", "00:00:5e:00:01:0a"
PAIR = model.AddressPair(ip_network(SHARED))
VIRTUAL = model.AddressPair(ip_network(SHARED), VIRTUAL_MAC)
OWN_MAC, ANY_MAC = (
    model.NicOptions(port_security=each)
    for each in (model.PortSecurity.MAC, model.PortSecurity.OFF)
)


def blue(permits: model.Permits | None = None) -> state.DeclaredNetwork:
    made = network("blue", 1, "10.1.0.0/24")
    spec = replace(made.network.spec, permits=permits or model.Permits())
    return replace(made, network=replace(made.network, spec=spec))


PERMITTED = blue(model.Permits(model.PortSecurity.OFF, (ip_network("10.1.0.96/28"),)))


class Scene:
    """Pods one and two on zone a, three on zone b; one has an address that is not its own."""

    def __init__(self, cluster: Cluster, a: Kept, b: Kept) -> None:
        self.cluster, self.a, self.b = cluster, a, b
        self.ports: dict[str, model.Port] = {}
        self.guests: dict[str, Guest] = {}

    async def grant(self, nic: model.NicOptions) -> None:
        await self.cluster.options(self.ports["one"], nic)
        await self.cluster.synced()

    async def reaches(self, *, count: int = 3) -> list[bool]:
        """Whether two and three reach the address."""
        for name in ("two", "three"):
            await asyncio.to_thread(
                self.guests[name].run, "busybox", "ip", "neigh", "flush", "dev", "eth0"
            )
        return [
            await asyncio.to_thread(self.guests[name].pings, SHARED, count)
            for name in ("two", "three")
        ]

    async def send_by(self, mac: str) -> None:
        """Give pod one's interface another MAC."""
        link = ("busybox", "ip", "link", "set", "dev", "eth0", "address", mac)
        await asyncio.to_thread(self.guests["one"].run, *link)


@pytest.fixture
async def scene(cluster: Cluster) -> Scene:
    made = Scene(cluster, await cluster.zone(), await cluster.zone())
    await cluster.define("default/blue", PERMITTED)
    homes = {"one": made.a, "two": made.a, "three": made.b}
    for number, (name, home) in enumerate(homes.items(), start=11):
        port = await cluster.pod(name, home, "default/blue", number, f"10.1.0.{number}/24")
        made.ports[name] = port
        made.guests[name] = await cluster.guest(home, port)
        made.guests[name].take(f"10.1.0.{number}/24")
    made.guests["one"].take(f"{SHARED}/24")
    assert await asyncio.to_thread(made.guests["three"].pings, "10.1.0.11")
    return made


async def test_an_address_of_a_pair_is_reached_while_the_network_permits_it(scene: Scene) -> None:
    assert await scene.reaches(count=1) == [False, False]
    await scene.grant(model.NicOptions(address_pairs=(PAIR,)))
    assert await scene.reaches() == [True, True]
    await scene.cluster.define("default/blue", blue())
    assert await asyncio.to_thread(scene.guests["two"].loses, SHARED)
    assert await scene.reaches(count=1) == [False, False]


async def test_a_mac_of_a_pair_is_reached_on_every_node(scene: Scene) -> None:
    """As VRRP's virtual MACs are; without the pair nobody hears of it."""
    await scene.grant(model.NicOptions(address_pairs=(PAIR,)))
    await scene.send_by(VIRTUAL_MAC)
    assert await scene.reaches(count=1) == [False, False]
    await scene.grant(model.NicOptions(address_pairs=(VIRTUAL,)))
    assert await scene.reaches() == [True, True]
    await scene.send_by("00:00:5e:00:01:0b")
    assert await scene.reaches(count=1) == [False, False]


async def test_a_nic_may_send_from_all_addresses_by_its_own_mac(scene: Scene) -> None:
    await scene.grant(OWN_MAC)
    assert await scene.reaches() == [True, True]
    await scene.send_by(VIRTUAL_MAC)
    assert await scene.reaches(count=1) == [False, False]


async def test_a_nic_without_port_security_may_send_by_all_macs(scene: Scene) -> None:
    await scene.grant(ANY_MAC)
    await scene.send_by("02:00:00:00:77:01")
    assert await scene.reaches() == [True, True]
    await scene.cluster.define("default/blue", blue())
    assert await asyncio.to_thread(scene.guests["two"].loses, SHARED)
