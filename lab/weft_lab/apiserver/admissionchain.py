"""Asks policies, then webhooks, about each write, and carries it out when both allow it.

What KubeVirt's own webhook says of a new migration is asked last: it is no process of its own here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import TypeVar

from weft_lab.apiserver import (
    admission,
    admissiontypes,
    evictions,
    migrations,
    status,
    webhooks,
    writes,
)
from weft_lab.apiserver.auth import User
from weft_lab.apiserver.cluster import Cluster
from weft_lab.apiserver.resources import Object

_PATIENCE = 60.0  # seconds of a whole request, as Kubernetes gives it
_Body = TypeVar("_Body")
_Done = TypeVar("_Done")


class Chain:
    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.policies = admission.Admission(cluster)
        self.webhooks = webhooks.Webhooks(cluster)
        cluster.listeners += [self.policies.listen, self.webhooks.listen]

    def prepare(
        self, target: writes.Target, user: User, method: str, query: Mapping[str, str]
    ) -> None:
        """Has the target's writes judged; does nothing where nobody is concerned."""
        if method in ("GET", "HEAD") or target.resource.group == admissiontypes.GROUP:
            return
        if target.resource.id == migrations.COLLECTION and not target.subresource:
            target.admission = (self._check_migration,)
        by_policies = self.policies.concerns(target)
        by_webhooks = self.webhooks.concerns(target)
        if not by_policies and not by_webhooks:
            return

        def admit(new: Object | None, old: Object | None) -> None:
            operation = "DELETE" if new is None else "CREATE" if old is None else "UPDATE"
            dry_run = bool(query.get("dryRun"))
            review = self.policies.request(target, user, operation, new, old, dry_run=dry_run)
            if by_policies:
                self.policies.check(target, review)
            if by_webhooks:
                self.webhooks.check(target, review, options(operation, query))

        target.admission, target.is_repeated = (admit, *target.admission), by_webhooks

    def _check_migration(self, new: Object | None, old: Object | None) -> None:
        if new is None:
            return
        if old is not None:
            migrations.check_edit(new, old)
            return
        collection, namespace = self._cluster.store.collection, new["metadata"]["namespace"]
        instances = collection(evictions.INSTANCES).items  # none without the kind
        item = instances.get((namespace, str((new.get("spec") or {}).get("vmiName"))))
        others = (
            each.parse()
            for (place, _), each in collection(migrations.COLLECTION).items.items()
            if place == namespace
        )
        migrations.check(new, item.parse() if item is not None else None, others)

    async def carry_out(
        self, target: writes.Target, write: Callable[[_Body], _Done], body: _Body
    ) -> _Done:
        """What `write` returns. It is called again when webhooks have answered, each time with the
        body as it came.
        """
        if not target.is_repeated:
            return write(body)
        warnings = list(target.warnings)
        try:
            async with asyncio.timeout(_PATIENCE):
                while True:
                    try:
                        return write(deepcopy(body))
                    except webhooks.Unanswered as pending:
                        target.warnings[:] = warnings
                        await self.webhooks.ask(target, pending)
        except TimeoutError:
            raise status.too_late() from None

    async def close(self) -> None:
        await self.webhooks.close()


def options(operation: str, query: Mapping[str, str]) -> Object:
    """The options of a request, as webhooks see them."""
    found: Object = {
        "kind": f"{operation.capitalize()}Options",
        "apiVersion": "meta.k8s.io/v1",
    }
    if query.get("dryRun"):
        found["dryRun"] = [query["dryRun"]]
    if operation != "DELETE":
        for name in ("fieldManager", "fieldValidation"):
            if query.get(name):
                found[name] = query[name]
    return found
