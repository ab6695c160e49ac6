"""The kubelet stand-in's steps for a pod, whenever its first process reports."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from tests.support.memory_api import MemoryApi
from tests.support.pods import pod
from weft.kube import cache, events
from weft.kube.resources import EVENTS, NADS, PODS, Resource
from weft.lab.kubelet import containers, pods, sandbox
from weft.lab.meta import attach, plugin

MISSING = "/nope: No such file or directory"


def reasons(api: MemoryApi) -> set[str]:
    return {event["reason"] for event in api.all(EVENTS).values()}


async def test_a_start_that_fails_while_the_status_is_written_is_told(tmp_path: Path) -> None:
    """Its report comes after the step began, and the pod is finished by it."""
    api = MemoryApi()
    api.put(PODS, pod("nope", command=["/nope"], restartPolicy="Never"))
    api.change(PODS, "default/nope", {"metadata": {"uid": "uid-nope"}})
    mine, nads = cache.Cache(api, PODS), cache.Cache(api, NADS)
    recorder = events.Recorder(api, "kubelet")
    meta = attach.Meta(client=api, nads=nads, recorder=recorder, primary=None, path="")
    place = pods.Environment(tmp_path, tmp_path, tmp_path, {}, {}, "192.0.2.1")
    kubelet = pods.Pods(api, mine, meta, recorder, place)
    about = plugin.Sandbox("0" * 64, str(tmp_path / "netns"), "default", "nope", "uid-nope")
    box = sandbox.Sandbox(tmp_path / "pod", about, ("10.1.0.2",), time.time())
    kubelet._sandboxes["uid-nope"] = box

    def report(verb: str, res: Resource, key: str) -> str:
        if res is PODS and box.ordered and not box.states:
            now = time.time()
            box.states = {"c": containers.State(0, now, 127, now, MISSING)}
        return ""

    api.spoil = report
    tasks = [asyncio.create_task(part.run()) for part in (mine, nads, recorder)]
    await mine.synced()
    while not _is_finished(api):
        await kubelet.reconcile("default/nope")
    await recorder.flushed()
    assert {"Started", "Failed"} <= reasons(api)
    for task in tasks:
        task.cancel()


def _is_finished(api: MemoryApi) -> bool:
    status: dict[str, Any] = api.of(PODS, "default/nope").get("status") or {}
    return status.get("phase") == "Failed"
