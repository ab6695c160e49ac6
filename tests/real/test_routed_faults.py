"""Routed networks after what goes wrong in a zone: rows, databases, the writer itself."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.real.test_routed import BLUE, DEFAULT, KEY, pings
from tests.real.test_zone_faults import NUMBER, contents, counted_on, written
from tests.support.realised import Cluster, Kept
from tests.support.routed import OUTSIDE, Routed, open_gateways, routed
from weft.control.zone import writer
from weft.model import ObjectKey
from weft.ovn import tables

pytestmark = pytest.mark.real


async def build(cluster: Cluster) -> Routed:
    """The default network and a secondary one, gateways, a pod on each node."""
    blue = await routed(cluster, BLUE, KEY)
    net = await routed(cluster, DEFAULT, "default")
    await open_gateways(cluster)
    a, b = cluster.kept
    await blue.pod("red", a, 20)
    await net.pod("one", a, 11)
    await net.pod("two", b, 12)
    return net


async def works(net: Routed) -> None:
    """All reach all, as soon as every switch has the flows of what its database says."""
    a, b = net.cluster.kept
    await net.cluster.synced()
    for version, outside in zip((4, 6), OUTSIDE, strict=True):
        assert await pings(net.guests["one"], net.address(b, 12, version))
        assert await pings(net.guests["two"], net.address(a, 11, version))
        assert await pings(net.guests["one"], outside)


async def test_a_new_writer_finds_nothing_to_do(cluster: Cluster) -> None:
    await build(cluster)
    for kept in cluster.kept:
        again = writer.OvnWriter(kept.state, kept.nb, kept.sb)
        task = asyncio.create_task(again.run())
        await again.settled()
        task.cancel()
        assert again.figures.rebuilds == 1
        assert again.figures.operations == 0


async def test_a_wiped_northbound_is_rebuilt(cluster: Cluster) -> None:
    net = await build(cluster)
    await works(net)
    a = cluster.kept[0]
    before = contents(a)
    await wipe(cluster, a, "nb")
    assert contents(a) == before
    await a.bound("default_one", a.zone.chassis)
    await works(net)


async def test_keys_outlive_the_southbound_database(cluster: Cluster) -> None:
    """What was tracked halfway goes on where its keys lead: into no other datapath or port."""
    net = await build(cluster)
    a = cluster.kept[0]
    await a.bound("default_one", a.zone.chassis)
    before = await keys(a)
    of_router = "rtos-node1", "rtots-node1", "rtoj-ovn_cluster_router"
    assert [before[port] for port in of_router] == ["1", "2", "3"]
    await wipe(cluster, a, "sb")
    await a.bound("default_one", a.zone.chassis)
    assert await keys(a) == before
    await works(net)


async def keys(kept: Kept) -> dict[str, str]:
    """Of all datapaths and of all ports."""
    found = {}
    for table, column, name in (
        ("Datapath_Binding", "external_ids", r"\bname=([^,}]+)"),
        ("Port_Binding", "logical_port", r"^([^,]+)"),
    ):
        listed = await asyncio.to_thread(
            kept.zone.run,
            *("ovn-sbctl", "--format=csv", "--data=bare", "--no-headings"),
            *(f"--columns={column},tunnel_key", "list", table),
        )
        for line in listed.splitlines():
            text, _, key = line.rpartition(",")
            if match := re.search(name, text.replace(" ", ",")):
                found[match[1]] = key
    some = {"node1", "ovn_cluster_router", "blue_node1", "stor-node1", "default_one"}
    assert some | {"rtos-node1", "rtots-node1", "rtoj-GR_node1", "rtoe-GR_node1"} <= set(found)
    return found


async def wipe(cluster: Cluster, kept: Kept, database: str) -> None:
    zone, rebuilds = kept.zone, kept.writer.figures.rebuilds
    number = await asyncio.to_thread(zone.run, *NUMBER)
    await asyncio.to_thread(zone.stop, database)
    new = (f"ovn-{database}", f"/run/ovn/{database}.db")
    await asyncio.to_thread(cluster.wire.renew, zone, *new)
    await asyncio.to_thread(zone.start, database)
    done = kept.writer.figures
    await written(kept, lambda: done.rebuilds > rebuilds and not kept.writer.trouble)
    await asyncio.to_thread(zone.run, *counted_on(number))


async def test_rows_that_somebody_removes_come_back(cluster: Cluster) -> None:
    """Each of them, with all that went along."""
    net = await build(cluster)
    a = cluster.kept[0]
    before = contents(a)
    for command in (
        ("lr-del", "ovn_cluster_router"),
        ("ls-del", "transit_switch"),
        ("ls-del", "node1"),
        ("ls-del", "join"),
        ("lr-del", "GR_node1"),
        ("acl-del", "ext_node1"),
        ("lr-nat-del", "GR_node1"),
        ("lr-route-del", "ovn_cluster_router"),
        ("lrp-del", "rtos-node1"),
        ("lrp-set-options", "rtoj-GR_node1", "gateway_mtu=9000"),
        ("lsp-del", ":advertiser"),
        ("lsp-del", "tstor-node2"),
        ("lsp-set-addresses", "tstor-node2", "0a:58:00:00:00:77"),
        ("ls-del", "blue_transit_switch"),
        ("lr-del", "blue_ovn_cluster_router"),
    ):
        done = a.writer.figures.operations
        await asyncio.to_thread(a.zone.run, "ovn-nbctl", *command)
        await written(a, lambda: a.writer.figures.operations > done and contents(a) == before)  # noqa: B023
    await works(net)


async def test_a_nodes_own_pods_do_without_all_that_leads_away(cluster: Cluster) -> None:
    net = await build(cluster)
    a, b = cluster.kept
    near = await net.pod("near", a, 21)
    cluster.end()
    for command in (("ls-del", "transit_switch"), ("lr-del", "ovn_cluster_router")):
        await asyncio.to_thread(a.zone.run, "ovn-nbctl", "--wait=hv", *command)
    for version in (4, 6):
        assert await pings(near, net.address(a, 11, version))
        assert not await pings(near, net.address(b, 12, version), 1)
    again = writer.OvnWriter(a.state, a.nb, a.sb)
    task = asyncio.create_task(again.run())
    await again.settled()
    task.cancel()
    await works(net)


async def test_what_went_while_nobody_looked_is_removed(cluster: Cluster) -> None:
    """The default network keeps its own rows, a secondary one none without a pod."""
    await build(cluster)
    a, b = cluster.kept
    cluster.end()
    for name in ("red", "one", "two"):
        a.state.set_pod(ObjectKey("default", name), None)
    a.state.set_node(b.zone.name, None)
    a.state.changes()
    again = writer.OvnWriter(a.state, a.nb, a.sb)
    task = asyncio.create_task(again.run())
    await again.settled()
    owners = {
        (tables.owner(row), tables.external_id(row, "weft/network"))
        for table in tables.NB
        for row in a.nb.rows(table.name).values()
        if table.name != tables.REQUIRED_NB_GLOBAL.table
    }
    assert owners == {("Network//default", "default")}
    a.state.set_nad(ObjectKey("", "default"), None)
    again.wake()
    await again.settled()
    task.cancel()
    left = [row for table in tables.NB for row in a.nb.rows(table.name).values()]
    assert left == list(a.nb.rows(tables.REQUIRED_NB_GLOBAL.table).values())
