"""Ends pods whose node is no longer there to do it: the role of Kubernetes' garbage collector.

A kubelet says when a pod's processes have ended. A node that is gone runs none: a pod that is being
deleted goes at once, any other fails first, after a while in which the node may come back.
"""

from __future__ import annotations

import contextlib
import time
from datetime import UTC, datetime
from typing import Any

from weft.kube import cache, client, queue, resources
from weft.model import ObjectKey

QUARANTINE = 20.0  # seconds; Kubernetes waits for 40, and looks each 20

Object = dict[str, Any]


class Orphans:
    """`pods` has the index `node`, by which it finds those of a node that goes."""

    def __init__(self, api: client.Client, pods: cache.Cache, nodes: cache.Cache) -> None:
        self._api, self._pods, self._nodes = api, pods, nodes
        self._queue = queue.Queue[ObjectKey]("orphans")
        self._missed: dict[str, float] = {}  # since when, by node

    async def run(self) -> None:
        await self._nodes.synced()
        await self._pods.synced()
        self._pods.subscribe(lambda name, old, new: self._queue.add(name))
        self._nodes.subscribe(self._node_changed)
        await self._queue.run(self.reconcile, workers=1)

    def _node_changed(self, name: ObjectKey, old: Object | None, new: Object | None) -> None:
        if new is not None:
            self._missed.pop(name.name, None)
            return
        for pod in self._pods.index("node", name.name):
            self._queue.add(pod)

    async def reconcile(self, name: ObjectKey) -> None:
        pod = self._pods.get(name)
        node = pod["spec"].get("nodeName") if pod is not None else ""
        if pod is None or not node or self._nodes.get(ObjectKey("", node)) is not None:
            return
        if not pod["metadata"].get("deletionTimestamp"):
            left = self._missed.setdefault(node, time.monotonic()) + QUARANTINE - time.monotonic()
            if left > 0:
                self._queue.add(name, after=left)
                return
            await self._fail(pod)
        meta = pod["metadata"]
        with contextlib.suppress(client.NotFound, client.Conflict):
            await self._api.delete(
                resources.PODS, meta["name"], meta["namespace"], uid=meta["uid"], grace=0
            )

    async def _fail(self, pod: Object) -> None:
        """Its controllers learn that it has not ended by itself. Words are Kubernetes'."""
        meta = pod["metadata"]
        if pod["status"].get("phase") in ("Succeeded", "Failed"):
            return
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "DeletionByPodGC",
            "message": "PodGC: node no longer exists",
            "lastTransitionTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        body = {
            "metadata": {"uid": meta["uid"]},
            "status": {"phase": "Failed", "conditions": [condition]},
        }
        with contextlib.suppress(client.NotFound, client.Conflict):
            await self._api.patch(
                *(resources.PODS, meta["name"], meta["namespace"], body),
                type="strategic",
                subresource="status",
            )
