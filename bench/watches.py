"""What does an agent receive of other nodes, and what does reading it cost, on a large cluster?

500 nodes and 5,000 pods are objects in the lab's API server; a real cluster manager decides and
signs. A process has an agent's informers and its zone, without databases. It is measured when it
starts, while 500 pods come and go as kubelets and Multus have them do, and while each node beats
once. The agent's own node runs 10 of the pods, on one of 50 networks.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import uvloop

from bench import burst
from bench.figures import Figure
from weft import names
from weft.control import loop
from weft.control.zone import informers, pods, state
from weft.kube.client import Client
from weft.kube.resources import NADS, NODES, PODS

CLUSTER_NODES, CLUSTER_PODS, NETWORKS, CHURN = 500, 5000, 50, 500
NAMESPACE = "default"
Object = dict[str, Any]


def node(number: int) -> Object:
    """As large as a kubelet makes it: 50 images are most of it."""
    images = [{"names": [f"registry.test/a/{i}@sha256:{i:064}"], "sizeBytes": i} for i in range(50)]
    condition = {"status": "False", "reason": "KubeletHasSufficient", "message": "sufficient"}
    kinds = ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready")
    return {
        "metadata": {
            "name": f"node{number}",
            "labels": {f"topology.test/label-{i}": f"value-{i}" for i in range(8)},
            "annotations": {
                names.NODE_CHASSIS_ID: f"chassis-{number}",
                names.NODE_ENCAP_IPS: json.dumps([f"10.0.{number // 250}.{number % 250 + 1}"]),
            },
        },
        "status": {"images": images, "conditions": [{"type": kind, **condition} for kind in kinds]},
    }


def pod(name: str, number: int) -> Object:
    """Two containers with what charts give them."""
    env = [{"name": f"SETTING_{i}", "value": f"value of {i}"} for i in range(15)]
    container = {
        "image": "registry.test/shop/web:1.2.3",
        "env": env,
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": 8080}},
        "volumeMounts": [{"name": "config", "mountPath": "/etc/web"}],
    }
    return {
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": {"app": f"app-{number % 20}", "pod-template-hash": "7d4b9c6f5"},
            "annotations": {names.NETWORKS: f"net{number % NETWORKS}"},
        },
        "spec": {
            "nodeName": f"node{number % CLUSTER_NODES}",
            "containers": [{"name": "web", **container}, {"name": "proxy", **container}],
            "volumes": [{"name": "config", "configMap": {"name": "web"}}],
        },
    }


def running(step: int) -> Object:
    """What a kubelet writes of a pod as it comes up."""
    conditions = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady")
    statuses = [
        {
            "name": name,
            "image": "registry.test/shop/web:1.2.3",
            "imageID": f"sha256:{step:064}",
            "containerID": f"containerd://{step:064}",
            "ready": step > 1,
            "restartCount": 0,
        }
        for name in ("web", "proxy")
    ]
    status = {
        "phase": "Running" if step else "Pending",
        "conditions": [{"type": kind, "status": str(step > 1)} for kind in conditions],
        "containerStatuses": statuses,
        "podIP": "10.244.0.5",
    }
    return {"status": status}


class Reader:
    """An agent's informers and its zone."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.informers = informers.Informers(
            client, "node0", default_mtu=1400, primary=False, keys_namespace=NAMESPACE
        )
        self.zone = state.Zone("node0", "chassis-0")
        found = self.informers
        self._pods = pods.ZonePods(self.zone, found.pods, found.keys, lambda: None, lambda *_: None)

    async def run(self) -> None:
        await loop.together(
            **{each.name: each.run() for each in self.informers.all()},
            told=self._changes(),
        )

    async def _changes(self) -> None:
        for each in self.informers.all():
            await each.synced()
        await self._pods.known()
        self._pods.start()
        loop.settle()
        print(json.dumps(self.figures()), flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(self.figures()), flush=True)

    def figures(self) -> dict[str, float]:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "received": self._client.received / (1 << 20),
            "cpu": used.ru_utime + used.ru_stime,
            "memory": used.ru_maxrss / 1024,
            "pods": len(self.informers.pods),
        }


