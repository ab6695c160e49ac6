"""Writes what the cluster manager decides to the API server, and retries.

Decides due objects, a few of each kind at once and never one object twice, and sends the patches
and Events. What fails for a temporary reason is decided again, with back-off. This module does not
know what objects mean.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from functools import partial

from weft import errors, logid
from weft.control import conditionpatch, loop
from weft.control.cluster.outcome import Event, Marking, Patch, Ref, Replacement
from weft.control.cluster.state import Cluster
from weft.kube import events, queue, resources, troubles
from weft.kube.client import ApiError, Client, Forbidden, Invalid, NotFound, Object, Terminating
from weft.kube.resources import Resource
from weft.metrics import Figures, Histogram, Metric
from weft.model import ObjectKey

log = logging.getLogger(__name__)

# How many objects of a kind are decided and written at once.
_WORKERS = {
    resources.NADS: 4,
    resources.NODES: 8,
    resources.IPAMCLAIMS: 4,
    resources.PODS: 16,
    resources.MULTINETWORKPOLICIES: 2,
    resources.NETWORKS: 1,
    resources.NAMESPACES: 1,
    resources.CONFIGMAPS: 1,
    resources.SECRETS: 1,
    resources.PODENDPOINTS: 16,
    resources.UDNS: 2,
    resources.CUDNS: 2,
    resources.VMS: 4,
}


# Seconds after which an object is decided again whose namespace or kind was not there.
ABSENT = 5.0

# And one of which a quota or an admission policy of its namespace refused a part.
REFUSED = 30.0


class ApiWriter:
    """`wake` it after each change of `cluster`; it writes up to `pod_workers` pods at once."""

    def __init__(
        self, client: Client, cluster: Cluster, recorder: events.Recorder, *, pod_workers: int = 16
    ) -> None:
        self._client, self._cluster, self._recorder = client, cluster, recorder
        self._workers = {**_WORKERS, resources.PODS: pod_workers}
        self._queues = {
            res: queue.Queue[ObjectKey](res.kind, on_error=partial(self._failed, res))
            for res in _WORKERS
        }
        # Of writes that settle their objects: the version that the informer reported while each is
        # under way, and the version that each made, until the informer reports it.
        self._sending: dict[Ref, str] = {}
        self._written: dict[Ref, str] = {}
        self._since: dict[ObjectKey, float] = {}  # pods that are due: since when
        self._reconciling, self._allocating = Histogram(), Histogram()

    def __len__(self) -> int:
        """The number of objects that are due or in work."""
        return sum(map(len, self._queues.values()))

    @property
    def trouble(self) -> str:
        """Why something cannot be written, for a reason outside its object; else empty."""
        return next((each.trouble for each in self._queues.values() if each.trouble), "")

    def queued(self, resource: Resource) -> int:
        """Returns how many objects of a kind are due or in work."""
        return len(self._queues[resource])

    def wake(self, cause: Ref | None = None, version: str = "") -> None:
        """Queues what is due; `cause` and `version` name the object that changed, if one did."""
        for ref, after in self._cluster.take_due():
            if not (version and ref == cause and self._is_echo(ref, version)):
                self._queues[ref.resource].add(ref.key, after)
                if ref.resource is resources.PODS:
                    self._since.setdefault(ref.key, time.perf_counter())

    def _is_echo(self, ref: Ref, version: str) -> bool:
        """Whether a change is, or may be, only the echo of weft's own write (see `_settle`)."""
        if ref in self._sending:
            self._sending[ref] = version
            return True
        if self._written.get(ref) != version:
            return False
        del self._written[ref]
        return True

    def forget(self, ref: Ref) -> None:
        """Forgets an object that is gone."""
        self._written.pop(ref, None)
        if ref.resource is resources.PODS:
            self._since.pop(ref.key, None)

    def figures(self) -> Figures:
        return {
            Metric.PODS_QUEUED: self.queued(resources.PODS),
            Metric.RECONCILE: self._reconciling,
            Metric.ALLOCATION: self._allocating,
        }

    async def run(self) -> None:
        """Writes until cancelled."""
        self.wake()
        tasks = {
            res.plural: self._queues[res].run(partial(self._look, res), workers=workers)
            for res, workers in self._workers.items()
        }
        await loop.together(**tasks)

    async def _look(self, resource: Resource, key: ObjectKey) -> None:
        ref = Ref(resource, key)
        outcome = self._cluster.decide(ref, events.now())
        self._emit(outcome.events)
        self.wake()
        for after in filter(None, (outcome.again, outcome.later)):
            self._queues[resource].add(key, after)
        with self._reconciling.timed(time.perf_counter, resource.kind):
            for patch in outcome.patches:
                if not await self._send(ref, patch):
                    return
            for each in outcome.replacements:
                await self._replace(ref, each)
            for marking in outcome.markings:
                await self._mark(marking)
        if resource is resources.PODS and not outcome.again:
            since = self._since.pop(key, None)
            if since is not None and outcome.patches:
                self._allocating.observe(time.perf_counter() - since)

    async def _replace(self, ref: Ref, desired: Replacement) -> None:
        """Creates or replaces an object of weft's own.

        What the server answers counts at once: a change before its echo would else conflict.
        """
        write = self._client.update if desired.about.uid else self._client.create
        try:
            kept = await write(desired.about.resource, desired.as_object())
        except ApiError as error:
            if isinstance(error, NotFound | Terminating | Invalid | Forbidden) and not error.denial:
                self._emit(self._cluster.unstored(ref, error))
                self.wake()
            is_theirs = desired.about.resource is resources.IPAMCLAIMS and not error.denial
            if isinstance(error, Forbidden) and is_theirs:  # the tenant's own rules
                self._queues[ref.resource].add(ref.key, REFUSED)
                return
            if not isinstance(error, NotFound | Terminating):  # the object, its namespace, its kind
                raise
            self._queues[ref.resource].add(ref.key, ABSENT)
        else:
            self._cluster.stored(ref, kept)
            self.wake()

    async def _mark(self, marking: Marking) -> None:
        """Writes a condition beside those of others; where that is not admitted, Events say it."""
        res, key, uid = marking.about
        what = {"type": marking.type, "reason": marking.reason, "message": marking.message}
        try:
            await conditionpatch.write(self._client, res, key, uid=uid, **what)
        except NotFound:
            log.debug("%s %s went before it was marked", res.kind, marking.about.key)
        except (Forbidden, Invalid) as error:
            log.debug("%s %s takes no condition: %s", res.kind, marking.about.key, error)

    async def _send(self, ref: Ref, patch: Patch) -> bool:
        """Sends a patch; returns whether the object exists and took it."""
        kept = None
        if patch.settles:
            self._sending[ref] = ""
        try:
            kept = await self._patch(patch)
        except NotFound:
            log.debug("%s %s went before it was written", ref.resource.kind, ref.key)
        except Invalid as error:
            reported = self._cluster.refused(ref, patch, error)
            self._emit(reported)
            self.wake()
            if not reported:
                raise
            return False
        finally:
            if patch.settles:
                self._settle(ref, kept)
        if ref.resource is resources.PODS and kept is not None:
            log.info("Pod %s: allocations are written", ref.key, extra=logid.about(patch.about.uid))
        self._emit(self._cluster.written(ref, patch))
        if patch.status is not None and (kept is not None or patch.creates):
            self._keep_status(ref, patch, kept.get("status") if kept is not None else None)
        self.wake()
        return kept is not None

    def _settle(self, ref: Ref, kept: Object | None) -> None:
        """Decides an object again if it changed during its write, unless that was the write."""
        version = str(kept["metadata"].get("resourceVersion", "")) if kept is not None else ""
        echo = self._sending.pop(ref)
        if echo and echo != version:
            self._queues[ref.resource].add(ref.key)
        elif not echo and version:
            self._written[ref] = version

    async def _patch(self, patch: Patch) -> Object:
        res, (namespace, name), _ = patch.about
        sub = patch.subresource
        if patch.removes:
            await self._client.delete(res, name, namespace, uid=patch.about.uid)
            return {}
        if sub and patch.creates:
            await self._client.create(res, patch.about.as_object())
        try:
            return await self._client.patch(res, name, namespace, patch.body(), subresource=sub)
        except NotFound:
            # Upstream's kind of policies has no such subresource; else the object is gone.
            if sub and res.kind == resources.MULTINETWORKPOLICIES.kind:
                return await self._client.get(res, name, namespace)
            if sub or not patch.creates:
                raise
        body = {**patch.about.as_object(), "data": patch.data}
        return await self._client.create(res, body)

    def _keep_status(self, ref: Ref, patch: Patch, status: object) -> None:
        if self._cluster.keep_status(ref, patch, status):
            text = "%s keeps no status in this cluster: Events say what it would"
            log.warning(text, ref.resource.kind)

    def _emit(self, events: Iterable[Event]) -> None:
        for each in events:
            about = each.about.as_object()
            self._recorder.emit(about, each.reason, each.message)

    def _failed(self, resource: Resource, key: ObjectKey, error: errors.WeftError) -> None:
        if troubles.is_outside(error):
            return  # the queue logs when it begins and when it ends
        is_usual = isinstance(error, ApiError) and error.status == 409
        level = logging.DEBUG if is_usual else logging.WARNING
        log.log(level, "%s %s could not be written: %s", resource.kind, key, error)
