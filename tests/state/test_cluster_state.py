"""Objects in, patches out, without an event loop: however a cluster came to be, the end holds."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterable
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import cluster_world as objects_of
from tests.support import policies as policies_of
from tests.support.manager_state import (
    NOW,
    RULES,
    SIGNER,
    Killed,
    Manager,
    World,
)
from tests.support.objects import Object
from weft import names
from weft.control.cluster import nads, networkstatuses, outcome, state
from weft.control.cluster.keys import Held
from weft.control.cluster.outcome import Ref
from weft.kube import resources
from weft.kube.resources import (
    IPAMCLAIMS,
    MULTINETWORKPOLICIES,
    NADS,
    NAMESPACES,
    NODES,
    PODS,
    Resource,
)
from weft.model import ObjectKey

# Named whole states

ROUTED = {"topology": "layer3", "subnets": "10.20.0.0/22/24"}


def claim(name: str, network: str) -> Object:
    meta = {"namespace": "default", "name": name, "uid": f"claim-{name}"}
    return {"metadata": meta, "spec": {"network": network, "interface": "net1"}}


def policy() -> Object:
    made = policies_of.written(podSelector={}, ingress=[])
    meta = {"namespace": "default", "name": "guard", "uid": "policy-guard", "generation": 1}
    made["metadata"] |= meta
    return made


VARIANTS: dict[str, list[tuple[Resource, Object | None]]] = {
    "nad blue": [
        (NADS, objects_of.nad("blue", subnets="10.1.0.0/29", allowPersistentIPs=True)),
        (NADS, objects_of.nad("blue", subnets="10.1.0.0/28", allowPersistentIPs=True)),
        (NADS, objects_of.raw_nad("blue", "{")),
        (NADS, None),
    ],
    "nad azure": [
        (NADS, objects_of.nad("azure", "blue", subnets="10.1.0.0/29", allowPersistentIPs=True))
    ],
    "nad routed": [(NADS, objects_of.nad("routed", **ROUTED)), (NADS, None)],
    "node node1": [(NODES, objects_of.node("node1")), (NODES, None)],
    "node node2": [(NODES, objects_of.node("node2"))],
    "pod one": [(PODS, objects_of.pod("one")), (PODS, None)],
    "pod two": [
        (PODS, objects_of.pod("two", "blue, azure")),
        (PODS, objects_of.pod("two", "blue", uid="again")),
    ],
    "pod three": [
        (PODS, objects_of.pod("three", [{"name": "blue", "ipam-claim-reference": "vm"}])),
        (PODS, None),
    ],
    "pod four": [
        (PODS, objects_of.pod("four", "routed")),
        (PODS, objects_of.pod("four", "routed", uid="moved", nodeName="node2")),
    ],
    "claim vm": [(IPAMCLAIMS, claim("vm", "blue")), (IPAMCLAIMS, None)],
    "policy guard": [(MULTINETWORKPOLICIES, policy()), (MULTINETWORKPOLICIES, None)],
    "namespace default": [(NAMESPACES, objects_of.namespace("default", tier="web"))],
}
KEYS = {
    about: Ref(
        variants[0][0],
        ObjectKey("" if variants[0][0] in (NODES, NAMESPACES) else "default", about.split()[1]),
    )
    for about, variants in VARIANTS.items()
}
STEPS = [(about, index) for about, variants in VARIANTS.items() for index in range(len(variants))]


def change(world: World, step: tuple[str, int]) -> Ref:
    """A user's doing: creates, replaces with what stands on the object kept, or deletes."""
    about, index = step
    ref, (resource, obj) = KEYS[about], VARIANTS[about][index]
    there = world.objects.get(ref)
    if obj is None:
        if there is not None and there["metadata"].get("finalizers"):
            world.delete_kept(resource, str(ref.key))
        elif there is not None:
            world.remove(resource, str(ref.key))
        return ref
    made = copy.deepcopy(obj)
    if there is not None and there["metadata"]["uid"] == made["metadata"]["uid"]:
        kept = {key: there["metadata"].get(key) for key in ("finalizers", "deletionTimestamp")}
        made["metadata"] |= {key: value for key, value in kept.items() if value}
        notes = there["metadata"].get("annotations") or {}
        made["metadata"]["annotations"] = {**notes, **made["metadata"].get("annotations", {})}
        if "status" in there:
            made["status"] = there["status"]
    return world.put(resource, made)


def contents(world: World) -> dict[tuple[str, str], Any]:
    """What every object says, but for versions."""
    found = {}
    for ref, obj in world.objects.items():
        kept = copy.deepcopy(obj)
        del kept["metadata"]["resourceVersion"]
        found[ref.resource.kind, str(ref.key)] = kept
    return found


def allocated(world: World) -> list[tuple[str, str, dict[str, Any]]]:
    found = []
    for ref, obj in world.objects.items():
        if ref.resource is PODS:
            text = obj["metadata"]["annotations"].get(names.POD_NETWORKS, "{}")
            found += [(obj["metadata"]["uid"], key, e) for key, e in json.loads(text).items()]
    return found


