"""Measures what one more pod costs the cluster manager and its zone, with 10 and with 5,000 there.

By topology, and in turns in one run, so that the ratio says whether the cost grows. Both are the
decisions alone: no API server, no databases.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from bench.figures import Figure, interleave
from tests.support import cluster_world as world
from tests.support.manager_state import NOW, Manager, World
from weft.api import pod as pods
from weft.api import podnetworks
from weft.control.cluster.outcome import Ref
from weft.control.zone import nads, objects, state
from weft.kube.resources import NADS, NAMESPACES, NODES, PODS, UDNS
from weft.model import ObjectKey

FEW, MANY = 10, 5_000
REPEATS, TURNS = 9, 40
GROWS_AT_MOST = 1.5  # what a busy machine makes of 1
LAYER3 = {"topology": "layer3", "subnets": "10.64.0.0/12/17"}
NETWORKS: Mapping[str, Mapping[str, Any]] = {
    "layer2": {"subnets": "10.1.0.0/16"},
    "layer3": LAYER3,
    "localnet": {"topology": "localnet", "subnets": "10.1.0.0/16"},
    "UDN": {},
}


@dataclass(frozen=True)
class Scene:
    """A manager and the zone of node1 with so many pods; `more` are those that come and go."""

    manager: Manager
    zone: state.Zone
    more: tuple[pods.Pod, ...]
    allocated: tuple[objects.AllocatedPod, ...]

    def decided(self) -> float:
        """Seconds of the manager for each pod that comes."""
        cluster = self.manager.cluster
        start = time.process_time()
        for each in self.more:
            cluster.set_pod(each.key, each)
            cluster.take_due()
            assert cluster.decide(Ref(PODS, each.key), NOW).patches
        spent = time.process_time() - start
        for each in self.more:
            cluster.set_pod(each.key, None)
        cluster.take_due()
        return spent / len(self.more)

    def planned(self) -> float:
        """Seconds of the zone for each pod that comes."""
        start = time.process_time()
        for each in self.allocated:
            self.zone.set_pod(each.pod.key, each)
            assert self.zone.changes().nb
        spent = time.process_time() - start
        for each in self.allocated:
            self.zone.set_pod(each.pod.key, None)
        self.zone.changes()
        return spent / len(self.allocated)


def scene(kind: str, size: int) -> Scene:
    there = World()
    there.put(NAMESPACES, world.namespace("default"))
    for number in (1, 2):
        chassis = {"node_chassis_id": f"c{number}", "node_encap_ips": f'["192.0.2.{number}"]'}
        there.put(NODES, world.node(f"node{number}", **chassis))
    if kind == "UDN":
        there.put(UDNS, user_defined())
    else:
        there.put(NADS, world.nad("blue", **NETWORKS[kind]))
    for number in range(size + TURNS):
        there.put(PODS, world.pod(f"p{number}", nodeName=f"node{1 + number % 2}"))
    manager = Manager(there)
    manager.settle()
    zone = state.Zone("node1", "c1")
    for name in ("node1", "node2"):
        zone.set_node(name, objects.node(there.objects[Ref(NODES, ObjectKey("", name))]).info)
    key = ObjectKey("default", "blue")
    declared = nads.declared_network(nads.read(there.objects[Ref(NADS, key)], default_mtu=1400))
    assert declared is not None
    zone.set_nad(key, declared)
    allocated = [held(there, number) for number in range(size + TURNS)]
    for each in allocated[:size]:
        zone.set_pod(each.pod.key, each)
    zone.changes()
    more = []
    for each in allocated[size:]:
        each_key = each.pod.key
        manager.cluster.set_pod(each_key, None)
        made = world.pod(each_key.name, uid="new", nodeName=each.pod.node)
        made["metadata"]["uid"] = f"new-{each_key.name}"
        more.append(pods.read(made, primary=False))
    manager.cluster.take_due()
    own = tuple(each for each in allocated[size:] if each.pod.node == "node1")
    return Scene(manager, zone, tuple(more), own)


def user_defined() -> Any:
    layer2 = {"role": "Secondary", "subnets": ["10.1.0.0/16"]}
    spec = {"topology": "Layer2", "layer2": layer2}
    meta = {"name": "blue", "namespace": "default", "generation": 1}
    return world.stored({"kind": UDNS.kind, "metadata": meta, "spec": spec})


def held(there: World, number: int) -> objects.AllocatedPod:
    obj = there.objects[Ref(PODS, ObjectKey("default", f"p{number}"))]
    found = objects.allocated(pods.read(obj, primary=False), podnetworks.parse(obj, primary=False))
    assert found is not None
    return found


def run() -> Iterable[Figure]:
    for kind in NETWORKS:
        few, many = scene(kind, FEW), scene(kind, MANY)
        for what, cost in (("manager", Scene.decided), ("zone", Scene.planned)):
            yield figure(f"{what}: one more pod, {kind}", partial(cost, few), partial(cost, many))


def figure(name: str, few: Callable[[], float], many: Callable[[], float]) -> Figure:
    found = interleave(REPEATS, few=few, many=many)
    return Figure(
        f"{name}, {MANY:,} there",
        found["many"] * 1e6,
        "µs",
        peer=f"{FEW} there",
        peer_value=found["few"] * 1e6,
        at_most=GROWS_AT_MOST,
    )
