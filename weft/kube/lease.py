"""Elects one of several copies of a process with a Lease.

The Lease names the leader. Time is measured on this machine only, from when it saw the Lease
change, so clocks that differ cannot make two leaders.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from weft import errors
from weft.kube import troubles
from weft.kube.backoff import Backoff
from weft.kube.cache import Cache
from weft.kube.client import ApiError, Client, Conflict, NotFound, Object
from weft.kube.resources import LEASES
from weft.model import ObjectKey

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Terms:
    """Times in seconds: how long a leader that does not renew keeps the lease, and how often it
    renews.

    A leader that could not renew for `hold` stops; others wait for `valid`, which is longer.
    """

    valid: float = 15.0
    hold: float = 10.0
    renew: float = 2.0


class Lost(errors.Unavailable):
    """The lease could not be renewed, or another copy took it: stop acting at once."""


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def claim(lease: Object | None, identity: str, terms: Terms, time: str) -> dict[str, Any]:
    """The spec with which `identity` takes or renews the lease at `time`."""
    spec: dict[str, Any] = dict((lease or {}).get("spec") or {})
    if spec.get("holderIdentity") != identity:
        spec["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + (lease is not None)
        spec["acquireTime"] = time
    return {
        **spec,
        "holderIdentity": identity,
        "leaseDurationSeconds": max(1, int(terms.valid)),
        "renewTime": time,
    }


def is_free(lease: Object, identity: str) -> bool:
    """Whether `identity` may take the lease at once: it holds it, or no copy does."""
    return _holder(lease) in ("", identity)


class Elector:
    """One copy of the process; `lead` runs work while it holds the Lease.

    If the lease is lost, it cancels the work and raises Lost. It releases the lease when it ends or
    is cancelled, so that the next copy need not wait. The Lease has `annotations` while this copy
    leads.
    """

    def __init__(
        self,
        client: Client,
        name: str,
        namespace: str,
        identity: str,
        terms: Terms | None = None,
        annotations: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._client = client
        self._name, self._namespace = name, namespace
        self._identity, self._annotations = identity, annotations
        self._terms = terms or Terms()
        self._troubles = troubles.Troubles[ObjectKey]("Lease")
        self._watched: Cache | None = None
        self._leads = False

    @property
    def trouble(self) -> str:
        """Why this copy may lose the lease, or could not take it over now; else empty."""
        if trouble := str(self._troubles):
            return trouble
        if self._leads:
            return ""
        if self._watched is None or not self._watched.is_synced:
            why = self._watched.trouble if self._watched is not None else ""
            return why or f"the lease {self._key} is not read yet"
        return self._watched.trouble

    @property
    def _key(self) -> ObjectKey:
        return ObjectKey(self._namespace, self._name)

    async def lead(self, work: Callable[[], Awaitable[None]]) -> None:
        """Wait until this copy leads, then run `work` to its end; raises Lost."""
        held = await self._acquire()
        self._leads = True
        log.info("leading as %s", self._identity)
        loop = asyncio.get_running_loop()
        tasks = {
            loop.create_task(self._renew(held), name="lease"),
            loop.create_task(_run(work), name="work"),
        }
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._release()
            self._leads = False
        for task in done:
            task.result()

    async def _acquire(self) -> Object:
        """Watch the Lease until it is free, released, or was not renewed for its whole duration."""
        cache = Cache(
            self._client,
            LEASES,
            namespace=self._namespace,
            field_selector=f"metadata.name={self._name}",
        )
        loop = asyncio.get_running_loop()
        self._watched = cache
        watching = loop.create_task(cache.run(), name="lease's cache")
        taking = loop.create_task(self._take(cache), name="lease")
        try:
            await asyncio.wait({watching, taking}, return_when=asyncio.FIRST_COMPLETED)
            if not taking.done():
                # Without the cache this copy would wait for ever: end with an error, and be
                # restarted.
                watching.result()
                raise Lost(f"the lease {self._key} is not watched any more")
            return taking.result()
        finally:
            for task in (watching, taking):
                task.cancel()
            await asyncio.gather(watching, taking, return_exceptions=True)
            self._watched = None

    async def _take(self, cache: Cache) -> Object:
        key = self._key
        backoff = Backoff(self._terms.renew / 10, self._terms.valid)
        await cache.synced()
        while True:
            lease = cache.get(key)
            if lease is not None and not is_free(lease, self._identity):
                duration = float(lease["spec"].get("leaseDurationSeconds") or 15)
                try:
                    await cache.wait_for(key, _differs_from(lease), duration)
                    continue
                except errors.NotReady:
                    log.warning("%s did not renew the lease for %g s", _holder(lease), duration)
            try:
                taken = await self._write(lease)
            except (Conflict, NotFound):
                # Another copy was faster; the cache will see its write.
                await asyncio.sleep(self._terms.renew / 10)
            except ApiError as error:
                if not error.retry:
                    raise
                self._troubles.note(key, error)
                await asyncio.sleep(backoff.next(error))
            else:
                self._troubles.clear(key)
                return taken

    async def _write(self, lease: Object | None) -> Object:
        spec = claim(lease, self._identity, self._terms, _now())
        meta: dict[str, Any] = {"name": self._name, "namespace": self._namespace}
        meta = meta if lease is None else lease["metadata"]
        notes = {**(meta.get("annotations") or {}), **self._annotations}
        obj = {
            **(lease or {"apiVersion": LEASES.api_version, "kind": LEASES.kind}),
            "metadata": {**meta, "annotations": notes},
            "spec": spec,
        }
        write = self._client.create if lease is None else self._client.update
        return await write(LEASES, obj)

    async def _renew(self, lease: Object) -> None:
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        while True:
            await asyncio.sleep(self._terms.renew)
            left = renewed + self._terms.hold - loop.time()
            try:
                async with asyncio.timeout(max(left, 0)):
                    started = loop.time()
                    lease = await self._write(lease)
                    renewed = started
                    self._troubles.clear(self._key)
            except (Conflict, NotFound):
                lease = await self._taken_over(lease)
            except TimeoutError:
                why = str(self._troubles) or "no answer"
                raise Lost(
                    f"the lease {self._key} could not be renewed in {self._terms.hold:g} s: {why}"
                ) from None
            except ApiError as error:
                self._troubles.note(self._key, error)

    async def _taken_over(self, lease: Object) -> Object:
        """The current Lease, if this copy still holds it; raises Lost."""
        try:
            lease = await self._client.get(LEASES, self._name, self._namespace)
        except NotFound:
            raise Lost(f"the lease {self._key} was deleted") from None
        except ApiError as error:
            self._troubles.note(self._key, error)
            return lease
        if _holder(lease) != self._identity:
            raise Lost(f"{_holder(lease) or 'nobody'} took the lease")
        return lease

    async def _release(self) -> None:
        try:
            async with asyncio.timeout(self._terms.renew):
                lease = await self._client.get(LEASES, self._name, self._namespace)
                if _holder(lease) == self._identity:
                    lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
                    await self._client.update(LEASES, lease)
        except TimeoutError:
            log.info("the lease was not given back: no answer within %g s", self._terms.renew)
        except ApiError as error:
            log.info("the lease was not given back: %s", error)


async def _run(work: Callable[[], Awaitable[None]]) -> None:
    await work()


def _differs_from(seen: Object) -> Callable[[Object], bool]:
    version = seen["metadata"]["resourceVersion"]
    return lambda lease: lease["metadata"]["resourceVersion"] != version


def _holder(lease: Object) -> str:
    return str((lease.get("spec") or {}).get("holderIdentity") or "")
