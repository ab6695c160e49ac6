"""Measures how long a viewer of `weft console` waits for each page of a cluster with 1,000 pods.

API server, cluster manager and console are processes of their own; this one is the browser. A time
runs from the request to the last byte of the HTML. Warm: the viewer's watches run, as they do while
any page of theirs is open, and half a minute after; a pod's label has changed before each. Cold: a
viewer's first page, for which all its kinds must be listed first; each is another viewer's, who has
logged in with another token. An update's time runs from the write to the API server to the last
byte of what the page's stream sends for it, and so it has the pause in which updates are gathered.

The first open is that of a process that has shown no page of this kind, by a viewer whose watches
run: it is what is not remembered yet that it pays for, and not the lists.

A page is opened WARM times, or as often as it can be in SHARE seconds: on a busy machine there are
fewer samples, and the bench still ends in minutes. There the processor's time tells more than the
clock's.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import uvloop

from bench import burst, estate
from bench.estate import Size
from bench.figures import Figure
from weft.kube import resources
from weft.kube.client import Client
from weft.kube.resources import Resource

SIZE = Size(1000)
WARM, COLD, UPDATES = 50, 1, 5
FEWEST = 5  # samples, however long they take
SHARE = 6.0  # seconds of a page, changed or not
PATIENCE = 120.0  # seconds in which an update has come, or the bench breaks off
LIMIT = 100.0  # ms of a page, of the clock and of the processor; also the first time
WARM_LIMIT = 50.0  # ms of the processor for a page that was open before, with a change
UPDATE_LIMIT = 1000.0  # ms
CHURN = 5.0  # seconds of changes that no page shows
OWN = {"Sec-Fetch-Site": "same-origin"}
GROUPS = "system:serviceaccounts"
BINDINGS = Resource(
    *("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding"), False
)
# Pages whose HTML grows with the cluster; the rest are forms and devices.
PATHS = (
    "/",
    "/topology",
    "/networks",
    "/networks/{network}",
    "/policies",
    "/policies/s1/p1",
    f"/matrix?network={estate.network(1)}",
    "/explain",
    "/flows",
    "/machines",
    "/machines/s1/vm1",
    "/nodes",
    "/events",
)


FIRSTS = ("/topology", f"/matrix?network={estate.network(1)}")


@dataclass
class Bench:
    api: Client
    base: str
    pid: int
    stack: AsyncExitStack

    async def get(self, session: aiohttp.ClientSession, path: str) -> tuple[float, int]:
        """Milliseconds to the whole page, and its bytes."""
        begun = time.perf_counter()
        async with session.get(self.base + path) as answer:
            text = await answer.read()
            assert answer.status == 200, text
        return 1000 * (time.perf_counter() - begun), len(text)

    async def viewer(self, name: str) -> aiohttp.ClientSession:
        """A browser of somebody who may do everything, logged in."""
        account = {"metadata": {"name": name, "namespace": "default"}}
        await self.api.create(resources.SERVICE_ACCOUNTS, account)
        path = f"/api/v1/namespaces/default/serviceaccounts/{name}/token"
        made = await self.api.request("POST", path, body=b"{}", content_type="application/json")
        token = made["status"]["token"]
        jar = aiohttp.CookieJar(unsafe=True)
        session = await self.stack.enter_async_context(aiohttp.ClientSession(cookie_jar=jar))
        async with session.post(
            f"{self.base}/login", data={"token": token}, headers=OWN, allow_redirects=False
        ) as done:
            assert done.status == 303, await done.text()
        return session

    def cpu(self) -> float:
        """Milliseconds of processor that the console has used."""
        stat = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return 1000 * (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def console(kubeconfig: Path) -> AsyncIterator[tuple[str, int]]:
    """The address and pid of a console at which viewers log in."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "weft", "console", "--login", f"--kubeconfig={kubeconfig}"),
        stdout=asyncio.subprocess.PIPE,
        cwd=burst.ROOT,
    )
    assert process.stdout is not None
    try:
        line = (await process.stdout.readline()).decode()
        yield line.split()[1].removesuffix("/login"), process.pid
    finally:
        process.terminate()
        await process.wait()


async def found(api: Client, path: str) -> str:
    """The path with the name of the Network object of a network."""
    for each in await api.list(resources.NETWORKS) if "{network}" in path else ():
        if (each.get("status") or {}).get("network") == estate.network(1):
            return path.replace("{network}", each["metadata"]["name"])
    return path


async def firsts(bench: Bench) -> AsyncIterator[Figure]:
    """The first open of pages that are made of most objects. The viewer has asked for the matrix of
    no network, which reads the same kinds and makes nothing of them."""
    session = await bench.viewer("first")
    await bench.get(session, "/matrix")
    await bench.get(session, "/nodes")
    await asyncio.sleep(1.0)  # the console has nothing to do any more
    for path in FIRSTS:
        before = bench.cpu()
        took = (await bench.get(session, path))[0]
        name = f"page {path}, first open"
        yield Figure(name, took, "ms", at_most=LIMIT)
        yield Figure(f"{name}: processor", bench.cpu() - before, "ms", at_most=LIMIT)


