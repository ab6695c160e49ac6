"""The kubelet stand-in's steps for a pod, whatever comes while it takes them."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

import pytest

from tests.support.memory_api import MemoryApi
from tests.support.objects import pod
from tests.support.patience import PATIENCE
from weft import errors
from weft.kube import cache, events
from weft.kube.resources import EVENTS, NADS, PODS, Resource
from weft.model import ObjectKey
from weft_lab.kubelet import containerconfig, containers, launchers, pods, sandbox
from weft_lab.multus import attach, plugin, primary

MISSING = "/nope: No such file or directory"
KEY, UID = ObjectKey("default", "one"), "uid-one"


@dataclass
class Node:
    api: MemoryApi
    kubelet: pods.Pods
    mine: cache.Cache
    multus: attach.Multus
    recorder: events.Recorder
    folder: Path

    def box(self, **changes: Any) -> sandbox.Sandbox:
        """A sandbox that the kubelet holds."""
        about = plugin.Sandbox("0" * 64, str(self.folder / "netns"), "default", "one", UID)
        made = sandbox.Sandbox(self.folder / "pod", about, ("10.1.0.2",), time.time())
        for name, value in changes.items():
            setattr(made, name, value)
        self.kubelet._sandboxes[UID] = made
        return made

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.api.of(PODS, str(KEY)).get("status") or {}
        return found

    async def seen(self, predicate: Callable[[dict[str, Any]], bool]) -> None:
        """Returns when the kubelet's cache has such a pod."""
        await self.mine.wait_for(KEY, predicate, PATIENCE)


@asynccontextmanager
async def a_node(folder: Path, **spec: Any) -> AsyncIterator[Node]:
    """A kubelet with one pod, whose steps the test takes; nothing of it runs."""
    api = MemoryApi()
    api.put(PODS, pod("one", restartPolicy="Never", **spec))
    api.change(PODS, str(KEY), {"metadata": {"uid": UID}})
    mine, nads = cache.Cache(api, PODS), cache.Cache(api, NADS)
    recorder = events.Recorder(api, "kubelet")
    multus = attach.Multus(client=api, nads=nads, recorder=recorder, primary=None, path="")
    place = containerconfig.Environment(folder, folder, folder, {}, "192.0.2.1", "node1")
    kubelet = pods.Pods(api, mine, multus, recorder, place, launchers.Launchers((), {}))
    tasks = [asyncio.create_task(part.run()) for part in (mine, nads, recorder)]
    await mine.synced()
    await nads.synced()
    yield Node(api, kubelet, mine, multus, recorder, folder)
    for task in tasks:
        task.cancel()


class Sandboxes:
    """Stands where sandboxes are made: each takes until it is let go on, or cancelled."""

    def __init__(self, node: Node, patch: pytest.MonkeyPatch) -> None:
        self.node, self.made, self.undone = node, 0, 0
        self.begun, self.let_go, self.let_undo = asyncio.Event(), asyncio.Event(), asyncio.Event()
        patch.setattr(node.kubelet, "_make_sandbox", self.make)

    async def make(self, *_: Any) -> sandbox.Sandbox:
        self.made += 1
        self.begun.set()
        try:
            await self.let_go.wait()
        except BaseException:
            await self.let_undo.wait()
            self.undone += 1
            raise
        return self.node.box()


async def test_a_start_that_fails_while_the_status_is_written_is_reported(tmp_path: Path) -> None:
    """Its report comes after the step began, and the pod is finished by it."""
    async with a_node(tmp_path, command=["/nope"]) as node:
        box = node.box()

        def report(verb: str, res: Resource, key: str) -> str:
            if res is PODS and box.requested and not box.states:
                now = time.time()
                box.states = {"c": containers.State(0, now, 127, now, MISSING)}
            return ""

        node.api.spoil = report
        while node.status().get("phase") != "Failed":
            await node.kubelet.reconcile(KEY)
        await node.recorder.flushed()
        reasons = {event["reason"] for event in node.api.all(EVENTS).values()}
        assert {"Started", "Failed"} <= reasons


async def test_a_worker_that_is_cancelled_while_a_pod_starts_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_node(tmp_path) as node:
        node.api.change(PODS, str(KEY), {"status": {"startTime": "2026-01-02T00:00:00Z"}})
        await node.seen(lambda seen: "startTime" in seen.get("status", {}))
        sandboxes = Sandboxes(node, monkeypatch)
        sandboxes.let_undo.set()
        step = asyncio.create_task(node.kubelet.reconcile(KEY))
        await sandboxes.begun.wait()
        step.cancel()
        await asyncio.wait([step])
        assert step.cancelled()
        assert sandboxes.undone == 1


async def test_no_sandbox_is_left_behind_where_the_status_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_node(tmp_path) as node:
        sandboxes = Sandboxes(node, monkeypatch)
        sandboxes.let_undo.set()
        node.api.spoil = lambda verb, res, key: "before" if res is PODS else ""
        with pytest.raises(errors.NotReady):
            await node.kubelet.reconcile(KEY)
        assert sandboxes.undone == sandboxes.made


