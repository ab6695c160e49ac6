"""Deletes pods that are being deleted and whose node is no longer there to end them.

A kubelet says when a pod's processes have ended. A node that is gone runs none.
"""

from __future__ import annotations

import contextlib
from typing import Any

from weft.kube import cache, client, queue, resources
from weft.model import ObjectKey

Object = dict[str, Any]


class Orphans:
    """`pods` has the index `node`, by which it finds those of a node that goes."""

    def __init__(self, api: client.Client, pods: cache.Cache, nodes: cache.Cache) -> None:
        self._api, self._pods, self._nodes = api, pods, nodes
        self._queue = queue.Queue[ObjectKey]("orphans")

    async def run(self) -> None:
        await self._nodes.synced()
        await self._pods.synced()
        self._pods.subscribe(lambda name, old, new: self._queue.add(name))
        self._nodes.subscribe(self._node_changed)
        await self._queue.run(self.reconcile, workers=1)

    def _node_changed(self, name: ObjectKey, old: Object | None, new: Object | None) -> None:
        if new is None:
            for pod in self._pods.index("node", name.name):
                self._queue.add(pod)

    async def reconcile(self, name: ObjectKey) -> None:
        pod = self._pods.get(name)
        if pod is None or not pod["metadata"].get("deletionTimestamp"):
            return
        node = pod["spec"].get("nodeName")
        if not node or self._nodes.get(ObjectKey("", node)) is not None:
            return
        meta = pod["metadata"]
        with contextlib.suppress(client.NotFound, client.Conflict):
            await self._api.delete(
                resources.PODS, meta["name"], meta["namespace"], uid=meta["uid"], grace=0
            )
