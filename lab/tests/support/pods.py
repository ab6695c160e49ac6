"""A lab of one node with everything but VMs, and what a user does with pods on it."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from lab.tests.support import labs
from lab.tests.support.labs import LabHouse
from tests.support.objects import Object
from tests.support.patience import PATIENCE
from weft.kube import cache, client, resources
from weft.model import ObjectKey
from weft_lab.runtime.toolchain import Toolchain

NOTHING: dict[str, list[str]] = {"ports": [], "netns": [], "pods": [], "links": [], "firsts": []}


def network_status(made: Object) -> list[Object]:
    text = made["metadata"]["annotations"]["k8s.v1.cni.cncf.io/network-status"]
    listed: list[Object] = json.loads(text)
    return listed


def is_ready(made: Object) -> bool:
    return has(made, "Ready", "True")


def has(made: Object, condition: str, status: str) -> bool:
    conditions = made["status"].get("conditions") or ()
    return any(c["type"] == condition and c["status"] == status for c in conditions)


def has_ended(made: Object) -> bool:
    """It ran to its end, and its sandbox is gone."""
    ended = made["status"].get("phase") in ("Succeeded", "Failed")
    return ended and has(made, "PodReadyToStartContainers", "False")


@dataclass
class Cluster:
    house: LabHouse
    name: str
    kubeconfig: str

    def api(self, work: Callable[[client.Client], Awaitable[Any]]) -> Any:
        async def run() -> Any:
            async with client.Client.from_kubeconfig(self.kubeconfig) as api:
                return await work(api)

        return asyncio.run(run())

    def create(self, *objects: Object) -> None:
        kinds = {res.kind: res for res in resources.ALL}

        async def work(api: client.Client) -> None:
            for obj in objects:
                await api.create(kinds[obj["kind"]], obj)

        self.api(work)

    def get(self, name: str) -> Object:
        found: Object = self.api(lambda api: api.get(resources.PODS, name, "default"))
        return found

    def node_address(self) -> str:
        """The address that the Node reports."""
        node = self.api(lambda api: api.get(resources.NODES, "node1"))
        addresses = node["status"]["addresses"]
        return str(next(a["address"] for a in addresses if a["type"] == "InternalIP"))

    def delete(self, *names: str, grace: int | None = None) -> None:
        """Returns when they are gone from the API."""

        async def work(api: client.Client) -> None:
            async with following(api, resources.PODS) as pods:
                for name in names:
                    await api.delete(resources.PODS, name, "default", grace=grace)
                await gone(pods, {ObjectKey("default", name) for name in names})

        self.api(work)

    def wait(self, name: str, predicate: Callable[[Object], bool]) -> Object:
        async def work(api: client.Client) -> Object:
            async with following(api, resources.PODS) as pods:
                found: Object = await pods.wait_for(ObjectKey("default", name), predicate, PATIENCE)
                return found

        try:
            found: Object = self.api(work)
        except Exception as error:
            raise AssertionError(f"{error}; events: {self.events(name)}") from error
        return found

    def wait_ready(self, name: str) -> Object:
        return self.wait(name, is_ready)

    def events(self, name: str) -> dict[str, list[str]]:
        listed = self.api(
            lambda api: api.list(
                resources.EVENTS, "default", field_selector=f"involvedObject.name={name}"
            )
        )
        found = defaultdict(list)
        for event in listed:
            found[event["reason"]].append(event["message"])
        return found

    def wait_event(self, name: str, reason: str) -> str:
        """The event's message."""

        async def work(api: client.Client) -> str:
            selector = f"involvedObject.name={name},reason={reason}"
            found: asyncio.Future[str] = asyncio.get_running_loop().create_future()

            def on_event(_: ObjectKey, old: Object | None, new: Object | None) -> None:
                if new is not None and not found.done():
                    found.set_result(new["message"])

            async with following(api, resources.EVENTS, selector) as events:
                events.subscribe(on_event)
                async with asyncio.timeout(PATIENCE):
                    return await found

        message: str = self.api(work)
        return message

    def run(self, name: str, *argv: str) -> str:
        """What a command says inside a pod."""
        return self.house.run(f"default/{name}", *argv, lab=self.name).stdout

    def pings(self, name: str, address: str, *, patience: float = PATIENCE) -> bool:
        """Whether an answer comes within `patience` seconds."""
        argv = ("ping", "-c", "1", "-W", "1", address)
        end = time.monotonic() + patience
        while True:
            if self.house.run(f"default/{name}", *argv, lab=self.name, check=False).returncode == 0:
                return True
            if time.monotonic() >= end:
                return False

    def kubectl(self, *argv: str, stdin: str = "") -> str:
        """What a user's kubectl says."""
        return self.house.kubectl(self.kubeconfig, *argv, stdin=stdin)

    def kill(self, part: str) -> None:
        """End one of the node's services hard; the supervisor starts it again."""
        services = self.house.json("lab", "status", "--name", self.name)["services"]
        pid = next(s["pid"] for s in services if s["name"] == f"node1/{part}")
        assert pid, f"{part} does not run"  # 0 would be ourselves
        self.house.run("lab", "busybox", "kill", "-9", str(pid), lab=self.name)

    def left(self) -> dict[str, list[str]]:
        """What of pods is on the node: OVS ports, namespaces, folders, devices, first processes."""
        ran = self.house.run("node1", "python3", "-c", LEFT, lab=self.name)
        found: dict[str, list[str]] = json.loads(ran.stdout)
        return found


LEFT = """
import json, os, subprocess
listed = subprocess.run(["ovs-vsctl", "list-ports", "br-int"], capture_output=True, text=True)
def names(folder):
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []
def called(pid):
    try:
        return open(f"/proc/{pid}/comm").read().strip()
    except OSError:
        return ""
print(json.dumps({
    "ports": [port for port in listed.stdout.split() if port.startswith("wp")],
    "netns": [name for name in names("/run/netns") if len(name) == 64],
    "pods": names("/run/weft/pods"),
    "firsts": [pid for pid in names("/proc") if pid.isdigit() and called(pid) == "pause"],
    "links": [l for l in names("/sys/class/net") if l.startswith(("ve", "wp")) and len(l) == 15],
}))
"""


class following:
    """A cache that runs for the time of a block."""

    def __init__(
        self,
        api: client.Client,
        res: resources.Resource,
        selector: str = "",
        namespace: str = "default",
    ) -> None:
        self.cache = cache.Cache(api, res, namespace=namespace, field_selector=selector)

    async def __aenter__(self) -> cache.Cache:
        self.task = asyncio.create_task(self.cache.run())
        await self.cache.synced()
        return self.cache

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


async def gone(pods: cache.Cache, keys: set[ObjectKey]) -> None:
    changed = asyncio.Event()
    pods.subscribe(lambda key, old, new: changed.set())
    async with asyncio.timeout(PATIENCE):
        while keys & set(pods.keys()):
            changed.clear()
            await changed.wait()


@pytest.fixture(scope="module")
def pod_lab(tmp_path_factory: pytest.TempPathFactory, toolchain: Toolchain) -> Iterator[Cluster]:
    """A lab of one node, with all of its parts."""
    state = tmp_path_factory.mktemp("pods")
    with labs.running("pods", 1, state, toolchain) as (house, kubeconfig):
        yield Cluster(house, "pods", kubeconfig)
