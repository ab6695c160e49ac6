"""What goes away and comes back in a zone: chassis, daemons, databases, the writer itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.real.test_zone import build, pings
from tests.support.patience import PATIENCE
from tests.support.realised import PORT, Cluster, Kept, info
from weft import model
from weft.control.zone import writer
from weft.model import ObjectKey
from weft.ovn import ports, tables

pytestmark = pytest.mark.real

TWO = "default.blue_default_two"


async def test_a_chassis_leaves_and_returns(cluster: Cluster) -> None:
    """As its Node does: gone from the zone with its ports, and back under another name."""
    scene = await build(cluster)
    one = scene.guests["one"]
    assert await pings(one, "10.1.0.12")
    name = scene.b.zone.name
    await cluster.update(lambda zone: zone.set_node(name, None))
    assert scene.a.nb.get(PORT, TWO) is None
    assert scene.a.sb.get("Chassis", scene.b.zone.chassis) is None
    assert await asyncio.to_thread(one.loses, "10.1.0.12")
    await cluster.update(lambda zone: zone.set_node(name, info(scene.b.zone)))
    await scene.a.bound(TWO, scene.b.zone.chassis)
    assert await pings(one, "10.1.0.12")


async def test_a_node_becomes_another_chassis(cluster: Cluster) -> None:
    """Its own zone forgets the former one: ovn-controller cannot register beside it."""
    scene = await build(cluster)
    one = scene.guests["one"]
    assert await pings(one, "10.1.0.12")
    former, new = scene.b.zone.chassis, "chassis-2b"
    b = await cluster.renamed(scene.b, new)
    for kept in (scene.a, b):
        await kept.bound(TWO, new)
        assert kept.sb.get("Chassis", former) is None
        await kept.synced()
    assert await pings(one, "10.1.0.12")
    assert await pings(scene.guests["three"], "10.1.0.11")


async def test_rows_that_somebody_removes_come_back(cluster: Cluster) -> None:
    scene = await build(cluster)
    one, a = scene.guests["one"], scene.a
    assert await pings(one, "10.1.0.12")
    for command in (
        ("ovn-sbctl", "chassis-del", scene.b.zone.chassis),
        ("ovn-nbctl", "lsp-del", TWO),
        ("ovn-nbctl", "lsp-del", "default.blue_default_one"),
        ("ovn-nbctl", "ls-del", "blue_ovn_layer2_switch"),
        ("ovn-nbctl", "--all", "destroy", "DHCP_Options"),
        ("ovn-nbctl", "lsp-set-addresses", TWO, "0a:58:00:00:00:77"),
    ):
        done = a.writer.figures.operations
        await asyncio.to_thread(a.zone.run, *command)
        await written(a, lambda: a.writer.figures.operations > done)  # noqa: B023
        await a.nb.wait_for("Logical_Switch", "blue_ovn_layer2_switch", bool, PATIENCE)
        await a.nb.wait_for("DHCP_Options", "dhcp4/blue", bool, PATIENCE)
        await a.nb.wait_for(
            PORT,
            TWO,
            lambda row: row is not None and "10.1.0.12" in str(row["addresses"]),
            PATIENCE,
        )
        await a.bound(TWO, scene.b.zone.chassis)
        await a.bound("default.blue_default_one", a.zone.chassis)
    assert await pings(one, "10.1.0.12")


@pytest.mark.parametrize("daemon", ["ovn-northd", "ovn-controller"])
async def test_a_daemon_restarts(cluster: Cluster, daemon: str) -> None:
    """Nothing is written for it, what was wired works, and what came meanwhile works after."""
    scene = await build(cluster)
    assert await pings(scene.guests["one"], "10.1.0.12")
    before = scene.a.writer.figures.operations
    await asyncio.to_thread(scene.a.zone.stop, daemon)
    late = await cluster.pod("late", scene.b, "default/blue", 20, "10.1.0.20/24")
    wired = asyncio.create_task(cluster.guest(scene.b, late))
    await asyncio.to_thread(scene.a.zone.start, daemon)
    (await wired).take("10.1.0.20/24")
    await scene.a.bound("default.blue_default_one", scene.a.zone.chassis)
    assert await pings(scene.guests["one"], "10.1.0.12")
    assert await pings(scene.guests["one"], "10.1.0.20")
    assert scene.a.writer.figures.operations - before == 2  # the late port and its place
    assert scene.a.writer.figures.rebuilds == 1


async def test_a_new_writer_finds_nothing_to_do(cluster: Cluster) -> None:
    scene = await build(cluster, subnets=("10.1.0.0/24", "fd00:1::/64"))
    again = writer.OvnWriter(scene.a.state, scene.a.nb, scene.a.sb)
    task = asyncio.create_task(again.run())
    await again.settled()
    task.cancel()
    assert again.figures.rebuilds == 1
    assert again.figures.operations == 0


async def test_rows_of_what_went_while_nobody_looked_are_removed(cluster: Cluster) -> None:
    """And rows of others stay."""
    scene = await build(cluster)
    kept = scene.a
    cluster.end()
    await asyncio.to_thread(kept.zone.run, "ovn-nbctl", "ls-add", "theirs")
    for name in ("one", "two", "three", "four"):
        kept.state.set_pod(ObjectKey("default", name), None)
    kept.state.set_node(scene.b.zone.name, None)
    kept.state.changes()
    again = writer.OvnWriter(kept.state, kept.nb, kept.sb)
    task = asyncio.create_task(again.run())
    await again.settled()
    task.cancel()
    names = {str(row["name"]) for row in kept.nb.rows("Logical_Switch").values()}
    assert names == {"theirs"}
    assert not kept.nb.rows(PORT)
    assert not kept.nb.rows("DHCP_Options")
    assert kept.sb.get("Chassis", scene.b.zone.chassis) is None
    assert kept.sb.get("Chassis", kept.zone.chassis) is not None


async def test_a_wiped_northbound_is_rebuilt(cluster: Cluster) -> None:
    scene = await build(cluster)
    zone, a = scene.a.zone, scene.a
    assert await pings(scene.guests["one"], "10.1.0.12")
    before = contents(a)
    await lose_northbound(cluster, a)
    assert contents(a) == before
    await a.bound("default.blue_default_one", zone.chassis)
    await a.bound(TWO, scene.b.zone.chassis)
    assert await pings(scene.guests["one"], "10.1.0.12")


async def lose_northbound(cluster: Cluster, kept: Kept) -> None:
    """An empty one in its place, and all written again."""
    number = await asyncio.to_thread(kept.zone.run, *NUMBER)
    await asyncio.to_thread(kept.zone.stop, "nb")
    await asyncio.to_thread(cluster.wire.renew, kept.zone, "ovn-nb", "/run/ovn/nb.db")
    rebuilds = kept.writer.figures.rebuilds
    await asyncio.to_thread(kept.zone.start, "nb")
    done = kept.writer.figures
    await written(kept, lambda: done.rebuilds > rebuilds and not kept.writer.trouble)
    await asyncio.to_thread(kept.zone.run, *counted_on(number))


# A new database would count again from 0, and --wait=hv take what the chassis said before for an
# answer.
NUMBER = ("ovn-nbctl", "get", "NB_Global", ".", "nb_cfg")


def counted_on(number: str) -> tuple[str, ...]:
    return "ovn-nbctl", "set", "NB_Global", ".", f"nb_cfg={number.strip()}"


async def written(kept: Kept, done: Callable[[], bool]) -> None:
    """Returns when something is done, looked at after each round of the writer."""
    looked = asyncio.Event()
    kept.on_written = looked.set
    async with asyncio.timeout(PATIENCE):
        while not done():
            await looked.wait()
            looked.clear()


def contents(kept: Kept) -> set[str]:
    """All rows of ours without what differs from database to database: UUIDs."""
    found = set()
    for table in tables.NB:
        for row in filter(tables.owner, kept.nb.rows(table.name).values()):
            plain = {c: v for c, v in row.items() if c not in (*tables.CHILD_COLUMNS, *_REFERENCES)}
            found.add(f"{table.name} {sorted(plain.items(), key=str)}")
    return found


_REFERENCES = ("dhcpv4_options", "dhcpv6_options")


async def test_a_pod_that_moves_keeps_its_row(cluster: Cluster) -> None:
    """Local becomes remote and the other way round, in place in both zones."""
    scene = await build(cluster)
    uuids = [kept.nb.uuid(PORT, TWO) for kept in (scene.a, scene.b)]
    port = await cluster.pod("two", scene.a, "default/blue", 12, "10.1.0.12/24", uid="uid-new")
    scene.b.zone.run("ovs-vsctl", "del-port", "g0")
    guest = await cluster.guest(scene.a, port)
    guest.take("10.1.0.12/24")
    assert [kept.nb.uuid(PORT, TWO) for kept in (scene.a, scene.b)] == uuids
    assert await pings(scene.guests["one"], "10.1.0.12")
    assert await pings(scene.guests["three"], "10.1.0.12")


@pytest.mark.parametrize("style", [ports.RemotePorts.PLAIN])
async def test_the_last_local_pod_takes_the_network_along(
    cluster: Cluster, style: ports.RemotePorts
) -> None:
    scene = await build(cluster, style)
    await cluster.gone("one")
    assert not scene.a.nb.rows(PORT)
    assert not scene.a.nb.rows("Logical_Switch")
    assert not scene.a.nb.rows("DHCP_Options")
    assert len(scene.b.nb.rows(PORT)) == 3


async def test_one_bad_node_harms_no_other(cluster: Cluster) -> None:
    """Two nodes that claim one endpoint: the server refuses the second, all else is written."""
    scene = await build(cluster)
    kept = scene.a
    for number in range(20, 30):
        name = f"node{number}"
        address = scene.b.zone.address if number == 25 else f"192.0.2.{number}"
        made = model.NodeInfo(name, f"chassis-{number}", (address,))
        kept.state.set_node(name, made)
    kept.state.set_pod(ObjectKey("default", "more"), None)
    kept.writer.wake()
    await written(kept, lambda: kept.writer.figures.refused > 0)
    found = {str(row["name"]) for row in kept.sb.rows("Chassis").values()}
    assert found == {"chassis-1", "chassis-2"} | {f"chassis-{n}" for n in range(20, 30) if n != 25}
    assert "192.0.2.2" in kept.writer.trouble
    kept.state.set_node("node25", None)
    kept.writer.wake()
    await written(kept, lambda: not kept.writer.trouble)
