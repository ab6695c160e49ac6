"""An agent as a process: is it ready, and what does it say when it is not?"""

from __future__ import annotations

import asyncio

import pytest

from tests.support.objects import nad, node
from tests.support.patience import PATIENCE
from tests.support.readiness import Ready
from tests.support.whole import Whole
from tests.support.zones import Zone
from weft.kube import resources
from weft.kube.client import Client
from weft_lab.runtime import inotify

pytestmark = pytest.mark.real

SOCKET = "run/weft/health.sock"
IDS = ("Open_vSwitch", ".", "external_ids")


@pytest.fixture
async def agent(whole: Whole, api: Client) -> tuple[Zone, Ready]:
    zone = whole.wire.zone()
    await api.create(resources.NODES, node(zone.name))
    await api.create(resources.NADS, nad("blue", None))
    zone.run("mkdir", "-p", "/run/weft")
    whole.start_agent(zone, "--health", f"unix:/{SOCKET}", "--ovsdb-probe", "1")
    async with asyncio.timeout(PATIENCE):
        await inotify.Folders().wait_socket(zone.root / SOCKET)
    ready = Ready(zone.root / SOCKET)
    await ready.until(lambda status, _: status == 200)
    return zone, ready


@pytest.mark.parametrize(
    ("pid", "named"),
    [
        ("/run/ovn/nb.pid", "OVN_Northbound"),
        ("/run/ovn/sb.pid", "OVN_Southbound"),
        ("/run/openvswitch/ovsdb-server.pid", "Open_vSwitch"),
    ],
)
async def test_a_database_that_hangs_is_named_until_it_answers(
    agent: tuple[Zone, Ready], pid: str, named: str
) -> None:
    zone, ready = agent
    process = zone.run("cat", pid).strip()
    await asyncio.to_thread(zone.run, "kill", "-STOP", process)
    try:
        trouble = await ready.until(lambda status, text: status == 503 and named in text)
        assert "is not followed" in trouble
    finally:
        await asyncio.to_thread(zone.run, "kill", "-CONT", process)
    await ready.until(lambda status, _: status == 200)


async def test_a_northd_that_is_gone_is_reported_by_an_agent_that_starts(
    whole: Whole, agent: tuple[Zone, Ready]
) -> None:
    """What it derived cannot be confirmed without it."""
    zone, ready = agent
    await asyncio.to_thread(whole.stop, whole.processes.pop())
    await asyncio.to_thread(zone.stop, "ovn-northd")
    zone.run("rm", f"/{SOCKET}")
    whole.start_agent(zone, "--health", f"unix:/{SOCKET}")
    async with asyncio.timeout(PATIENCE):
        await inotify.Folders().wait_socket(zone.root / SOCKET)
    await ready.until(lambda status, text: "northd" in text)
    assert (await ready.ask())[0] == 503
    await asyncio.to_thread(zone.start, "ovn-northd")
    await ready.until(lambda status, _: status == 200)


@pytest.mark.parametrize(
    ("command", "holds"),
    [
        ("set Bridge br-int protocols=OpenFlow10", "Bridge br-int protocols=[]"),
        ("set-fail-mode br-int standalone", "Bridge br-int fail_mode=secure"),
        ("set-controller br-int tcp:192.0.2.200:6653", "Bridge br-int controller=[]"),
        ("set Bridge br-int stp_enable=true", "Bridge br-int stp_enable=false"),
        ("set Bridge br-int rstp_enable=true", "Bridge br-int rstp_enable=false"),
        (
            "set Open_vSwitch . external_ids:ovn-is-interconn=false",
            "Open_vSwitch . external_ids:ovn-is-interconn=true",
        ),
    ],
)
async def test_what_weft_needs_of_the_integration_bridge_is_written_again(
    agent: tuple[Zone, Ready], command: str, holds: str
) -> None:
    zone, ready = agent
    await asyncio.to_thread(zone.run, "ovs-vsctl", "--no-wait", *command.split())
    wait = ("ovs-vsctl", f"--timeout={PATIENCE:.0f}", "wait-until", *holds.split())
    await asyncio.to_thread(zone.run, *wait)
    await ready.until(lambda status, _: status == 200)


async def test_protocols_that_are_enough_stay(agent: tuple[Zone, Ready]) -> None:
    zone, ready = agent
    chosen = "set Bridge br-int protocols=OpenFlow13,OpenFlow15 stp_enable=true"
    await asyncio.to_thread(zone.run, "ovs-vsctl", "--no-wait", *chosen.split())
    wait = f"--timeout={PATIENCE:.0f} wait-until Bridge br-int stp_enable=false"
    await asyncio.to_thread(zone.run, "ovs-vsctl", *wait.split())
    output = await asyncio.to_thread(zone.run, "ovs-vsctl", "get", "Bridge", "br-int", "protocols")
    assert output.strip() == "[OpenFlow13, OpenFlow15]"
    await ready.until(lambda status, _: status == 200)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("remove Open_vSwitch . external_ids ovn-encap-ip", "ovn-encap-ip"),
        ("set Open_vSwitch . external_ids:ovn-encap-type=vxlan", "ovn-encap-type"),
        ("set Open_vSwitch . external_ids:ovn-encap-type-chassis-1=vxlan", "ovn-encap-type"),
        ("set Open_vSwitch . external_ids:ovn-remote=tcp:192.0.2.200:6642", "ovn-remote"),
        ("set Open_vSwitch . external_ids:ovn-bridge=br-phy", "ovn-bridge"),
    ],
)
async def test_a_setting_of_the_administrators_is_named_while_tunnels_cannot_work(
    agent: tuple[Zone, Ready], change: str, named: str
) -> None:
    """It is theirs to write again."""
    zone, ready = agent
    before = await asyncio.to_thread(zone.run, "ovs-vsctl", "get", *IDS)
    await asyncio.to_thread(zone.run, "ovs-vsctl", "--no-wait", *change.split())
    await ready.until(lambda status, text: status == 503 and named in text)
    again = ("clear", *IDS, "--", "set", *IDS[:2], f"external_ids={before.strip()}")
    await asyncio.to_thread(zone.run, "ovs-vsctl", "--no-wait", *again)
    await ready.until(lambda status, _: status == 200)


async def test_an_agent_ends_when_its_node_becomes_another_chassis_and_the_next_announces_it(
    whole: Whole, agent: tuple[Zone, Ready], api: Client
) -> None:
    """Who changes the identity of a node means it: all that names the chassis is made anew."""
    zone, ready = agent
    process = whole.processes[-1]
    change = "set Open_vSwitch . external_ids:system-id=another"
    await asyncio.to_thread(zone.run, "ovs-vsctl", "--no-wait", *change.split())
    assert await asyncio.to_thread(process.wait, PATIENCE) != 0
    assert "chassis or tunnel endpoint was changed" in whole.log(zone.name)
    zone.run("rm", f"/{SOCKET}")
    whole.start_agent(zone, "--health", f"unix:/{SOCKET}")
    async with asyncio.timeout(PATIENCE):
        await inotify.Folders().wait_socket(zone.root / SOCKET)
    await ready.until(lambda status, _: status == 200)
    annotations = (await api.get(resources.NODES, zone.name))["metadata"]["annotations"]
    assert annotations["k8s.ovn.org/node-chassis-id"] == "another"