def check(world: World) -> None:
    """Nobody has what another one has; what is written is what a fresh start would leave."""
    by_network: dict[str, list[str]] = {}
    for _, key, entry in allocated(world):
        network = "routed" if key.endswith("routed") else "blue"
        by_network.setdefault(network, []).extend(entry["ip_addresses"] or ())
    for addresses in by_network.values():
        assert len(addresses) == len(set(addresses))
    before = contents(world)
    for order in (None, list.reverse, lambda refs: refs.sort(key=lambda ref: ref.key)):
        Manager(world, order or (lambda refs: None)).settle()
        assert contents(world) == before


STEP = st.sampled_from(STEPS)


@settings(max_examples=120, deadline=None)
@given(
    st.lists(st.tuples(STEP, st.sampled_from(["told", "settled", "restarted"])), max_size=25),
)
def test_any_way_to_a_cluster_is_stable_under_a_fresh_start(
    steps: list[tuple[tuple[str, int], str]],
) -> None:
    world = World()
    manager = Manager(world)
    for step, how in steps:
        if how == "restarted":
            change(world, step)
            manager = Manager(world)
        else:
            manager.notify(change(world, step))
        if how == "settled":
            manager.settle()
    manager.settle()
    check(world)


@settings(max_examples=120, deadline=None)
@given(
    st.lists(STEP, max_size=15),
    st.integers(0, 12),
    st.booleans(),
    st.randoms(note_method_calls=False),
)
def test_killed_at_any_write_and_begun_again(
    steps: list[tuple[str, int]], victim: int, arrives: bool, random: Any
) -> None:
    """What was written stays, whichever write was the last and whether it arrived."""
    world = World()
    for step in steps:
        change(world, step)
    world.lives = (victim, arrives)
    try:
        Manager(world, random.shuffle).settle()
    except Killed:
        given_before = {(uid, key): entry for uid, key, entry in allocated(world)}
        Manager(world, random.shuffle).settle()
        after = {(uid, key): entry for uid, key, entry in allocated(world)}
        assert {place: after.get(place) for place in given_before} == given_before
    world.lives = None
    check(world)


WHOLE = [
    ("nad blue", 0),
    ("nad azure", 0),
    ("pod one", 0),
    ("pod two", 0),
    ("policy guard", 0),
]


@pytest.mark.parametrize("order", list(permutations(WHOLE)), ids=lambda order: "")
def test_every_order_before_the_begin_is_the_same(order: Iterable[tuple[str, int]]) -> None:
    world = World()
    for step in order:
        change(world, step)
    Manager(world).settle()
    other = World()
    for step in WHOLE:
        change(other, step)
    Manager(other).settle()
    assert contents(world) == contents(other)
    assert len(allocated(world)) == 3


@pytest.mark.parametrize("comes_back", [False, True])
def test_a_claim_that_was_deleted_while_no_manager_ran_frees_nothing_under_its_pod(
    comes_back: bool,
) -> None:
    world = World()
    for step in [("nad blue", 0), ("claim vm", 0), ("pod three", 0)]:
        change(world, step)
    Manager(world).settle()
    for step in [("claim vm", 1), ("pod one", 0)]:
        change(world, step)
    manager = Manager(world)
    manager.settle()
    if comes_back:
        manager.notify(change(world, ("claim vm", 0)))
        manager.settle()
        ips = world.objects[KEYS["claim vm"]]["status"]["ips"]
        assert ips == [e["ip_addresses"][0] for uid, _, e in allocated(world) if "three" in uid]
    assert len({entry["ip_address"] for _, _, entry in allocated(world)}) == 2
    check(world)


def test_nothing_is_decided_before_the_begin() -> None:
    cluster = state.Cluster(Held(SIGNER, "default"), RULES, None, time.monotonic)
    cluster.set_nad(ObjectKey("default", "blue"), nads.read(objects_of.nad("blue"), RULES))
    assert cluster.take_due() == []
    cluster.begin()
    due = {ref.resource for ref, _ in cluster.take_due()}
    assert due == {NADS, resources.CONFIGMAPS, resources.NETWORKS}


def test_one_more_pod_is_one_patch_and_its_echo_is_nothing() -> None:
    world = World()
    for step in WHOLE[:3]:
        change(world, step)
    manager = Manager(world)
    manager.settle()
    world.writes.clear()
    manager.notify(world.put(PODS, objects_of.pod("more")))
    ((ref, _),) = manager.cluster.take_due()
    (patch,) = manager.cluster.decide(ref, NOW).patches
    assert patch.settles
    assert patch.version == world.objects[ref]["metadata"]["resourceVersion"]
    changed = world.apply(patch)
    assert changed == ref
    manager.cluster.written(ref, patch)
    manager.notify(ref)
    for echo, after in manager.cluster.take_due():
        if echo.resource is resources.NETWORKS:
            assert after == networkstatuses.QUIET  # many pods are one update of their network
        else:
            assert manager.cluster.decide(echo, NOW) == outcome.NOTHING
    assert world.writes == [("patch", "Pod", "default/more")]
