"""A NIC of a running pod that nobody plugs or unplugs is told, and no other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from weft import model, names
from weft.api.pod import Pod, read
from weft.model import ObjectKey
from weft.node import plugging
from weft.reasons import EventReason, Reason

KEY = ObjectKey("default", "one")
Change = Callable[[ObjectKey, Pod | None, Pod | None], None]


class Node:
    """What an agent knows of one pod; `told` are the Events."""

    node = "node1"

    def __init__(self) -> None:
        self.told: list[str] = []
        self.pod: Pod | None = None
        self.made: list[str] = ["default/blue"]
        self.allocated = ["default/blue"]
        self.pods: Any = SimpleNamespace(subscribe=self._subscribe, get=lambda _: self.pod)
        self.records: Any = SimpleNamespace(all=self._records)
        self._changed: Change | None = None

    def decided(self, _: Pod) -> Any:
        given = model.Allocation("0a:58:0a:01:00:05")
        return SimpleNamespace(allocations=dict.fromkeys(self.allocated, given))

    def warn(self, pod: model.PodRef, reason: EventReason, message: str) -> None:
        assert (pod.key, reason) == (KEY, Reason.NIC_NOT_PLUGGED)
        self.told.append(message)

    def _records(self) -> list[Any]:
        assert self.pod is not None
        owners = [SimpleNamespace(pod=self.pod.ref, attachment=each) for each in self.made]
        return [SimpleNamespace(owner=each) for each in owners]

    def _subscribe(self, changed: Change) -> None:
        self._changed = changed

    def change(self, networks: str, *interfaces: str, phase: str = "Running", **meta: Any) -> None:
        """The pod as the API server has it now; `interfaces`: each "<nad>@<interface>"."""
        named = [each.partition("@") for each in interfaces]
        status = [{"name": f"default/{nad}", "interface": name} for nad, _, name in named]
        notes = {names.NETWORKS: networks, names.NETWORK_STATUS: json.dumps(status)}
        obj = {
            "metadata": {"name": "one", "namespace": "default", "uid": "1", "annotations": notes},
            "spec": {"nodeName": meta.get("node", "node1")},
            "status": {"phase": phase},
        }
        old, self.pod = self.pod, read(obj)
        assert self._changed is not None
        self._changed(KEY, old, self.pod)


@asynccontextmanager
async def watching(
    patience: float = 0.0, early: float = plugging.PATIENCE
) -> AsyncIterator[tuple[Node, plugging.Plugging]]:
    node = Node()
    deps: Any = node
    found = plugging.Plugging(deps, patience, early)
    task = asyncio.create_task(found.run())
    await asyncio.sleep(0)  # it subscribes
    node.change("blue", "blue@net1")
    try:
        yield node, found
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_nic_that_nobody_plugs_is_reported_once() -> None:
    async with watching() as (node, found):
        node.change("blue, red", "blue@net1")  # the manager has not allocated yet
        await found.queue.idle()
        assert node.told == []
        node.allocated.append("default/red")
        node.change("blue, red", "blue@net1")
        await found.queue.idle()
        (told,) = node.told
        assert "names net2 since the pod runs" in told
        assert "dynamic networks controller on node1" in told
        node.change("blue, red ", "blue@net1")
        await found.queue.idle()
        assert len(node.told) == 1
        node.change("blue", "blue@net1")  # given up, and asked for again: it is news
        node.change("blue, red", "blue@net1")
        await found.queue.idle()
        assert len(node.told) == 2


async def test_a_nic_that_nobody_unplugs_is_reported() -> None:
    async with watching() as (node, found):
        node.allocated.append("default/red")
        node.made.append("default/red")
        node.change("blue, red", "blue@net1", "red@net2")
        await found.queue.idle()
        assert node.told == []
        node.change("blue", "blue@net1", "red@net2")
        await found.queue.idle()
        (told,) = node.told
        assert "does not name net2 any more; nobody has unplugged it" in told


@pytest.mark.parametrize("early", [False, True], ids=["in time", "before the allocation"])
async def test_who_is_called_is_at_work(early: bool) -> None:
    """Whether the call succeeds is its caller's to tell."""
    async with watching() as (node, found):
        if early:
            node.change("blue, red", "blue@net1")
            found.called(KEY, "net2")
        node.allocated.append("default/red")
        node.change("blue, red", "blue@net1")
        found.called(KEY, "net2")
        await found.queue.idle()
        assert node.told == []
        node.made.append("default/red")
        node.change("blue, red", "blue@net1", "red@net2")
        node.change("blue", "blue@net1", "red@net2")  # this time nobody comes
        await found.queue.idle()
        assert len(node.told) == 1


@pytest.mark.parametrize("early", [0.0, plugging.PATIENCE], ids=["long ago", "the control: now"])
async def test_a_call_long_before_a_nic_is_due_is_for_something_else(early: float) -> None:
    """As when the pod's sandbox is made anew: its runtime calls for each interface."""
    async with watching(early=early) as (node, found):
        node.allocated.append("default/red")
        node.made.append("default/red")
        node.change("blue, red", "blue@net1", "red@net2")
        found.called(KEY, "net2")
        node.change("blue", "blue@net1", "red@net2")
        await found.queue.idle()
        assert len(node.told) == (0 if early else 1)


@pytest.mark.parametrize(
    ("networks", "interfaces", "more"),
    [
        ("blue, macvlan", ("blue@net1",), {}),
        ("blue, red", (), {}),
        ("blue, red", ("blue@net1",), {"phase": "Pending", "node": "node2"}),
        ("blue, red", ("blue@net1",), {"phase": "Succeeded"}),
        ("[{", ("blue@net1",), {}),
    ],
    ids=["another plugin's", "no network-status", "another node's", "it has ended", "unreadable"],
)
async def test_what_is_none_of_this_agents_business_is_not_reported(
    networks: str, interfaces: tuple[str, ...], more: dict[str, str]
) -> None:
    async with watching() as (node, found):
        node.allocated.append("default/red")
        node.change(networks, *interfaces, **more)
        await found.queue.idle()
        assert node.told == []


async def test_a_node_that_boots_has_no_records_and_lacks_nothing() -> None:
    """Its runtime makes all sandboxes anew, and network-status says what there was."""
    async with watching() as (node, found):
        node.made.clear()
        node.change("blue", "blue@net1")
        await found.queue.idle()
        assert node.told == []
