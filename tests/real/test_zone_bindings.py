"""Bindings that are lost or stolen behind northd's back, and whether OVN binds again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from tests.real.test_zone import Scene, build, pings
from tests.support.allocated import allocated_pod
from tests.support.patience import PATIENCE
from tests.support.realised import Cluster, Kept, alongside
from weft import model
from weft.control.zone import bindings
from weft.model import ObjectKey
from weft.nic import port as nic
from weft.ovn import ports
from weft.ovsdb.replica import Replica

pytestmark = pytest.mark.real

ONE, TWO = "default.blue_default_one", "default.blue_default_two"


@asynccontextmanager
async def watched(kept: Kept) -> AsyncIterator[bindings.Bindings]:
    """The bindings of a zone, looked after as its agent does."""
    async with await Replica.open(kept.zone.ovs, nic.DATABASE, nic.TABLES) as ovs:
        made = bindings.Bindings(
            kept.nb,
            kept.sb,
            kept.zone.chassis,
            lambda port: bindings.bound_by(ovs.rows("Interface"), port),
        )
        async with alongside(made.run()):
            yield made


async def well(made: bindings.Bindings) -> None:
    async with asyncio.timeout(PATIENCE):
        await made.well()


async def touched(made: bindings.Bindings, kept: Kept) -> None:
    """Returns when a port's row was touched."""
    await kept.nb.wait_for(ports.PORT, TWO, lambda _: made.touches > 0, PATIENCE)


async def test_a_row_that_turns_remote_while_its_interface_goes_is_bound(
    cluster: Cluster,
) -> None:
    """The Southbound server is stopped while northd binds the port there and ovn-controller, which
    has not heard of it, releases it here: both are taken then, in this order."""
    scene = await build(cluster)
    a, b = scene.a, scene.b
    assert await pings(scene.guests["three"], "10.1.0.11")
    pid = b.zone.run("cat", "/run/ovn/sb.pid").strip()
    allocation = scene.ports["two"].allocation
    moved = allocated_pod(
        model.PodRef(model.ObjectKey("default", "two"), "uid-new"),
        a.zone.name,
        {"default/blue": allocation},
    )
    async with watched(b) as made:
        await asyncio.to_thread(b.zone.run, "kill", "-STOP", pid)
        b.state.set_pod(ObjectKey("default", "two"), moved)
        b.writer.wake()
        await b.writer.settled()
        await sent(b, "ovn-northd")
        await asyncio.to_thread(b.zone.run, "ovs-vsctl", "del-port", "g0")
        await sent(b, "ovn-controller")
        await asyncio.to_thread(b.zone.run, "kill", "-CONT", pid)
        await b.bound(TWO, a.zone.chassis)
        await well(made)


async def sent(kept: Kept, daemon: str) -> None:
    """Returns when a daemon has gone round twice: it has most likely sent what it had to."""
    for _ in range(2):
        await asyncio.to_thread(kept.zone.run, "ovn-appctl", "-t", daemon, "version")


async def unbound(kept: Kept, port: str) -> None:
    await asyncio.to_thread(kept.zone.run, "ovn-sbctl", "lsp-unbind", port)


def stolen(column: str, thief: Callable[[Scene], str]) -> Callable[[Scene], object]:
    async def steal(scene: Scene) -> None:
        chassis = scene.a.sb.uuid("Chassis", thief(scene))
        binding = scene.a.sb.uuid("Port_Binding", TWO)
        assert chassis
        assert binding
        await asyncio.to_thread(
            scene.a.zone.run, "ovn-sbctl", "set", "Port_Binding", binding, f"{column}={chassis}"
        )

    return steal


@pytest.mark.parametrize("style", ports.RemotePorts)
async def test_a_remote_port_that_is_unbound_is_bound_again(
    cluster: Cluster, style: ports.RemotePorts
) -> None:
    scene = await build(cluster, style)
    assert await pings(scene.guests["one"], "10.1.0.12")
    async with watched(scene.a) as made:
        await unbound(scene.a, TWO)
        if style is ports.RemotePorts.PLAIN:
            await touched(made, scene.a)
        await scene.a.bound(TWO, scene.b.zone.chassis)
        await well(made)
        row = scene.a.nb.get(ports.PORT, TWO)
        assert row is not None
        assert "weft/touched" not in str(row[1]["external_ids"])
        assert await pings(scene.guests["one"], "10.1.0.12")


async def test_a_remote_port_that_is_bound_here_is_bound_there_again(cluster: Cluster) -> None:
    scene = await build(cluster)
    assert await pings(scene.guests["one"], "10.1.0.12")
    async with watched(scene.a) as made:
        await stolen("chassis", lambda scene: scene.a.zone.chassis)(scene)  # type: ignore[misc]
        await touched(made, scene.a)
        await scene.a.bound(TWO, scene.b.zone.chassis)
        await well(made)
        assert await pings(scene.guests["one"], "10.1.0.12")


async def test_a_further_chassis_of_a_binding_is_taken_out(cluster: Cluster) -> None:
    scene = await build(cluster)
    async with watched(scene.a) as made:
        steal = stolen("additional_chassis", lambda scene: scene.a.zone.chassis)
        await steal(scene)  # type: ignore[misc]
        await scene.a.sb.wait_for(
            "Port_Binding", TWO, lambda row: bool(row and not row["additional_chassis"]), PATIENCE
        )
        await well(made)


async def test_a_local_port_that_is_bound_elsewhere_comes_back(cluster: Cluster) -> None:
    scene = await build(cluster)
    b = scene.b
    assert await pings(scene.guests["one"], "10.1.0.12")
    async with watched(b) as made:
        chassis, binding = (
            b.sb.uuid("Chassis", scene.a.zone.chassis),
            b.sb.uuid("Port_Binding", TWO),
        )
        assert binding
        set_ = ("ovn-sbctl", "set", "Port_Binding", binding, f"chassis={chassis}")
        await asyncio.to_thread(b.zone.run, *set_)
        await b.bound(TWO, b.zone.chassis)
        await well(made)
        assert await pings(scene.guests["one"], "10.1.0.12")


async def test_what_went_wrong_while_nobody_looked_is_found_at_the_start(
    cluster: Cluster,
) -> None:
    scene = await build(cluster)
    await stolen("chassis", lambda scene: scene.a.zone.chassis)(scene)  # type: ignore[misc]
    await unbound(scene.a, "default.blue_default_three")
    async with watched(scene.a) as made:
        await scene.a.bound(TWO, scene.b.zone.chassis)
        await scene.a.bound("default.blue_default_three", scene.b.zone.chassis)
        await well(made)


async def test_what_is_as_it_should_be_is_not_touched(cluster: Cluster) -> None:
    scene = await build(cluster)
    async with watched(scene.a) as made:
        late = await cluster.pod("late", scene.a, "default/blue", 20, "10.1.0.20/24")
        await scene.a.sb.wait_for("Port_Binding", ports.port_key(late), bool, PATIENCE)
        await cluster.guest(scene.a, late)
        await made._queue.idle()
        assert (made.touches, made.trouble) == (0, "")
