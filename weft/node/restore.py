"""Restores the annotations of this node's pods that somebody changed.

Every port carries the decision by which it was made, and the signature of that: it proves itself,
whoever writes it (ADR 0060). The manager does the same where it holds what the pod has; this serves
where none runs, or one that has only just come.
"""

from __future__ import annotations

import contextlib
import logging
from typing import Any

from weft import errors, names, rows
from weft.api import podnetworks, podsignature
from weft.api.podsignature import SignedAllocations
from weft.kube import queue, resources
from weft.kube.client import Client, NotFound
from weft.nic import port
from weft.node import attach
from weft.node.dependencies import Dependencies

log = logging.getLogger(__name__)

Object = dict[str, Any]
_NOTES = (names.POD_NETWORKS, names.POD_NETWORKS_SIGNATURE)
_DONE = ("Succeeded", "Failed")


class Restorer:
    """Follows the pods that have ports here."""

    def __init__(self, client: Client, deps: Dependencies) -> None:
        self._client, self._deps = client, deps
        self.queue = queue.Queue("annotations of Pod")

    async def run(self) -> None:
        for bound in attach.bounds(self._deps):
            self.queue.add(bound.pod.key)
        self._deps.pods.subscribe(self._on_pod)
        await self.queue.run(self._reconcile)

    def _on_pod(self, key: str, old: Object | None, new: Object | None) -> None:
        """The annotations that were on a pod before and are gone; a new pod has no port yet."""
        if old is not None and new is not None and any(_notes(old)) and _notes(old) != _notes(new):
            self.queue.add(key)

    async def _reconcile(self, key: str) -> None:
        pod = self._deps.pods.get(key)
        if pod is None or (pod.get("status") or {}).get("phase") in _DONE:
            return
        ref = (key, pod["metadata"]["uid"])
        bounds = [b for b in attach.bounds(self._deps) if (b.pod.key, b.pod.uid) == ref]
        wired, now = self._wired(pod, bounds), self._proved(pod, _notes(pod))
        if now is not None and (
            wired is None or wired.allocations.items() <= now.allocations.items()
        ):
            await self._remember(bounds, now)
        elif wired is not None:
            await self._put_back(pod, wired)

    def _wired(self, pod: Object, bounds: list[port.Bound]) -> SignedAllocations | None:
        """The decision by which the pod was wired, None where nothing proves any."""
        found = (self._proved(pod, bound.proof) for bound in bounds)
        return next((decided for decided in found if decided is not None), None)

    def _proved(
        self, pod: Object, notes: podsignature.SignedAnnotations
    ) -> SignedAllocations | None:
        """What these annotations would prove on the pod."""
        meta = {**pod["metadata"], "annotations": dict(zip(_NOTES, notes, strict=True))}
        try:
            decided = self._deps.proved({"metadata": meta})
        except errors.InvalidInput:
            return None
        return decided if decided.allocations else None

    async def _remember(self, bounds: list[port.Bound], now: SignedAllocations) -> None:
        """Ports from before there were signatures, or under an earlier key, get today's."""
        ids: rows.DesiredValue = rows.MapEntries(dict(zip(_NOTES, now.prove(), strict=True)))
        stale = [bound for bound in bounds if bound.proof != now.prove()]
        changed = [
            rows.Row("Interface", bound.device, {"external_ids": ids}, is_part=True)
            for bound in stale
        ]
        if changed:
            await self._deps.ovs.apply(changed)

    async def _put_back(self, pod: Object, wired: SignedAllocations) -> None:
        meta = pod["metadata"]
        others = podnetworks.without(_notes(pod)[0], wired.allocations)
        texts = podnetworks.render(wired.allocations, onto=others), wired.signature
        body = {
            "metadata": {
                "uid": meta["uid"],
                "resourceVersion": meta["resourceVersion"],
                "annotations": dict(zip(_NOTES, texts, strict=True)),
            }
        }
        with contextlib.suppress(NotFound):
            await self._client.patch(
                resources.PODS, meta["name"], meta["namespace"], body, subresource="status"
            )
            log.warning("Pod %s: its annotations were restored", resources.key(pod))


def _notes(pod: Object) -> podsignature.SignedAnnotations:
    notes = pod["metadata"].get("annotations") or {}
    return notes.get(_NOTES[0]) or "", notes.get(_NOTES[1]) or ""