async def read(kubeconfig: str) -> None:
    async with Client.from_kubeconfig(kubeconfig) as client:
        await Reader(client).run()


async def fill(kubeconfig: str) -> None:
    async with Client.from_kubeconfig(kubeconfig) as client:
        for number in range(NETWORKS):
            await client.create(NADS, burst.nad(f"net{number}"))

        async def add_node(number: int) -> None:
            made = await client.create(NODES, node(number))
            status = {"status": node(number)["status"]}
            name = made["metadata"]["name"]
            await client.patch(NODES, name, "", status, subresource="status")

        async def add_pod(number: int) -> None:
            await client.create(PODS, pod(f"p{number}", number))
            await decided(client, f"p{number}")
            await client.patch(PODS, f"p{number}", NAMESPACE, running(2), subresource="status")

        await burst.each(add_node, CLUSTER_NODES)
        await burst.each(add_pod, CLUSTER_PODS)


async def decided(client: Client, name: str) -> None:
    """Returns once the manager has given the pod its address."""
    async with asyncio.timeout(burst.PATIENCE):
        while True:
            found = await client.get(PODS, name, NAMESPACE)
            if names.POD_NETWORKS in found["metadata"]["annotations"]:
                return
            await asyncio.sleep(0.01)


async def churn(kubeconfig: str) -> None:
    """Pods come and go: 500 of them, on all nodes."""
    async with Client.from_kubeconfig(kubeconfig) as client:

        async def come_and_go(number: int) -> None:
            name = f"c{number}"
            await client.create(PODS, pod(name, number))
            await decided(client, name)
            for step in range(3):
                await client.patch(PODS, name, NAMESPACE, running(step), subresource="status")
            notes = {names.NETWORK_STATUS: json.dumps([{"name": f"default/net{number}"}] * 2)}
            await client.patch(PODS, name, NAMESPACE, {"metadata": {"annotations": notes}})
            await client.delete(PODS, name, NAMESPACE, grace=0)

        await burst.each(come_and_go, CHURN)


async def heartbeats(kubeconfig: str) -> None:
    """Each node's status once, as every five minutes."""
    async with Client.from_kubeconfig(kubeconfig) as client:

        async def beat(number: int) -> None:
            conditions = node(number)["status"]["conditions"]
            body = {
                "status": {
                    "conditions": [{**each, "lastHeartbeatTime": now()} for each in conditions]
                }
            }
            await client.patch(NODES, f"node{number}", "", body, subresource="status")

        await burst.each(beat, CLUSTER_NODES)


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def run() -> Iterable[Figure]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weft-bench-")))
        kubeconfig = stack.enter_context(burst.api_server(folder))
        stack.enter_context(burst.cluster_manager(kubeconfig))
        asyncio.run(fill(str(kubeconfig)))
        reader = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", "bench.watches", str(kubeconfig)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=burst.ROOT,
            )
        )
        stack.callback(reader.terminate)
        start = answer(reader)
        yield Figure("agent's start: received", start["received"], "MiB")
        yield Figure("agent's start: CPU", start["cpu"], "s")
        yield Figure("agent's memory at its peak", start["memory"], "MiB", at_most=120)
        before = start
        for name, work, most in (
            ("500 pods came and went", churn, 15.0),
            ("500 heartbeats", heartbeats, 1.0),
        ):
            asyncio.run(work(str(kubeconfig)))
            after = quiet(reader, before)
            received = after["received"] - before["received"]
            yield Figure(f"{name}: received", received, "MiB", at_most=most)
            yield Figure(f"{name}: CPU", after["cpu"] - before["cpu"], "s")
            before = after


def answer(reader: subprocess.Popen[str]) -> Mapping[str, float]:
    assert reader.stdout is not None
    found: dict[str, float] = json.loads(reader.stdout.readline())
    return found


def quiet(reader: subprocess.Popen[str], before: Mapping[str, float]) -> Mapping[str, float]:
    """Its figures when nothing arrives any more."""
    assert reader.stdin is not None
    while True:
        time.sleep(1)
        reader.stdin.write("\n")
        reader.stdin.flush()
        after = answer(reader)
        if after["received"] == before["received"]:
            return after
        before = after


if __name__ == "__main__":
    uvloop.run(read(sys.argv[1]))
