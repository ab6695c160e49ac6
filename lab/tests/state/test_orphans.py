"""What becomes of pods whose node is deleted, or comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.memory_api import MemoryApi
from tests.support.objects import named
from tests.support.patience import PATIENCE
from weft.kube import cache
from weft.kube.resources import NODES, PODS
from weft.model import ObjectKey
from weft_lab.controllers import orphans
from weft_lab.kubelet import scheduler


def cluster() -> MemoryApi:
    api = MemoryApi()
    for node in ("one", "two"):
        api.put(NODES, {"metadata": {"name": node, "uid": node}, "spec": {}})
        pod = named(PODS, f"on-{node}", uid=f"on-{node}")
        api.put(PODS, {**pod, "spec": {"nodeName": node}, "status": {"phase": "Running"}})
    return api


@asynccontextmanager
async def collected(api: MemoryApi) -> AsyncIterator[orphans.Orphans]:
    pods = cache.Cache(api, PODS, indexes={"node": scheduler.node_of})
    nodes = cache.Cache(api, NODES)
    found = orphans.Orphans(api, pods, nodes)
    running = [asyncio.create_task(each) for each in (pods.run(), nodes.run(), found.run())]
    try:
        await pods.synced()
        await nodes.synced()
        yield found
    finally:
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def test_pods_of_a_node_that_is_gone_fail_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orphans, "QUARANTINE", 0.05)
    api = cluster()
    async with collected(api), asyncio.timeout(PATIENCE):
        api.remove(NODES, "one")
        while "default/on-one" in api.all(PODS):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert set(api.all(PODS)) == {"default/on-two"}
    (*_, last) = [
        obj
        for _, kind, event, obj in api.history
        if kind == PODS.kind and event == "MODIFIED" and obj["metadata"]["name"] == "on-one"
    ]
    assert last["status"]["phase"] == "Failed"
    (why,) = last["status"]["conditions"]
    assert (why["type"], why["reason"]) == ("DisruptionTarget", "DeletionByPodGC")


async def test_pods_of_a_node_that_comes_back_stay() -> None:
    api = cluster()
    name = ObjectKey("default", "on-one")
    async with collected(api) as found, asyncio.timeout(PATIENCE):
        api.remove(NODES, "one")
        while not api.is_drained():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await found.reconcile(name)
        api.put(NODES, {"metadata": {"name": "one", "uid": "again"}, "spec": {}})
        while not api.is_drained():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await found.reconcile(name)
    assert api.of(PODS, str(name))["status"]["phase"] == "Running"
    assert not api.writes
