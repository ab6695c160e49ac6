"""Measures the memory of each of weft's processes in a running lab: idle, and with 1,000 pods.

Two nodes with all their parts. The pods are objects of a node that exists only as an object, so no
kubelet runs them; one real pod on node1 makes its zone write a port for each of them. Rss counts
every page that a process uses, Pss its share of those that several use: all of a lab's processes
are forked from one, which has loaded their modules.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bench import burst
from bench.figures import Figure
from weft import names
from weft.kube import cache
from weft.kube.client import Client
from weft.kube.resources import NADS, NODES, PODS
from weft.model import ObjectKey
from weft.ovn import ports as ovn_ports
from weft.ovn import tables
from weft.ovsdb.replica import Replica
from weft_lab import layout, up
from weft_lab import spec as specs
from weft_lab.runtime import toolchain

LAB = "memory"
PODS_FAR = 1000
NODES_FAR = 4  # a node's part of the default network has room for 509 pods
FAR, NETWORK = "far", "memory"
PATIENCE = 120.0
# MiB of Rss, which is the stricter.
LIMITS = {"cluster-manager": 150.0, "agent": 100.0}
COMPONENTS = ("api", "cluster-manager", "controllers", "agent", "kubelet")


def run() -> Iterable[Figure]:
    tools = toolchain.ensure()
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as state:
        os.environ["XDG_STATE_HOME"] = state
        try:
            up.up(LAB, specs.Options(nodes=2), tools=tools)
            kubeconfig = up.status(LAB)["kubeconfig"]
            asyncio.run(settle(kubeconfig, 0))
            yield from figures("idle")
            asyncio.run(fill(kubeconfig))
            yield from figures(f"{PODS_FAR} pods")
        finally:
            up.down(LAB)
            del os.environ["XDG_STATE_HOME"]


def figures(when: str) -> Iterable[Figure]:
    """Each part's largest process, and what all of them together cost the machine."""
    status = up.status(LAB)
    found: dict[str, list[Mapping[str, float]]] = {component: [] for component in COMPONENTS}
    for service in status["services"]:
        component = service["name"].rpartition("/")[2]
        if component in found:
            found[component].append(held(status["pid"], service["pid"]))
    for component, each in found.items():
        rss, pss = (max(one[kind] for one in each) for kind in ("Rss", "Pss"))
        yield Figure(f"{component}, {when}: Rss", rss, "MiB", at_most=LIMITS.get(component))
        yield Figure(f"{component}, {when}: Pss", pss, "MiB")
    total = sum(one["Pss"] for each in found.values() for one in each)
    yield Figure(f"all of weft's processes, {when}: Pss", total, "MiB")


def held(supervisor: int, pid: int) -> Mapping[str, float]:
    """MiB by kind, of a process that the lab knows as `pid`."""
    text = Path(f"/proc/{supervisor}/root/proc/{pid}/smaps_rollup").read_text()
    lines = (line.split() for line in text.splitlines()[1:])
    return {words[0].rstrip(":"): int(words[1]) / 1024 for words in lines}


async def fill(kubeconfig: str) -> None:
    """A network, the pods that are far away, then the one that is really here."""
    async with Client.from_kubeconfig(kubeconfig) as client:
        await client.create(NADS, burst.nad(NETWORK))
        for number in range(NODES_FAR):
            await client.create(NODES, node(number))
        version = (await client.list(PODS, "default")).resource_version
        watch = asyncio.create_task(burst.annotated(client, FAR, PODS_FAR, version))
        await burst.each(lambda number: client.create(PODS, far(number)), PODS_FAR)
        await watch
        await client.create(PODS, pod("here", "node1"))
    await settle(kubeconfig, PODS_FAR + 1)


def node(number: int) -> dict[str, Any]:
    """A Node with an agent's annotations, but without a kubelet."""
    name, address = f"{FAR}-node{number}", f"192.0.2.{number + 1}"
    notes = {names.NODE_CHASSIS_ID: name, names.NODE_ENCAP_IPS: json.dumps([address])}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "annotations": notes}}


def far(number: int) -> dict[str, Any]:
    return pod(f"{FAR}-{number}", f"{FAR}-node{number % NODES_FAR}")


def pod(name: str, where: str) -> dict[str, Any]:
    made = burst.pod(name, NETWORK)
    made["spec"]["nodeName"] = where
    made["spec"]["containers"][0]["command"] = ["sleep", "3600"]
    return made


async def settle(kubeconfig: str, ports: int) -> None:
    """Returns when the real pod runs, if there is one, and node1's zone has so many ports."""
    async with Client.from_kubeconfig(kubeconfig) as client:
        pods = cache.Cache(client, PODS, namespace="default")
        following = asyncio.create_task(pods.run())
        await pods.synced()
        if ports:
            await pods.wait_for(ObjectKey("default", "here"), is_running, PATIENCE)
        following.cancel()
    path = layout.seen("node1", layout.OVN_RUN / "ovnnb_db.sock")
    address = f"unix:/proc/{up.status(LAB)['pid']}/root{path}"
    known = tuple(table for table in tables.NB if table.name == ovn_ports.PORT)
    reached = asyncio.Event()
    async with await Replica.open(address, tables.NORTHBOUND, known) as northbound:

        def on_change(*_: object) -> None:
            if len(northbound.rows(ovn_ports.PORT)) >= ports:
                reached.set()

        northbound.subscribe(ovn_ports.PORT, on_change)
        on_change()
        async with asyncio.timeout(PATIENCE):
            await reached.wait()


def is_running(pod: dict[str, Any] | None) -> bool:
    return pod is not None and (pod.get("status") or {}).get("phase") == "Running"
