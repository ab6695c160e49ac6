"""Only the pod that the controller has made for a migration is its target."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.memory_api import MemoryApi
from tests.support.objects import nic, vmi
from tests.support.patience import PATIENCE
from weft.kube import cache, events
from weft.kube.client import Object
from weft.kube.resources import EVENTS, NODES, PODS, VMIMS, VMIS
from weft_lab.kubelet import scheduler
from weft_lab.vm import controller, launcherpod, lifecycle, migrationrecord

MOVE = "default/move"
RUNS = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}


def machine() -> Object:
    made = vmi("db", nic("lan", "blue"))
    made["metadata"]["uid"] = "u1"
    made["status"] = {"phase": "Running", "nodeName": "node1"}
    return made


def move() -> Object:
    meta = {"name": "move", "namespace": "default", "uid": "m1"}
    return {"metadata": meta, "spec": {"vmiName": "db"}}


def source() -> Object:
    pod = launcherpod.render(machine(), "python")
    pod["metadata"]["uid"] = "source"
    return {**pod, "spec": {**pod["spec"], "nodeName": "node1"}, "status": RUNS}


def forged() -> Object:
    """By somebody who may create pods, and has seen the migration come."""
    pod = launcherpod.render_target(machine(), move(), "", "python")
    pod["metadata"]["uid"] = "forged"
    return {**pod, "spec": {**pod["spec"], "nodeName": "node9"}, "status": RUNS}


@asynccontextmanager
async def controlled(api: MemoryApi) -> AsyncIterator[None]:
    running = asyncio.create_task(controller.run(api))
    try:
        yield
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def until(api: MemoryApi, holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def target(api: MemoryApi) -> Object:
    return api.of(PODS, f"default/{launcherpod.target_name(machine(), move())}")


def world() -> MemoryApi:
    api = MemoryApi()
    api.now = lifecycle.stamp(datetime.now(UTC))  # a target that is older than it may be is deleted
    for kind, obj in ((VMIS, machine()), (PODS, source()), (VMIMS, move())):
        api.put(kind, obj)
    return api


def node(name: str, **spec: Any) -> Object:
    labels = {"kubernetes.io/hostname": name}
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    return {"metadata": {"name": name, "labels": labels}, "spec": spec, "status": ready}


@asynccontextmanager
async def scheduled(api: MemoryApi) -> AsyncIterator[None]:
    indexes = {"node": scheduler.node_of, "affinity": scheduler.concerned}
    pods, nodes = cache.Cache(api, PODS, indexes=indexes), cache.Cache(api, NODES)
    working = scheduler.Scheduler(api, pods, nodes, events.Recorder(api, "scheduler"))
    running = [asyncio.create_task(each.run()) for each in (pods, nodes, working)]
    try:
        yield
    finally:
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def test_a_target_that_fits_on_no_node_is_reported_in_kubevirts_words() -> None:
    """Its machine runs on the only node that takes pods."""
    api = world()
    for each in (node("node1"), node("node2", unschedulable=True)):
        api.put(NODES, each)
    words = "Migration target pod for VMI [default/db] is currently unschedulable."

    def is_reported() -> bool:
        found = {(each["reason"], each["message"]) for each in api.all(EVENTS).values()}
        return ("migrationTargetPodUnschedulable", words) in found

    async with controlled(api), scheduled(api):
        await until(api, is_reported)
        assert api.of(VMIMS, MOVE)["status"]["phase"] == "Scheduling"


@pytest.mark.parametrize("loses", ["", "after"])
async def test_a_pod_that_was_there_before_is_replaced(loses: str) -> None:
    """Also the controller's own, if it could not record that it made it."""
    api = world()
    if not loses:
        api.put(PODS, forged())
    lost: list[str] = []

    def spoil(verb: str, kind: Any, key: str) -> str:
        if loses and (verb, kind) == ("create", PODS) and not lost:
            lost.append(key)
            return loses
        return ""

    api.spoil = spoil
    async with controlled(api):
        await until(api, lambda: migrationrecord.target_uid(api.of(VMIMS, MOVE)))
        made = target(api)["metadata"]["uid"]
        assert migrationrecord.target_uid(api.of(VMIMS, MOVE)) == made != "forged"
    deleted = [key for verb, kind, key in api.writes if (verb, kind) == ("delete", PODS.kind)]
    assert deleted == [f"default/{target(api)['metadata']['name']}"]


async def test_a_pod_that_comes_later_is_not_the_target() -> None:
    api = world()
    async with controlled(api):
        await until(api, lambda: migrationrecord.target_uid(api.of(VMIMS, MOVE)))
        other = forged()
        other["metadata"]["name"] = "virt-launcher-forged"
        api.put(PODS, other)
        name = target(api)["metadata"]["name"]
        api.change(PODS, f"default/{name}", {"spec": {"nodeName": "node2"}, "status": RUNS})
        await until(api, lambda: api.of(VMIS, "default/db")["status"].get("migrationState") or {})
        state = api.of(VMIS, "default/db")["status"]["migrationState"]
        assert (state["targetPod"], state["targetNode"]) == (name, "node2")


async def test_a_field_of_a_migration_that_has_no_effect_is_reported() -> None:
    api, made = world(), move()
    made["spec"]["priority"] = "system-critical"
    api.put(VMIMS, made)

    def reported() -> bool:
        found = {(each["reason"], each["message"]) for each in api.all(EVENTS).values()}
        return ("FieldIgnored", "not followed by the lab: priority") in found

    async with controlled(api):
        await until(api, reported)


async def test_of_two_migrations_made_at_once_one_goes_on() -> None:
    """The other one would take the machine from it."""
    api, other = world(), move()
    other["metadata"] |= {"name": "again", "uid": "m2"}
    api.put(VMIMS, other)

    def phase(key: str) -> str:
        return str(api.of(VMIMS, key).get("status", {}).get("phase"))

    async with controlled(api):
        await until(api, lambda: phase(MOVE) == "Scheduling" and phase("default/again") == "Failed")
    made = [key for verb, kind, key in api.writes if (verb, kind) == ("create", PODS.kind)]
    assert made == [f"default/{target(api)['metadata']['name']}"]
