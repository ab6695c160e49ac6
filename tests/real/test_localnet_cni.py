"""A pod on a localnet from its ADD: it waits for the node's mapping, and is announced."""

from __future__ import annotations

import asyncio
from ipaddress import ip_interface
from typing import Any

import pytest

from tests.support import frames
from tests.support.objects import Object, nad, node, pod
from tests.support.patience import PATIENCE
from tests.support.realised import alongside
from tests.support.whole import Whole
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


async def test_an_add_waits_for_the_mapping_and_announces_the_nic(
    whole: Whole, api: Client
) -> None:
    zone = whole.wire.zone()
    await api.create(resources.NODES, node(zone.name))
    for each in NADS:
        await api.create(resources.NADS, each)
    whole.start_agent(zone)
    zone.run("mkdir", "-p", "/run/weft")
    async with asyncio.timeout(PATIENCE):
        await inotify.Folders().wait_socket(zone.root / "run/weft/cni.sock")
    asked = pod("web", [{"name": "red"}, {"name": "bare"}], node=zone.name)
    made = await api.create(resources.PODS, asked)
    await asyncio.to_thread(whole.make_sandbox, zone, "web")

    async def add(number: int) -> Any:
        return await asyncio.to_thread(
            whole.call, zone, "ADD", made, f"net{number + 1}", NADS[number]
        )

    first = asyncio.create_task(add(0))
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
        status, given = await add(1)
        assert status == 0, given
        (reverse,) = announcement.frames(given["interfaces"][-1]["mac"], [])
        heard = bare.until(frames.with_all(reverse))
    assert not any(announced in frame for announced in own for frame in heard), "another VLAN"
