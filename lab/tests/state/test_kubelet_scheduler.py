"""The scheduler stand-in beside others that bind pods."""

from __future__ import annotations

import asyncio

from tests.support.memory_api import MemoryApi
from tests.support.objects import pod
from weft.kube import cache, events
from weft.kube.resources import NODES, PODS
from weft.model import ObjectKey
from weft_lab.kubelet import scheduler

ONE = ObjectKey("default", "one")


async def test_a_pod_that_somebody_else_binds_waits_for_no_node() -> None:
    api = MemoryApi()
    api.put(PODS, pod("one"))
    indexes = {"node": scheduler.node_of, "affinity": scheduler.concerned}
    pods, nodes = cache.Cache(api, PODS, indexes=indexes), cache.Cache(api, NODES)
    tasks = [asyncio.create_task(part.run()) for part in (pods, nodes)]
    await pods.synced()
    await nodes.synced()
    working = scheduler.Scheduler(api, pods, nodes, events.Recorder(api, "test"))
    await working.reconcile(ONE)
    assert working._unplaced == {ONE}
    (told,) = api.of(PODS, str(ONE))["status"]["conditions"]
    expected = ("PodScheduled", "False", "Unschedulable")
    assert (told["type"], told["status"], told["reason"]) == expected
    assert told["message"] == "0/0 nodes are available: no nodes."
    writes = len(api.writes)
    await pods.wait_for(ONE, lambda one: "status" in one, 10)
    await working.reconcile(ONE)
    assert len(api.writes) == writes, "it is told once"
    bound = {"metadata": {}, "spec": {"nodeName": "node1"}}
    working._pod_changed(ONE, pods.get(ONE), bound)
    assert working._unplaced == set()
    for task in tasks:
        task.cancel()
