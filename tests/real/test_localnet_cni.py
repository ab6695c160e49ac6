"""A pod on a localnet from its ADD: it waits for the node's mapping, and is announced."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from ipaddress import ip_interface
from typing import Any

import pytest

from tests.support import frames
from tests.support.objects import Object, nad, node, pod
from tests.support.patience import PATIENCE
from tests.support.realised import alongside
from tests.support.whole import Whole
from tests.support.zones import Zone
from weft import names
from weft.kube import cache, resources
from weft.kube.client import Client
from weft.model import ObjectKey
from weft.ovn import announcement
from weft_lab.runtime import inotify

pytestmark = pytest.mark.real

SUBNETS = "192.168.20.0/24,fd00:20::/64"
NADS = (
    nad("red", SUBNETS, topology="localnet", physicalNetworkName="rack", vlanID=20, mtu=1500),
    nad("bare", None, topology="localnet", physicalNetworkName="rack", vlanID=30, mtu=1500),
    nad("small", None, topology="localnet", physicalNetworkName="rack", vlanID=40, mtu=1400),
)
REASON = "NoBridgeMapping"


async def event_of(api: Client, reason: str) -> str:
    """The message of the first Event with this reason."""
    found: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    events = cache.Cache(api, resources.EVENTS, field_selector=f"reason={reason}")
    events.subscribe(
        lambda _, __, new: found.set_result(new["message"]) if new and not found.done() else None
    )
    async with alongside(events.run()), asyncio.timeout(PATIENCE):
        return await found


async def has_label(api: Client, node: str, label: str) -> Object:
    """The Node once it has the label."""
    nodes = cache.Cache(api, resources.NODES)
    async with alongside(nodes.run()):
        await nodes.synced()
        return await nodes.wait_for(
            ObjectKey("", node),
            lambda each: label in each["metadata"].get("labels", {}),
            PATIENCE,
        )


@dataclass
class Adds:
    """ADDs of one pod's NICs on a node, one for each NAD."""

    whole: Whole
    zone: Zone
    made: Object

    async def add(self, number: int) -> Any:
        interface = f"net{number + 1}"
        return await asyncio.to_thread(
            self.whole.call, self.zone, "ADD", self.made, interface, NADS[number]
        )


@pytest.fixture
async def adds(whole: Whole, api: Client) -> Adds:
    zone = whole.wire.zone()
    await api.create(resources.NODES, node(zone.name))
    for each in NADS:
        await api.create(resources.NADS, each)
    whole.start_agent(zone)
    zone.run("mkdir", "-p", "/run/weft")
    async with asyncio.timeout(PATIENCE):
        await inotify.Folders().wait_socket(zone.root / "run/weft/cni.sock")
    asked = pod("web", [{"name": nad["metadata"]["name"]} for nad in NADS], node=zone.name)
    made = await api.create(resources.PODS, asked)
    await asyncio.to_thread(whole.make_sandbox, zone, "web")
    return Adds(whole, zone, made)


async def test_an_add_waits_for_the_mapping_and_announces_the_nic(adds: Adds, api: Client) -> None:
    zone = adds.zone
    first = asyncio.create_task(adds.add(0))
    message = await event_of(api, REASON)
    assert f"network red on node {zone.name}: ovn-bridge-mappings" in message
    assert "lacks physical network rack (it has physnet)" in message
    assert "add rack:<bridge> to external_ids:ovn-bridge-mappings" in message
    assert not first.done()
    both = "external_ids:ovn-bridge-mappings=physnet:br-phy,rack:br-phy"
    hosts = [
        await asyncio.to_thread(zone.host, f"host{vlan}", f"02:00:00:00:{vlan}:fd", vlan=vlan)
        for vlan in (20, 30)
    ]
    with frames.capture(hosts[0].space) as red, frames.capture(hosts[1].space) as bare:
        zone.run("ovs-vsctl", "set", "Open_vSwitch", ".", both)
        meta = (await has_label(api, zone.name, f"{names.PHYSICAL_NETWORK_LABEL}rack"))["metadata"]
        assert meta["labels"][f"{names.PHYSICAL_NETWORK_LABEL}physnet"] == "true"
        noted = meta["annotations"][names.NODE_BRIDGE_MAPPINGS]
        assert noted == '{"physnet":"br-phy","rack":"br-phy"}'
        status, given = await first
        assert status == 0, given
        addresses = [each["address"] for each in given["ips"]]
        mac = given["interfaces"][-1]["mac"]
        own = announcement.frames(mac, [ip_interface(each) for each in addresses])
        assert len(own) == 2
        for announced in own:
            red.until(frames.with_all(announced))
        status, given = await adds.add(1)
        assert status == 0, given
        (reverse,) = announcement.frames(given["interfaces"][-1]["mac"], [])
        heard = bare.until(frames.with_all(reverse))
    assert not any(announced in frame for announced in own for frame in heard), "another VLAN"


async def test_a_network_larger_than_its_bridge_carries_is_reported(
    adds: Adds, api: Client
) -> None:
    """The port that is too small is named; a network that fits is not reported."""
    zone = adds.zone
    lines = (
        "add-br br-rack -- set Bridge br-rack datapath_type=netdev",
        "add-port br-rack up0 -- set Interface up0 type=internal mtu_request=1400",
        "wait-until Interface up0 mtu=1400",
        "set Open_vSwitch . external_ids:ovn-bridge-mappings=physnet:br-phy,rack:br-rack",
    )
    for line in lines:
        zone.run("ovs-vsctl", "--timeout=60", *line.split())
    for number in (2, 0):
        status, given = await adds.add(number)
        assert status == 0, given
    message = await event_of(api, "BridgeMTUTooSmall")
    assert f"network red on node {zone.name}: port up0 of bridge br-rack has MTU 1400" in message
    assert "and the network 1500: larger packets are lost" in message
    assert "raise the MTU of up0" in message
    assert "set mtu of the network to 1400" in message
    events = await api.list(resources.EVENTS, "default", field_selector="reason=BridgeMTUTooSmall")
    assert [each["message"] for each in events] == [message]
