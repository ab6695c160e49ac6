"""Two cluster managers: however the leader ends, pods that arrive meanwhile get their networks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from tests.cluster import chart
from tests.cluster.cluster import PATIENCE, Machine
from tests.cluster.room import Room
from tests.support import objects
from weft import names
from weft.kube import resources
from weft.kube.client import Client, Object
from weft.kube.errors import Unreachable

pytestmark = pytest.mark.cluster
PAUSE = 0.1  # seconds between two pods
BEFORE = 20  # pods before the leader ends
AFTER = 20  # pods after a successor has served one
LEASE = "weft-cluster-manager"
# No kubelet has these pods: only the manager is measured. Kubernetes deletes the pods of a
# missing node 40 s after it has seen the first, so each test names another one.
NOWHERE = "no-such-node-for-"


@dataclass(slots=True)
class Arrivals:
    """When each pod was made and when it had its networks, by name, in seconds."""

    made: dict[str, float] = field(default_factory=dict)
    served: dict[str, float] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    addresses: dict[str, str] = field(default_factory=dict)
    ended: float = 0.0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def waited(self) -> list[float]:
        return sorted(at - self.made[name] for name, at in self.served.items())

    @property
    def awaited(self) -> set[str]:
        """Pods that are there and have no networks yet: a slow machine outlasts NOWHERE's 40 s."""
        return self.made.keys() - self.served.keys() - self.deleted

    @property
    def is_resumed(self) -> bool:
        """Whether a pod that came after the leader's end has been served."""
        after = [name for name, at in self.made.items() if self.ended and at > self.ended]
        return any(name in self.served for name in after)


def leader(room: Room) -> str:
    """The pod that leads."""
    lease = room.access.get("-n", chart.NAMESPACE, "lease", LEASE)
    return str(lease["spec"]["holderIdentity"]).rpartition("_")[0]


def process_of(room: Room, pod: str) -> tuple[Machine, str]:
    """The node and the process number of a manager."""
    node = room.access.get("-n", chart.NAMESPACE, "pod", pod)["spec"]["nodeName"]
    machine = room.access.machines().machine(node)
    script = f"grep -lz '^HOSTNAME={pod}$' /proc/[0-9]*/environ 2>/dev/null"
    found = machine.run("sh", "-c", script, check=False).stdout.decode().split("/")
    return machine, found[2]


def ended(room: Room, pod: str) -> None:
    room.access.kubectl("-n", chart.NAMESPACE, "delete", "pod", pod, "--wait=false")


def killed(room: Room, pod: str) -> None:
    machine, number = process_of(room, pod)
    machine.run("kill", "-KILL", number)


def frozen(room: Room, pod: str) -> None:
    machine, number = process_of(room, pod)
    machine.run("kill", "-STOP", number)


async def arrive(room: Room, network: str, end: Callable[[], None]) -> Arrivals:
    """Pods arrive; after some of them the leader ends, and they arrive until it is replaced."""
    seen = Arrivals()
    async with Client.from_kubeconfig(str(room.access.kubeconfig)) as client:
        version = (await client.list(resources.PODS, room.namespace)).resource_version
        watching = asyncio.create_task(_watch(client, room.namespace, version, seen))
        ending: asyncio.Future[None] | None = None
        number = after = 0
        while after < AFTER:
            name = f"{network}-{number}"
            pod = objects.pod(name, network, namespace=room.namespace, node=NOWHERE + network)
            seen.made[name] = time.monotonic()
            await client.create(resources.PODS, pod)
            number += 1
            if number == BEFORE:
                ending = asyncio.ensure_future(asyncio.to_thread(end))
                ending.add_done_callback(lambda _: setattr(seen, "ended", time.monotonic()))
            after += seen.is_resumed
            await asyncio.sleep(PAUSE)  # the pods' rate, nothing is waited for
        assert ending is not None
        await ending
        async with asyncio.timeout(PATIENCE):
            while seen.awaited and not watching.done():
                seen.news.clear()
                await seen.news.wait()
        if watching.done():
            await watching  # why
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    return seen


async def _watch(client: Client, namespace: str, version: str, seen: Arrivals) -> None:
    """Notes which pods have their networks, until cancelled.

    A server ends a watch when it likes, a busy one that of a slow client: it goes on from there.
    """
    try:
        while True:
            with contextlib.suppress(Unreachable):
                async for change, pod in client.watch(resources.PODS, version, namespace):
                    version = pod["metadata"]["resourceVersion"]
                    _note(change, pod, seen)
    finally:
        seen.news.set()


def _note(change: str, pod: Object, seen: Arrivals) -> None:
    told = pod["metadata"].get("annotations", {}).get(names.POD_NETWORKS)
    name = pod["metadata"]["name"]
    if name not in seen.made:
        return  # of the test before, deleted meanwhile
    if change == "DELETED":
        seen.deleted.add(name)
        seen.news.set()
    if told and name not in seen.served:
        seen.served[name] = time.monotonic()
        [own] = json.loads(told).values()
        seen.addresses[name] = own["ip_addresses"][0]
        seen.news.set()


@pytest.mark.parametrize("end", [ended, killed, frozen], ids=lambda end: end.__name__)
def test_pods_that_arrive_while_the_leader_ends_are_served(
    here: Room, end: Callable[[Room, str], None], record_property: Callable[[str, object], None]
) -> None:
    network = f"office-{end.__name__}"
    here.apply(here.nad(network, "10.80.0.0/16"))
    before = leader(here)
    try:
        seen = asyncio.run(arrive(here, network, lambda: end(here, before)))
    finally:
        if end is frozen:
            machine, number = process_of(here, before)
            machine.run("kill", "-CONT", number)
    successor = leader(here)
    waited = seen.waited
    summary = f"longest wait {waited[-1]:.2f} s, median {waited[len(waited) // 2]:.3f} s"
    record_property("hand-over", summary)
    print(f"leader {end.__name__}: {len(waited)} pods, {summary}")
    listed = here.access.get("-n", here.namespace, "pods")["items"]
    left = {each["metadata"]["name"] for each in listed}
    given = [at for name, at in seen.addresses.items() if name in left]
    assert len(set(given)) == len(given), "each pod has an address of its own"
    log = here.access.kubectl("-n", chart.NAMESPACE, "logs", successor)
    if end is ended:
        assert successor != before
        assert "did not renew the lease" not in log, "it was handed over"
    if end is frozen:
        assert successor != before
        assert "did not renew the lease" in log
        here.access.wait("condition=Ready", f"pod/{before}", namespace=chart.NAMESPACE)
        assert leader(here) == successor, "who was frozen leads no more"
