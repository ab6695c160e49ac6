"""Restores the allocation annotations of this node's pods after somebody changed them.

Each port's external_ids hold the allocations by which it was made, with their signature, so they
can be verified again (ADR 0060). The cluster manager restores annotations too; this works when none
runs, or a new one does not know the pod yet.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import replace

from weft import errors, model, names, rows
from weft.api import podnetworks
from weft.api.pod import Pod
from weft.api.podsignature import SignedAllocations, SignedAnnotations
from weft.kube import queue, resources
from weft.kube.client import Client, NotFound
from weft.model import ObjectKey
from weft.nic import port
from weft.node import attach
from weft.node.dependencies import Dependencies

log = logging.getLogger(__name__)

_ANNOTATIONS = (names.POD_NETWORKS, names.POD_NETWORKS_SIGNATURE)


class Restorer:
    """Watches the pods that have ports on this node; one task of the agent."""

    def __init__(self, client: Client, deps: Dependencies) -> None:
        self._client, self._deps = client, deps
        self.queue = queue.Queue[ObjectKey]("annotations of Pod")

    async def run(self) -> None:
        """Checks the pods with ports here, then those that change, until cancelled."""
        for bound in attach.bounds(self._deps):
            self.queue.add(bound.pod.key)
        self._deps.pods.subscribe(self._on_pod)
        await self.queue.run(self._reconcile)

    def _on_pod(self, key: ObjectKey, old: Pod | None, new: Pod | None) -> None:
        """Queues a pod whose annotations changed; a new pod has no port yet."""
        if old is not None and new is not None and any(old.proof) and old.proof != new.proof:
            self.queue.add(key)

    async def _reconcile(self, key: ObjectKey) -> None:
        pod = self._deps.pods.get(key)
        if pod is None or pod.is_completed:
            return
        bounds = [each for each in attach.bounds(self._deps) if each.pod == pod.ref]
        wired, now = self._wired(pod, bounds), self._verified(pod, pod.proof)
        if now is not None and (wired is None or _is_kept(wired, now)):
            await self._remember(bounds, now)
        elif wired is not None:
            await self._put_back(pod, wired)

    def _wired(self, pod: Pod, bounds: list[port.Bound]) -> SignedAllocations | None:
        """Returns the signed allocations in the pod's ports, None without a valid signature."""
        found = [self._verified(pod, bound.proof) for bound in bounds]
        known = [decided for decided in found if decided is not None]
        return max(known, key=lambda decided: decided.serial, default=None)

    def _verified(self, pod: Pod, proof: SignedAnnotations) -> SignedAllocations | None:
        """Returns the signed allocations in these annotations, None if there are none."""
        try:
            decided = self._deps.verified(pod.ref, proof)
        except errors.InvalidInput:
            return None
        return decided if decided.by else None

    async def _remember(self, bounds: list[port.Bound], now: SignedAllocations) -> None:
        """Writes the present annotations to ports with older ones, or with none.

        Their records first, by which rows are repaired.
        """
        ids: rows.DesiredValue = rows.MapEntries(dict(zip(_ANNOTATIONS, now.prove(), strict=True)))
        stale = [bound for bound in bounds if bound.proof != now.prove()]
        for bound in stale:
            known = self._deps.records.get(bound.device)
            if known is not None:
                owner = replace(known.owner, proof=now.prove())
                await self._deps.records.put(replace(known, owner=owner))
        changed = [
            rows.Row("Interface", bound.device, {"external_ids": ids}, is_part=True)
            for bound in stale
        ]
        if changed:
            await self._deps.ovs.apply(changed)

    async def _put_back(self, pod: Pod, wired: SignedAllocations) -> None:
        others = podnetworks.without(pod.proof[0], wired.allocations)
        texts = podnetworks.render(wired.allocations, onto=others), wired.signature
        body = {
            "metadata": {
                "uid": pod.uid,
                "resourceVersion": pod.version,
                "annotations": dict(zip(_ANNOTATIONS, texts, strict=True)),
            }
        }
        with contextlib.suppress(NotFound):
            await self._client.patch(
                resources.PODS, pod.ref.name, pod.ref.namespace, body, subresource="status"
            )
            log.warning("Pod %s: its annotations were restored", pod.key)


def _plain(decided: SignedAllocations) -> dict[str, model.Allocation]:
    """The allocations without what changes while a machine migrates."""
    return {key: replace(each, migration=None) for key, each in decided.allocations.items()}


def _is_kept(wired: SignedAllocations, now: SignedAllocations) -> bool:
    """Whether the annotations are newer than the ports, or have all that the ports were made by."""
    if now.serial != wired.serial:
        return now.serial > wired.serial
    return _plain(wired).items() <= _plain(now).items()
