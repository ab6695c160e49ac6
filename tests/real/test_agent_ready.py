"""An agent as a process: is it ready, and what does it say when it is not?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp
import pytest

from tests.support.patience import PATIENCE
from tests.support.whole import Whole, nad, node
from tests.support.zones import Zone
from weft.kube import resources
from weft.kube.client import Client
from weft_lab.runtime import inotify

pytestmark = pytest.mark.real

SOCKET = "run/weft/health.sock"


class Ready:
    """An agent's `/readyz`, asked as who runs it asks: again and again."""

    def __init__(self, zone: Zone) -> None:
        self._socket = zone.root / SOCKET

    async def ask(self) -> tuple[int, str]:
        connector = aiohttp.UnixConnector(str(self._socket))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get("http://localhost/readyz") as response,
        ):
            return response.status, await response.text()

    async def until(self, holds: Callable[[int, str], bool]) -> str:
        async with asyncio.timeout(PATIENCE):
            while not holds(*(said := await self.ask())):  # noqa: ASYNC110 (nobody tells)
                await asyncio.sleep(0.1)
        return said[1]


@pytest.fixture
async def agent(whole: Whole, api: Client) -> tuple[Zone, Ready]:
    zone = whole.wire.zone()
    await api.create(resources.NODES, node(zone))
    await api.create(resources.NADS, nad("blue"))
    zone.run("mkdir", "-p", "/run/weft")
    whole.start_agent(zone, "--health", f"unix:/{SOCKET}", "--ovsdb-probe", "1")
    async with asyncio.timeout(PATIENCE):
        await inotify.Folders().wait_socket(zone.root / SOCKET)
    ready = Ready(zone)
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
        said = await ready.until(lambda status, text: status == 503 and named in text)
        assert "is not followed" in said
    finally:
        await asyncio.to_thread(zone.run, "kill", "-CONT", process)
    await ready.until(lambda status, _: status == 200)


async def test_a_northd_that_is_gone_is_told_by_an_agent_that_starts(
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