async def test_a_start_that_is_given_up_is_undone_in_peace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every change of a pod that is being deleted says again that it is."""
    async with a_node(tmp_path) as node:
        sandboxes = Sandboxes(node, monkeypatch)
        step = asyncio.create_task(node.kubelet.reconcile(KEY))
        await sandboxes.begun.wait()
        for _ in range(3):
            node.kubelet._pod_changed(KEY, node.mine.get(KEY), None)
            await asyncio.sleep(0)
        sandboxes.let_undo.set()
        with pytest.raises(errors.NotReady, match="being deleted"):
            await step
        assert sandboxes.undone == 1


async def test_a_nad_that_comes_while_a_pod_starts_brings_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_node(tmp_path) as node:
        sandboxes = Sandboxes(node, monkeypatch)
        sandboxes.let_undo.set()
        step = asyncio.create_task(node.kubelet.reconcile(KEY))
        await sandboxes.begun.wait()
        assert len(node.kubelet._queue) == 0
        node.kubelet._nad_changed(ObjectKey("default", "blue"), None, {})
        assert len(node.kubelet._queue) == 1
        step.cancel()
        await asyncio.wait([step])


async def test_a_pod_that_was_deleted_while_its_old_sandbox_went_is_not_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_node(tmp_path) as node:
        sandboxes = Sandboxes(node, monkeypatch)
        sandboxes.let_go.set()
        node.box(gone=True)
        undo = attach.delete

        async def deleted_meanwhile(*given: Any) -> list[errors.WeftError]:
            node.api.delete_kept(PODS, str(KEY))
            await node.seen(lambda seen: "deletionTimestamp" in seen["metadata"])
            return await undo(*given)

        monkeypatch.setattr(attach, "delete", deleted_meanwhile)
        await node.kubelet.reconcile(KEY)
        assert sandboxes.made == 0


async def test_an_ended_pods_last_status_is_written_again_until_it_is_there(
    tmp_path: Path,
) -> None:
    async with a_node(tmp_path) as node:
        now = time.time()
        node.box(states={"c": containers.State(0, now, 3, now)})
        writes = 0

        def lose_the_last(verb: str, res: Resource, key: str) -> str:
            nonlocal writes
            writes += res is PODS
            return "before" if res is PODS and writes == 2 else ""

        node.api.spoil = lose_the_last
        with pytest.raises(errors.WeftError):
            await node.kubelet.reconcile(KEY)
        await node.kubelet.reconcile(KEY)
        conditions = {c["type"]: c["status"] for c in node.status()["conditions"]}
        assert conditions["PodReadyToStartContainers"] == "False"
        (ended,) = node.status()["containerStatuses"]
        assert ended["state"]["terminated"]["exitCode"] == 3


def test_a_container_runs_from_its_order_to_the_end_of_the_sandbox(tmp_path: Path) -> None:
    about = plugin.Sandbox("0" * 64, "", "default", "one", UID)
    box = sandbox.Sandbox(tmp_path, about)
    assert box.start("c", 0, {})
    assert box.running == ["c"]
    box.states = {"c": containers.State(0, 1.0)}
    assert box.running == ["c"]
    box.states = {"c": containers.State(0, 1.0, 0, 2.0)}
    assert box.running == []
    assert box.start("c", 1, {})
    assert box.running == ["c"]
    box.gone = True
    assert box.running == []


async def test_what_is_left_of_a_sandbox_is_ended_by_who_finds_it(tmp_path: Path) -> None:
    """Its network was not finished when the kubelet ended: the first process runs all the same."""
    about = plugin.Sandbox("0" * 64, str(tmp_path / "netns"), "default", "one", UID)
    received = asyncio.get_running_loop().create_future()

    async def first_process(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'{"state":{}}\n')
        received.set_result(await reader.readline())
        writer.close()

    server = await asyncio.start_unix_server(first_process, str(tmp_path / "init.sock"))
    await sandbox.remove(sandbox.Sandbox(tmp_path, about, gone=True))
    server.close()
    assert await received == b'{"op":"stop"}\n'


async def test_a_first_process_that_starts_is_waited_for_before_it_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else nobody finds it: it has no socket yet, and does not end with the one that starts it."""
    started, go, whole = (tmp_path / name for name in ("started", "go", "whole"))
    os.mkfifo(started)
    program = tmp_path / "init.py"
    program.write_text(
        f"import os, time\nopen({str(started)!r}, 'w').close()\n"
        f"while not os.path.exists({str(go)!r}): time.sleep(0.01)\n"
        f"open({str(whole)!r}, 'w')\n"
    )
    monkeypatch.setattr(sandbox, "INIT", program)
    about = plugin.Sandbox("0" * 64, "", "default", "one", UID)
    making = asyncio.create_task(sandbox.create(tmp_path / "box", about, "one"))
    await asyncio.to_thread(started.read_bytes)
    making.cancel()
    await asyncio.sleep(0)
    go.touch()
    with pytest.raises(asyncio.CancelledError):
        await making
    assert whole.exists()
    assert not (tmp_path / "box").exists()


async def test_an_address_comes_back_from_a_pod_that_could_not_be_wired(tmp_path: Path) -> None:
    class Broken(primary.Primary):
        async def add(self, sandbox: plugin.Sandbox, interface: str) -> dict[str, Any]:
            assert isinstance(self._lease(sandbox.id), IPv4Interface)
            raise errors.Unavailable("no such luck")

    async with a_node(tmp_path) as node:
        first = Broken(IPv4Network("10.1.0.0/24"), tmp_path / "leases")
        multus = attach.Multus(node.api, node.multus.nads, node.recorder, first, "")
        about = plugin.Sandbox("0" * 64, "", "default", "one", UID)
        with pytest.raises(errors.Unavailable, match="luck"):
            await attach.add(multus, node.api.of(PODS, str(KEY)), about, tmp_path / "network.json")
        assert list((tmp_path / "leases").iterdir()) == []
