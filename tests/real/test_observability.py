"""What an operator follows and counts: one id from the API to OVN, and what policies drop."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from tests.support.objects import Object, nad, node, pod, policy
from tests.support.patience import PATIENCE
from tests.support.whole import Whole
from tests.support.zones import Zone
from weft.kube import resources
from weft.kube.client import Client
from weft_lab.runtime import inotify

pytestmark = [
    pytest.mark.real,
    pytest.mark.parametrize("whole", [("--log-format", "json")], ids=["json"], indirect=True),
]
BLUE = nad("blue", "10.1.0.0/24")
DROPPED = 'weft_policy_dropped_packets{network="blue",namespace="default",direction="ingress"} '


@pytest.fixture
async def zone(whole: Whole, api: Client) -> Zone:
    """A node whose agent serves CNI calls and metrics."""
    found = whole.wire.zone()
    await api.create(resources.NODES, node(found.name))
    await api.create(resources.NADS, BLUE)
    found.run("mkdir", "-p", "/run/weft")
    whole.start_agent(found, "--health", "unix:/run/weft/health.sock")
    async with asyncio.timeout(PATIENCE):
        for name in ("cni.sock", "health.sock"):
            await inotify.Folders().wait_socket(found.root / "run/weft" / name)
    return found


async def attach(whole: Whole, api: Client, zone: Zone, obj: Object) -> tuple[str, str]:
    """Makes a pod with an interface; returns its uid and its address."""
    made = await api.create(resources.PODS, obj)
    await asyncio.to_thread(whole.make_sandbox, zone, obj["metadata"]["name"])
    status, result = await asyncio.to_thread(whole.call, zone, "ADD", made, "net1", BLUE)
    assert status == 0, result
    return made["metadata"]["uid"], result["ips"][0]["address"].partition("/")[0]


def entries(whole: Whole, name: str, uid: str) -> list[str]:
    """The messages of a process' log with this id."""
    found = (json.loads(line) for line in whole.log(name).splitlines() if line.endswith("}"))
    return [each["message"] for each in found if each.get("id") == uid]


async def logged(whole: Whole, name: str, uid: str, words: str) -> bool:
    return any(words in message for message in entries(whole, name, uid))


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await holds():  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.05)


async def test_one_id_leads_from_the_api_to_ovn(whole: Whole, api: Client, zone: Zone) -> None:
    uids = [(await attach(whole, api, zone, pod(n, "blue", node=zone.name)))[0] for n in "ab"]
    assert len(set(uids)) == 2
    for name, uid in zip("ab", uids, strict=True):
        # Of the manager, of the CNI call, and of the transaction.
        for process, words in (
            ("manager", f"Pod default/{name}: allocations are written"),
            (zone.name, "ADD net1 for "),
            (zone.name, f"rows of Pod/default/{name} are in the Northbound database"),
        ):
            await until(functools.partial(logged, whole, process, uid, words))
        other = "ab".replace(name, "")
        assert not [x for x in entries(whole, zone.name, uid) if f"default/{other}" in x]
        where = ("find", "Logical_Switch_Port", f"external_ids:weft/uid={uid}")
        ports = zone.run("ovn-nbctl", "--bare", "--columns=name", *where).split()
        where = ("find", "Interface", f"external_ids:iface-id-ver={uid}")
        interfaces = zone.run("ovs-vsctl", "--bare", "--columns=external_ids", *where)
        assert len(ports) == 1
        assert ports[0] in interfaces


async def test_what_policies_drop_is_a_metric(whole: Whole, api: Client, zone: Zone) -> None:
    guarded = pod("guarded", "blue", node=zone.name, labels={"app": "guarded"})
    free = pod("free", "blue", node=zone.name, labels={"app": "free"})
    addresses = {}
    for name, obj in (("guarded", guarded), ("free", free)):
        _, addresses[name] = await attach(whole, api, zone, obj)

    async def ping(source: str, to: str, count: int = 1) -> bool:
        argv = ("busybox", "ping", "-c", str(count), "-i", "0.1", "-W", "1", addresses[to])
        inside = ("nsenter", f"--net=/run/netns/{source}")
        output = await asyncio.to_thread(zone.run, *inside, *argv, check=False)
        return " bytes from " in output

    async def has_dropped(number: float) -> bool:
        return await dropped(zone.root) >= number

    await until(lambda: ping("free", "guarded"))
    assert DROPPED not in await metrics(zone.root)
    await api.create(resources.MULTINETWORKPOLICIES, policy("shut", app="guarded", ingress=[]))

    async def is_shut() -> bool:
        return not await ping("free", "guarded") and await has_dropped(1)

    await until(is_shut)
    before = await dropped(zone.root)
    assert not await ping("free", "guarded", 10)
    await until(lambda: has_dropped(before + 10))
    # What passes is not counted: the other way is open, and its replies come back.
    counted = await dropped(zone.root)
    assert await ping("guarded", "free", 50)
    assert not await ping("free", "guarded")  # later than all of them
    await until(lambda: has_dropped(counted + 1))
    assert not await has_dropped(counted + 50)


async def metrics(root: Path) -> str:
    connector = aiohttp.UnixConnector(str(root / "run/weft/health.sock"))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get("http://localhost/metrics") as response,
    ):
        return await response.text()


async def dropped(root: Path) -> float:
    lines = (await metrics(root)).splitlines()
    found = [line.removeprefix(DROPPED) for line in lines if line.startswith(DROPPED)]
    return float(found[0]) if found else 0.0
