"""What do weft's processes cost on a large cluster, and how soon is all well after a restart?

500 nodes, 20,000 pods and 200 networks, times WEFT_BENCH_SCALE (0.1 unless it is set), are objects
of a stock kube-apiserver with etcd. The cluster manager is the real one; agents are real without a
switch, and one of them has the databases and northd of its zone. This process is all kubelets and
Multus. Each node has 40 pods, on 10 networks.

    WEFT_BENCH_SCALE=1 python -m bench --only scale
"""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import uvloop
import yaml

from bench import burst, ports, watches
from bench.controlplane import ControlPlane
from bench.figures import Figure
from bench.processes import Found, Measured, measured
from bench.watches import Object
from weft import names
from weft.kube import cache
from weft.kube.client import Client
from weft.kube.resources import CRDS, NADS, NODES, PODS
from weft.model import ObjectKey
from weft_lab.runtime import toolchain

SCALE = float(os.environ.get("WEFT_BENCH_SCALE", "0.1"))
CLUSTER_NODES, CLUSTER_PODS, NETWORKS = (round(SCALE * each) for each in (500, 20_000, 200))
NETWORKS_OF_NODE = min(10, NETWORKS)
CHURN = max(100, CLUSTER_PODS // 40)
AGENTS = 4
LONE = 30  # pods whose arrival is timed one by one
PATIENCE = 1200.0
MODULE = "bench.scaleparts"
CRD_FILES = burst.ROOT / "deploy/chart/crds"
OWN = "node0"


def network_of(number: int) -> int:
    """The network of a pod; pods of a node take turns on its networks."""
    node, turn = number % CLUSTER_NODES, number // CLUSTER_NODES
    chosen = random.Random(node).sample(range(NETWORKS), NETWORKS_OF_NODE)
    return chosen[turn % NETWORKS_OF_NODE]


def pod(name: str, number: int, network: int | None = None) -> Object:
    made = watches.pod(name, number)
    chosen = network_of(number) if network is None else network
    made["metadata"]["annotations"] = {names.NETWORKS: f"net{chosen}"}
    made["spec"]["nodeName"] = f"node{number % CLUSTER_NODES}"
    return made


class Kubelets:
    """Writes of a pod what kubelet and Multus write, once the manager has decided."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.pods = cache.Informer(
            client, PODS, _seen, lambda seen: (seen[0], seen[1]), metadata_only=True
        )

    async def start(
        self, name: str, made: dict[str, Any], *, steps: tuple[int, ...] = (2,)
    ) -> None:
        await self._client.create(PODS, made)
        key = ObjectKey(watches.NAMESPACE, name)
        await self.pods.wait_for(key, lambda seen: seen[2], PATIENCE)
        for step in steps:
            await self._client.patch(
                PODS, name, watches.NAMESPACE, watches.running(step), subresource="status"
            )
        status = f'[{{"name": "{watches.NAMESPACE}/net", "interface": "net1"}}]'
        notes = {"metadata": {"annotations": {names.NETWORK_STATUS: status}}}
        await self._client.patch(PODS, name, watches.NAMESPACE, notes)

    async def stop(self, name: str) -> None:
        await self._client.delete(PODS, name, watches.NAMESPACE, grace=0)


def _seen(obj: Object) -> tuple[str, str, bool]:
    meta = obj["metadata"]
    is_decided = names.POD_NETWORKS in (meta.get("annotations") or {})
    return meta["uid"], meta["resourceVersion"], is_decided


class Simulation:
    """One run; the methods are its stages, in order."""

    def __init__(self, plane: ControlPlane, client: Client, kubelets: Kubelets) -> None:
        self._plane, self._client, self._kubelets = plane, client, kubelets
        self._manager_config = str(plane.kubeconfig("weft-cluster-manager"))
        self._agent_config = str(plane.kubeconfig("weft-node"))

    def manager(self) -> Any:
        return measured(MODULE, "manager", self._manager_config)

    def agent(self, node: str, *databases: str) -> Any:
        return measured(MODULE, "agent", self._agent_config, node, *databases)

    async def fill(self, manager: Measured) -> Iterable[Figure]:
        client = self._client
        for number in range(NETWORKS):
            await client.create(NADS, burst.nad(f"net{number}"))

        async def add_node(number: int) -> None:
            made = await client.create(NODES, watches.node(number))
            status = {"status": watches.node(number)["status"]}
            await client.patch(NODES, made["metadata"]["name"], "", status, subresource="status")

        await burst.each(add_node, CLUSTER_NODES)
        await manager.until(lambda found: found["queued"] == 0, PATIENCE)
        before, server = await manager.ask(), self._plane.usage()
        began = time.monotonic()
        await burst.each(
            lambda number: self._kubelets.start(f"p{number}", pod(f"p{number}", number)),
            CLUSTER_PODS,
        )
        after = await manager.until(lambda found: found["queued"] == 0, PATIENCE)
        took, spent = time.monotonic() - began, after["cpu"] - before["cpu"]
        requests = after["requests"] - before["requests"]
        cost = self._plane.usage().cpu - server.cpu
        return (
            Figure("all pods start at once", CLUSTER_PODS / took, "pods/s"),
            Figure("manager: CPU of a pod's arrival", 1000 * spent / CLUSTER_PODS, "ms"),
            Figure("manager: requests of a pod's arrival", requests / CLUSTER_PODS, ""),
            Figure("API server and etcd: CPU of a pod's arrival", 1000 * cost / CLUSTER_PODS, "ms"),
            Figure("manager: memory at its peak", after["memory"], "MiB"),
        )

    async def arrivals(self, agent: Measured) -> Iterable[Figure]:
        """Pods of another node, one by one, on a network of the agent's node."""
        sent: dict[str, float] = {}
        for number in range(LONE):
            name = f"lone{number}"
            sent[f"{watches.NAMESPACE}/{name}"] = time.monotonic()
            await self._kubelets.start(name, pod(name, 1, network_of(0)))
        found = await agent.until(lambda seen: len(seen["arrived"]) == LONE, 60)
        times = sorted(found["arrived"][key] - sent[key] for key in sent)
        for number in range(LONE):
            await self._kubelets.stop(f"lone{number}")
        return (
            Figure("pod created until a peer's zone has it: median", 1000 * times[LONE // 2], "ms"),
            Figure("the slowest of 30", 1000 * times[-1], "ms"),
        )

    async def churn(self, manager: Measured, agents: list[Measured]) -> Iterable[Figure]:
        for each in agents:
            await each.quiet()
        before = [await each.ask() for each in (manager, *agents)]
        server, began = self._plane.usage(), time.monotonic()

        async def come_and_go(number: int) -> None:
            name = f"c{number}"
            await self._kubelets.start(name, pod(name, number), steps=(0, 1, 2))
            await self._kubelets.stop(name)

        await burst.each(come_and_go, CHURN)
        took = time.monotonic() - began
        for each in agents:
            await each.quiet()
        after = [await each.ask() for each in (manager, *agents)]
        cost = self._plane.usage().cpu - server.cpu

        def of_pod(key: str, *, agents: bool) -> float:
            deltas = [new[key] - old[key] for old, new in zip(before, after, strict=True)]
            chosen = deltas[1:] if agents else deltas[:1]
            return float(sum(chosen) / len(chosen) / CHURN)

        return (
            Figure("pods come and go", CHURN / took, "pods/s"),
            Figure(
                "agent: received of a pod's life", 1024 * of_pod("received", agents=True), "KiB"
            ),
            Figure("agent: CPU of a pod's life", 1000 * of_pod("cpu", agents=True), "ms"),
            Figure(
                "manager: received of a pod's life", 1024 * of_pod("received", agents=False), "KiB"
            ),
            Figure("manager: CPU of a pod's life", 1000 * of_pod("cpu", agents=False), "ms"),
            Figure("manager: requests of a pod's life", of_pod("requests", agents=False), ""),
            Figure(
                f"API server and etcd with {AGENTS} agents: CPU of a pod's life",
                1000 * cost / CHURN,
                "ms",
            ),
        )

    async def restart(self) -> Iterable[Figure]:
        """Everything ended, and starts at the same moment: server, manager, agents."""
        async with AsyncExitStack() as stack:
            nb, sb = stack.enter_context(ports.databases(toolchain.ensure()))
            began = time.monotonic()
            self._plane.start()
            manager = await stack.enter_async_context(self.manager())
            agents = [
                await stack.enter_async_context(self.agent(f"node{number}", *databases))
                for number, databases in enumerate([(nb, sb)] + [()] * (AGENTS - 1))
            ]
            await asyncio.to_thread(self._plane.ready, PATIENCE)
            ready = time.monotonic() - began
            await manager.figures()
            whole = [asyncio.create_task(each.figures()) for each in agents]
            decided = await manager.until(lambda found: found["queued"] == 0, PATIENCE)
            settled: list[Found] = [await each for each in whole]
        bare = max(each["now"] for each in settled[1:]) - began
        return (
            Figure("restart of all: API server ready after", ready, "s"),
            Figure("manager has decided all after", decided["now"] - began, "s"),
            Figure(f"{AGENTS - 1} agents know their zones after", bare, "s"),
            Figure("the one with databases has all its rows after", settled[0]["now"] - began, "s"),
            Figure("rows of ports in its zone", settled[0]["ports"], ""),
            Figure("manager's start: received", decided["received"], "MiB"),
            Figure("manager's start: CPU", decided["cpu"], "s"),
            Figure("manager's start: requests", decided["requests"], ""),
        )


@asynccontextmanager
async def simulation(plane: ControlPlane) -> AsyncIterator[Simulation]:
    async with Client.from_kubeconfig(str(plane.kubeconfig("kubelets"))) as client:
        for path in sorted(CRD_FILES.glob("*.yaml")):
            await client.create(CRDS, yaml.safe_load(path.read_text()))
        kubelets = Kubelets(client)
        following = asyncio.create_task(kubelets.pods.run())
        await kubelets.pods.synced()
        try:
            yield Simulation(plane, client, kubelets)
        finally:
            following.cancel()
            await asyncio.wait([following])


async def measure(plane: ControlPlane, report: Callable[[Iterable[Figure]], None]) -> None:
    async with simulation(plane) as run, AsyncExitStack() as stack:
        manager = await stack.enter_async_context(run.manager())
        await manager.figures()
        report(await run.fill(manager))
        agents, server, began = [], plane.usage(), time.monotonic()
        for number in range(AGENTS):
            agent = await stack.enter_async_context(run.agent(f"node{number}"))
            agents.append(agent)
            start = await agent.figures()
        took, cost = time.monotonic() - began, plane.usage().cpu - server.cpu
        report(
            (
                Figure("agent's start: received", start["received"], "MiB"),
                Figure("agent's start: requests", start["requests"], ""),
                Figure("agent's start: CPU", start["cpu"], "s"),
                Figure("agent's start: CPU of API server and etcd", cost / AGENTS, "s"),
                Figure("agent's start takes", took / AGENTS, "s"),
                Figure("agent: memory at its peak", start["memory"], "MiB"),
                Figure("agent: pods that it follows", start["pods"], ""),
            )
        )
        report(await run.arrivals(agents[0]))
        report(await run.churn(manager, agents))
        report([Figure("API server and etcd: memory at its peak", plane.usage().memory, "MiB")])
        for each in (manager, *agents):
            await each.end()
        plane.stop()
        report(await run.restart())


def run() -> Iterable[Figure]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weft-bench-")))
        plane = stack.enter_context(ControlPlane(folder))
        plane.ready()
        found: list[Figure] = []
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(measure(plane, found.extend))
        finally:
            yield from found