async def pages(bench: Bench, session: aiohttp.ClientSession) -> AsyncIterator[Figure]:
    for number, pattern in enumerate(PATHS):
        path = await found(bench.api, pattern)
        cold = []
        for repeat in range(COLD):
            another = await bench.viewer(f"cold-{number}-{repeat}")
            cold.append((await bench.get(another, path))[0])
        await bench.get(session, path)
        warm, before = [], bench.cpu()
        async for repeat in samples():
            await churn(bench.api, repeat)
            warm.append(await bench.get(session, path))
        cost = (bench.cpu() - before) / len(warm)
        again = sorted([(await bench.get(session, path))[0] async for _ in samples()])
        warm.sort()
        name = f"page {pattern}"
        yield Figure(f"{name}, first of a viewer: median", sorted(cold)[COLD // 2], "ms")
        yield Figure(f"{name}, nothing has changed: p50", again[len(again) // 2], "ms")
        yield Figure(f"{name}, nothing has changed: p99", again[int(0.99 * len(again))], "ms")
        yield Figure(f"{name}: p50", warm[len(warm) // 2][0], "ms")
        beside = f"{len(warm)} samples"
        slow = warm[int(0.99 * len(warm))][0]
        yield Figure(f"{name}: p99", slow, "ms", at_most=LIMIT, beside=beside)
        yield Figure(f"{name}: processor, with the change", cost, "ms", at_most=WARM_LIMIT)
        yield Figure(f"{name}: size", warm[0][1] / 1024, "KiB")


async def samples() -> AsyncIterator[int]:
    """Numbers of samples, as many as there is time for."""
    begun = time.perf_counter()
    for number in range(WARM):
        yield number
        if number + 1 >= FEWEST and time.perf_counter() - begun > SHARE:
            return


async def add_event(api: Client, number: int) -> str:
    made = estate.event(number)
    made["metadata"]["name"] = f"news-{number}"
    made |= {"message": f"news {number}.", "lastTimestamp": f"2026-02-01T00:00:{number:02}Z"}
    await api.create(resources.EVENTS, made)
    return f"news {number}."


async def add_policy(api: Client, number: int) -> str:
    made = estate.policy(number, SIZE)
    made["metadata"]["name"] = f"news-{number}"
    await api.create(resources.MULTINETWORKPOLICIES, made)
    return f"news-{number}<"


async def add_node(api: Client, number: int) -> str:
    await api.create(resources.NODES, estate.node(estate.NODES + number))
    return f"node{estate.NODES + number + 1}<"


async def move(api: Client, number: int) -> str:
    status = {"status": {"printableStatus": f"News{number}"}}
    await api.patch(resources.VMS, "vm1", estate.space(1), status, subresource="status")
    return f"News{number}<"


async def churn(api: Client, number: int) -> str:
    """A pod's change that no page shows, but that changes who may be selected."""
    note = {"metadata": {"labels": {"news": str(number)}}}
    name = "virt-launcher-vm1-bcdfg"
    await api.patch(resources.PODS, name, estate.space(1), note)
    return ""


CHANGES: tuple[tuple[str, Callable[[Client, int], Awaitable[str]]], ...] = (
    ("/events", add_event),
    ("/policies", add_policy),
    ("/machines", move),
    ("/topology", add_node),
)


@asynccontextmanager
async def stream(
    bench: Bench, session: aiohttp.ClientSession, path: str
) -> AsyncIterator[Callable[[str], Awaitable[int]]]:
    """A function that reads until a message with a text has come, whole; its bytes."""
    async with session.get(f"{bench.base}/live{path}", headers=OWN) as answer:
        assert answer.status == 200, await answer.text()
        rest = bytearray()

        async def until(text: str) -> int:
            async with asyncio.timeout(PATIENCE):
                while True:
                    message, end, after = bytes(rest).partition(b"\n\n")
                    if end:
                        rest[:] = after
                        if text.encode() in message:
                            return len(message)
                    else:
                        rest.extend(await answer.content.readany())

        yield until


async def updates(bench: Bench, session: aiohttp.ClientSession) -> AsyncIterator[Figure]:
    for path, change in CHANGES:
        times, costs, size = [], [], 0
        async with stream(bench, session, path) as until:
            await until("event: page")
            for number in range(UPDATES):
                before, begun = bench.cpu(), time.perf_counter()
                size = await until(await change(bench.api, number))
                times.append(1000 * (time.perf_counter() - begun))
                costs.append(bench.cpu() - before)
        name = f"update of {path}"
        yield Figure(f"{name}: median", sorted(times)[UPDATES // 2], "ms", at_most=UPDATE_LIMIT)
        yield Figure(f"{name}: processor", sum(costs) / UPDATES, "ms")
        yield Figure(f"{name}: size", size / 1024, "KiB")
    async with stream(bench, session, "/topology") as until:
        await until("event: page")
        before, begun, number = bench.cpu(), time.perf_counter(), 0
        while time.perf_counter() - begun < CHURN:
            await churn(bench.api, number := number + 1)
        share = (bench.cpu() - before) / (10 * (time.perf_counter() - begun))
        yield Figure("processor for /topology while pods change all the time", share, "%")


async def measured(kubeconfig: Path) -> list[Figure]:
    async with Client.from_kubeconfig(str(kubeconfig)) as api:
        await estate.settle(api, SIZE)
        binding = estate.made(BINDINGS, "viewers")
        role = {"apiGroup": BINDINGS.group, "kind": "ClusterRole", "name": "cluster-admin"}
        subject = {"apiGroup": BINDINGS.group, "kind": "Group", "name": GROUPS}
        await api.create(BINDINGS, {**binding, "roleRef": role, "subjects": [subject]})
        async with console(kubeconfig) as (base, pid), AsyncExitStack() as stack:
            bench = Bench(api, base, pid, stack)
            found = [each async for each in firsts(bench)]
            session = await bench.viewer("warm")
            found += [each async for each in pages(bench, session)]
            found += [each async for each in updates(bench, session)]
            return [*found, Figure("console's memory", burst.resident(pid), "MiB")]


def run() -> Iterable[Figure]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weft-bench-")))
        kubeconfig = stack.enter_context(burst.api_server(folder))
        stack.enter_context(burst.cluster_manager(kubeconfig))
        yield from uvloop.run(measured(kubeconfig))
