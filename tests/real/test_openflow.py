"""The OpenFlow connection to a real switch, and what is said while there is none."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from operator import attrgetter
from pathlib import Path

import pytest

from tests.support import forged, frames
from tests.support.patience import PATIENCE
from tests.support.zones import Wire, Zone
from weft import errors
from weft.api import pod
from weft.app import guards
from weft.control.zone import state
from weft.kube import cache, resources
from weft.kube.client import Client
from weft.metrics import Metric
from weft.nic import port
from weft.openflow import session
from weft.openflow.session import Session
from weft.ovn import flows, guard, tables
from weft.ovn.flows import Field
from weft.ovsdb.replica import Replica

pytestmark = pytest.mark.real

FALSE = "0a:58:0a:01:00:99"


def unseen(_: flows.FlowUpdate) -> None:
    raise AssertionError("nothing was watched")


def listener(zone: Zone, bridge: str = "br-int") -> Path:
    return zone.root / f"run/openvswitch/{bridge}.mgmt"


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_switch_says_what_it_has_what_changes_and_what_it_refuses(wire: Wire) -> None:
    zone = await asyncio.to_thread(wire.zone)
    seen: list[flows.FlowUpdate] = []
    one, other = await Session.connect(listener(zone), seen.append), None
    try:
        one.send([lambda xid: flows.monitor(1, 250, {}, xid)])
        await one.barrier()
        mine = flows.flow(250, 1, {Field.IN_PORT: 1})
        one.send([lambda xid: flows.add(mine, xid)])
        await one.barrier()
        assert seen == []  # what one does oneself is not told
        other = await Session.connect(listener(zone), unseen)
        other.send([lambda xid: flows.remove(250, mine.cookie, xid)])
        await other.barrier()
        await until(lambda: bool(seen))
        assert seen == [flows.FlowUpdate(flows.FlowEvent.REMOVED, 250, mine.cookie)]
        # A field of TCP or UDP without the protocol.
        wrong = flows.flow(250, 1, {Field.UDP_DST: 68})
        one.send([lambda xid: flows.add(wrong, xid)])
        with pytest.raises(errors.Unavailable, match="refused a request"):
            await one.barrier()
        await one.barrier()  # once
    finally:
        one.close()
        if other is not None:
            other.close()


async def test_a_bridge_of_another_version_is_named(wire: Wire) -> None:
    zone = await asyncio.to_thread(wire.zone)
    await asyncio.to_thread(
        zone.run, "ovs-vsctl", "set", "Bridge", "br-phy", "protocols=OpenFlow10"
    )
    with pytest.raises(errors.Unavailable, match=r"no OpenFlow 1\.5"):
        await Session.connect(listener(zone, "br-phy"), unseen)
    with pytest.raises(errors.Unavailable, match="cannot connect"):
        await Session.connect(listener(zone, "br-none"), unseen)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "does not answer"),
        (b"\0" * 64, "a message of 0 bytes"),
        (None, "ended by the switch|reset"),
    ],
)
async def test_who_answers_nonsense_or_nothing_is_left(
    answer: bytes | None, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "PROBE", 0.2)

    async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer is None:
            writer.close()
        else:
            writer.write(answer)

    async with await asyncio.start_unix_server(speak, tmp_path / "mgmt"):
        with pytest.raises(errors.Unavailable, match=why):
            await Session.connect(tmp_path / "mgmt", unseen)


async def test_a_node_whose_switch_is_away_or_hangs_says_so(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone = await asyncio.to_thread(wire.zone)
    async with keeping(zone) as kept:
        await until(lambda: not kept.trouble)
        assert kept.figures()[Metric.GUARD_WRITTEN] == len(guard.common_flows())
        await asyncio.to_thread(zone.stop, "ovs-vswitchd")
        await until(lambda: "guard against rogue routers" in kept.trouble)
        await asyncio.to_thread(zone.start, "ovs-vswitchd")
        await until(lambda: not kept.trouble)
        monkeypatch.setattr(session, "PROBE", 0.2)
        pid = switch_pid(zone)
        os.kill(pid, signal.SIGSTOP)
        try:
            await until(lambda: "no answer" in kept.trouble or "not answer" in kept.trouble)
        finally:
            os.kill(pid, signal.SIGCONT)
        monkeypatch.undo()
        await until(lambda: not kept.trouble)


async def test_a_solicitation_of_a_mac_that_is_not_known_yet_is_put_right(wire: Wire) -> None:
    """A port that OVN has and weft has not: it is heard with the MAC that it sends from."""
    zone = await asyncio.to_thread(wire.zone)
    macs = ("0a:58:0a:09:00:01", "0a:58:0a:09:00:02")
    await asyncio.to_thread(zone.run, "ovn-nbctl", "ls-add", "s")
    for mac in macs:
        held = ("lsp-set-addresses", mac, mac)
        await asyncio.to_thread(zone.run, "ovn-nbctl", "lsp-add", "s", mac, "--", *held)
    one, other = [await asyncio.to_thread(zone.guest, mac, mac) for mac in macs]
    assert await asyncio.to_thread(one.pings, forged.link_local(other.mac) + "%eth0")
    own, all_nodes = forged.link_local(one.mac), forged.ALL_NODES

    def asking(mac: str) -> bytes:
        asked = forged.solicitation(own, "fe80::1234", forged.source_option(mac))
        packet = forged.ipv6(own, all_nodes, 58, asked)
        return forged.ethernet(one.mac, forged.ALL_NODES_MAC, 0x86DD, packet)

    def received() -> list[bytes]:
        end = frames.udp(one.mac, other.mac, own, forged.link_local(other.mac), b"the end")
        with frames.capture(other.space) as capture:
            frames.send(one.space, asking(FALSE), end)
            return capture.until(lambda frame: b"the end" in frame)

    assert asking(FALSE) in await asyncio.to_thread(received)  # without port security
    async with keeping(zone) as kept:
        await until(lambda: not kept.trouble)
        found = await asyncio.to_thread(received)
    assert asking(FALSE) not in found
    assert asking(one.mac) in found


@contextlib.asynccontextmanager
async def keeping(zone: Zone) -> AsyncIterator[guards.Guards]:
    """What an agent does of it, without an agent."""
    pods = cache.Informer(
        Client.__new__(Client), resources.PODS, pod.read, attrgetter("uid", "version")
    )
    async with (
        await Replica.open(zone.ovs, port.DATABASE, port.TABLES) as ovs,
        await Replica.open(zone.nb, tables.NORTHBOUND, tables.NB) as nb,
    ):
        kept = guards.Guards(ovs, nb, zone.chassis, state.Zone(zone.name, zone.chassis), pods)
        assert "not written yet" in kept.trouble
        running = asyncio.ensure_future(kept.run())
        try:
            yield kept
        finally:
            running.cancel()
            await asyncio.wait([running])


def switch_pid(zone: Zone) -> int:
    """The daemon's PID as this test counts."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _is_switch_of(entry, zone):
            return int(entry.name)
    raise AssertionError("no vswitchd runs")


def _is_switch_of(entry: Path, zone: Zone) -> bool:
    try:
        command = (entry / "cmdline").read_bytes()
        here = (entry / "ns/mnt").readlink() == Path(f"/proc/{zone.space.pid}/ns/mnt").readlink()
    except OSError:
        return False
    return here and b"vswitchd" in command.split(b"\0--pidfile")[0] and b"monitor" not in command
