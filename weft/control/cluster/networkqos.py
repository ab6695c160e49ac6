"""Sums up at each NetworkQoS what zones say of it, and tells what is wrong with it.

Zones enforce NetworkQoS and write a condition each; nothing here does. `status.status` is one
sentence for `kubectl get`; conditions of nodes that are gone are removed.
"""

from __future__ import annotations

from weft.api import networkqos
from weft.api.networkqos import ParsedNetworkQos
from weft.control.cluster.objects import Node
from weft.control.cluster.outcome import Subject
from weft.kube import cache, events, queue, resources
from weft.kube.client import Client
from weft.kube.errors import NotFound
from weft.model import ObjectKey
from weft.policy.networkqos import Ranking
from weft.reasons import Reason

# Seconds in which conditions of several zones are collected into one update.
QUIET = 0.5


class QosStatuses:
    """One task of the manager, which follows the informers from `run` on."""

    def __init__(
        self,
        client: Client,
        recorder: events.Recorder,
        followed: cache.Informer[ParsedNetworkQos],
        nodes: cache.Informer[Node],
    ) -> None:
        self._client, self._recorder = client, recorder
        self._followed, self._nodes = followed, nodes
        self._reported: dict[ObjectKey, tuple[str, ...]] = {}  # problems that Events told of
        self._ranking = Ranking()
        self._queue = queue.Queue[ObjectKey](resources.NETWORKQOSES.kind)

    @property
    def trouble(self) -> str:
        """Why a status could not be written; else empty."""
        return self._queue.trouble

    async def run(self) -> None:
        """Follows and writes until cancelled."""
        self._followed.subscribe(self._changed)
        self._nodes.subscribe(self._node_changed)
        await self._queue.run(self._write)

    def _changed(
        self, key: ObjectKey, _: ParsedNetworkQos | None, new: ParsedNetworkQos | None
    ) -> None:
        current = new.current if new is not None else None
        for each in self._ranking.place(key, current.created if current is not None else None):
            self._queue.add(each, QUIET)
        if new is None:
            self._reported.pop(key, None)
            return
        if new.problems and self._reported.get(key) != new.problems:
            about = Subject(resources.NETWORKQOSES, key, new.uid).as_object()
            message = f"{networkqos.KIND} {key}: {'; '.join(new.problems)}"
            self._recorder.emit(about, Reason.INVALID_QOS, message)
        self._reported[key] = new.problems
        self._queue.add(key, QUIET if new.status.get("status") else 0.0)

    def _node_changed(self, key: ObjectKey, old: Node | None, new: Node | None) -> None:
        if old is not None and new is None:
            keys = self._followed.keys()
            for each in keys:
                self._queue.add(each, QUIET)

    async def _write(self, key: ObjectKey) -> None:
        seen = self._followed.get(key)
        if seen is None:
            return
        nodes = frozenset(each.name for each in self._nodes.objects())
        status = networkqos.summary(seen, nodes, in_force=self._ranking.has(key))
        if all(seen.status.get(name) == value for name, value in status.items()):
            return
        # With another version a zone has written meanwhile; its news have this decided again.
        meta = {"uid": seen.uid, "resourceVersion": seen.version}
        try:
            await self._client.patch(
                *(resources.NETWORKQOSES, key.name, key.namespace),
                {"metadata": meta, "status": status},
                subresource="status",
            )
        except NotFound:
            pass  # it went meanwhile
