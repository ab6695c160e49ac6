"""Weft as the primary network: manager, agents and plugin, from settings to packets."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.objects import nad, node, pod
from tests.support.patience import PATIENCE
from tests.support.routed import OUTSIDE
from tests.support.whole import Whole
from tests.support.zones import Zone
from weft import names, rows
from weft.kube import cache, resources
from weft.kube.client import Client
from weft.model import ObjectKey
from weft.ovn import tables
from weft.ovsdb.replica import Replica
from weft_lab.runtime import inotify

pytestmark = pytest.mark.real

SETTINGS = ("--allow-primary", "--cluster-subnets", "10.128.0.0/14/23,fd00:10:128::/48/64")
CONFIG = {"cniVersion": "1.0.0", "name": "ovn-kubernetes", "type": "ovn-k8s-cni-overlay"}
DEFAULT = {"spec": {"config": json.dumps(CONFIG)}}


@dataclass
class Cluster:
    whole: Whole
    api: Client
    nodes: cache.Cache
    zones: tuple[Zone, ...]

    async def pod(self, name: str, zone: Zone, networks: str = "") -> dict[str, Any]:
        """A pod object, and its namespace on the node."""
        made = await self.api.create(resources.PODS, pod(name, networks, node=zone.name))
        await asyncio.to_thread(self.whole.make_sandbox, zone, name)
        return made

    async def add(
        self, zone: Zone, made: dict[str, Any], interface: str, config: dict[str, Any]
    ) -> Any:
        call = self.whole.call
        status, said = await asyncio.to_thread(call, zone, "ADD", made, interface, config)
        assert status == 0, said
        return said

    async def run(self, zone: Zone, name: str, *command: str, check: bool = True) -> str:
        inside = ("nsenter", f"--net=/run/netns/{name}", *command)
        return await asyncio.to_thread(zone.run, *inside, check=check)

    async def pings(self, zone: Zone, name: str, address: str) -> bool:
        """Whether three in a row are answered, in time: the first to a new tunnel peer may be
        lost, and a busy switch drops some."""
        ping = ("busybox", "ping", "-i", "0.2", "-W", "2", address)
        async with asyncio.timeout(PATIENCE):
            for count in (1, 3):
                answered, argv = f" {count} packets received", (*ping, "-c", str(count))
                while answered not in await self.run(zone, name, *argv, check=False):
                    pass
        return True

    async def agent(self, zone: Zone) -> Any:
        """Its process, when it answers the plugin."""
        number = zone.name.removeprefix("node")
        address = f"192.0.2.10{number}/24,fd00:2::10{number}/64"
        process = self.whole.start_agent(
            zone, "--gateway-address", address, "--gateway-next-hop", ",".join(OUTSIDE)
        )
        zone.run("mkdir", "-p", "/run/weft")
        async with asyncio.timeout(PATIENCE):
            await inotify.Folders().wait_socket(zone.root / "run/weft/cni.sock")
        return process


@pytest.fixture
async def cluster(whole: Whole, api: Client) -> AsyncIterator[Cluster]:
    for address, length in zip(OUTSIDE, (24, 64), strict=True):
        whole.wire.space.run(
            "busybox", "ip", "addr", "add", f"{address}/{length}", "dev", "underlay"
        )
    made = Cluster(
        whole, api, cache.Cache(api, resources.NODES), (whole.wire.zone(), whole.wire.zone())
    )
    for zone in made.zones:
        await api.create(resources.NODES, node(zone.name))
        await made.agent(zone)
    following = asyncio.create_task(made.nodes.run())
    try:
        yield made
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following


@pytest.mark.parametrize("whole", [SETTINGS], indirect=True)
async def test_pods_of_a_cluster_whose_primary_network_is_weft(cluster: Cluster) -> None:
    a, b = cluster.zones
    one, two = await cluster.pod("one", a), await cluster.pod("two", b, "blue")
    await cluster.api.create(
        resources.NADS, nad("blue", "10.64.0.0/16/24", topology="layer3", mtu=1300)
    )
    first = await cluster.add(a, one, "eth0", DEFAULT)
    v4, v6 = (entry["address"].split("/")[0] for entry in first["ips"])
    gateways = [entry["gateway"] for entry in first["ips"]]
    assert {route["dst"]: route["gw"] for route in first["routes"]} == {
        "0.0.0.0/0": gateways[0],
        "10.128.0.0/14": gateways[0],
        "::/0": gateways[1],
        "fd00:10:128::/48": gateways[1],
    }
    second = await cluster.add(b, two, "eth0", DEFAULT)
    third = await cluster.add(
        b, two, "net1", nad("blue", "10.64.0.0/16/24", topology="layer3", mtu=1300)
    )
    assert [route["dst"] for route in third["routes"]] == ["10.64.0.0/16"]
    assert "gateway" not in third["ips"][0]
    for entry in second["ips"]:
        assert await cluster.pings(a, "one", entry["address"].split("/")[0])
    for address in (v4, v6, *OUTSIDE):
        assert await cluster.pings(b, "two", address)
    said = await cluster.nodes.wait_for(
        ObjectKey("", "node1"),
        lambda found: names.NODE_GATEWAY in found["metadata"]["annotations"],
        PATIENCE,
    )
    gateway = json.loads(said["metadata"]["annotations"][names.NODE_GATEWAY])["default"]
    assert gateway["ip-addresses"] == ["192.0.2.101/24", "fd00:2::101/64"]
    assert gateway["interface-id"] == "physnet_node1"
    for made, interface, config in ((one, "eth0", DEFAULT), (two, "eth0", DEFAULT)):
        zone = a if made is one else b
        status, why = await asyncio.to_thread(
            cluster.whole.call, zone, "DEL", made, interface, config
        )
        assert status == 0, why


@pytest.mark.parametrize("whole", [SETTINGS], indirect=True)
async def test_an_agent_that_restarts_writes_nothing(cluster: Cluster) -> None:
    a, b = cluster.zones
    one = await cluster.pod("one", a)
    await cluster.add(a, one, "eth0", DEFAULT)
    two = await cluster.pod("two", b)
    await cluster.add(b, two, "eth0", DEFAULT)
    assert await asyncio.to_thread(cluster.whole.stop, cluster.whole.agent(a)) == 0
    async with await Replica.open(a.nb, tables.NORTHBOUND, tables.NB) as nb:
        written: list[str] = []

        def note(table: str, _: str, old: rows.Columns | None, new: rows.Columns | None) -> None:
            """But for the group that has northd compare all of them."""
            if (new or old or {}).get("name") != names.TOUCHED_GROUP:
                written.append(table)

        for table in tables.NB:
            nb.subscribe(table.name, lambda *change, name=table.name: note(name, *change))
        await cluster.agent(a)
        late = await cluster.pod("late", a)
        await cluster.add(a, late, "eth0", DEFAULT)
        await nb.wait_for("Logical_Switch_Port", "default_late", bool, PATIENCE)
    assert sorted(set(written)) == ["Logical_Switch", "Logical_Switch_Port"]
    assert written.count("Logical_Switch_Port") <= 2  # made, and its state up
