"""Moves running machines between nodes: virt-controller's part of live migration.

It makes and deletes target pods, hands instances to the handlers of the two nodes, and writes
status, Events and finalizers of VirtualMachineInstanceMigrations. migration.py decides.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from weft import errors, names
from weft.kube import cache, events, queue, resources
from weft.kube.client import AlreadyExists, Client, Conflict, NotFound, Object
from weft.model import ObjectKey
from weft_lab.reasons import Reason
from weft_lab.vm import (
    launcherpod,
    lifecycle,
    migration,
    migrationconfig,
    migrationorder,
    migrationrecord,
    specwarnings,
)

log = logging.getLogger(__name__)

BY_OWNER, BY_MIGRATION, BY_INSTANCE = "owner", "migration", "instance"
WORKERS = 4


class Migrations:
    """Reconciles migrations. `pods` has the index BY_OWNER (uid of the instance)."""

    def __init__(
        self, client: Client, vmis: cache.Cache, pods: cache.Cache, recorder: events.Recorder
    ) -> None:
        self._client, self._vmis, self._pods = client, vmis, pods
        self._recorder = recorder
        self._migrations = cache.Cache(client, resources.VMIMS, indexes={BY_INSTANCE: _instance_of})
        self._queue = queue.Queue[ObjectKey](
            "VirtualMachineInstanceMigration", on_error=self._failed
        )

    @property
    def cache(self) -> cache.Cache:
        return self._migrations

    async def run(self) -> None:
        for one in (self._migrations, self._vmis, self._pods):
            await one.synced()
        self._migrations.subscribe(self._on_migration)
        self._vmis.subscribe(lambda key, old, new: self._wake(key))
        self._pods.subscribe(self._on_pod)
        await self._queue.run(self._reconcile, workers=WORKERS)

    def _on_migration(self, key: ObjectKey, old: Object | None, new: Object | None) -> None:
        self._queue.add(key)
        if new is None or migration.is_final(new):  # others may have waited for its end
            for other, waiting in self._each():
                if migration.phase(waiting) in ("", "Pending"):
                    self._queue.add(other)

    def _wake(self, instance: ObjectKey) -> None:
        for key in self._migrations.index(BY_INSTANCE, instance):
            self._queue.add(key)

    def _on_pod(self, key: ObjectKey, old: Object | None, new: Object | None) -> None:
        pod = new or old or {}
        for owner in pod["metadata"].get("ownerReferences") or ():
            if owner["kind"] == resources.VMIS.kind:
                self._wake(ObjectKey(key.namespace, owner["name"]))

    def _failed(self, key: ObjectKey, error: errors.WeftError) -> None:
        if not isinstance(error, Conflict):  # the watch queues it again
            log.warning("migration %s: %s", key, error)

    async def _reconcile(self, key: ObjectKey) -> None:
        one = self._migrations.get(key)
        if one is None:
            return
        if await self._adopt(one):
            return
        vmi = self._vmis.get(ObjectKey(key.namespace, str(one["spec"].get("vmiName"))))
        await self._expel_strangers(one, vmi)
        seen = self._seen(one, vmi, await self._settings(one))
        decision = migration.decide(seen)
        await self._act(seen, decision)
        if decision.status:
            await self._write(one, decision.status)
        for reason, message in decision.events:
            self._recorder.emit(one, reason, message)
        if decision.is_over:
            await self._release(one, vmi)
        if decision.after > 0:
            self._queue.add(key, after=decision.after)

    def _seen(
        self, one: Object, vmi: Object | None, config: migrationconfig.Configuration
    ) -> migration.Seen:
        uid = one["metadata"]["uid"]
        pods = self._pods_of(vmi)
        node = ((vmi or {}).get("status") or {}).get("nodeName")
        target = source = None
        for pod in pods:
            if pod["metadata"]["uid"] == migrationrecord.target_uid(one):
                target = pod
            elif pod["metadata"]["name"] == migration.state(vmi).get("sourcePod") or (
                not migration.is_of(vmi, one) and pod["spec"].get("nodeName") == node
            ):
                source = pod
        running = [
            (f"{key.namespace}/{other['spec'].get('vmiName')}", self._source_node(key, other))
            for key, other in self._each()
            if migration.has_target(other) and other["metadata"]["uid"] != uid
        ]
        alive = [pod for pod in pods if not lifecycle.is_final(pod)]
        instance = ObjectKey(one["metadata"]["namespace"], str(one["spec"].get("vmiName")))
        keys = self._migrations.index(BY_INSTANCE, instance)
        others = [other for key, other in self._each() if key in keys]
        earlier = migrationorder.earlier(one, others)
        return migration.Seen(
            one, vmi, source, target, len(alive), running, config, datetime.now(UTC), earlier
        )

    def _source_node(self, key: ObjectKey, other: Object) -> str:
        vmi = self._vmis.get(ObjectKey(key.namespace, str(other["spec"].get("vmiName"))))
        return str(((vmi or {}).get("status") or {}).get("nodeName") or "")

    def _each(self) -> list[tuple[ObjectKey, Object]]:
        found = ((key, self._migrations.get(key)) for key in list(self._migrations.keys()))
        return [(key, one) for key, one in found if one is not None]

    def _pods_of(self, vmi: Object | None) -> list[Object]:
        keys = self._pods.index(BY_OWNER, vmi["metadata"]["uid"]) if vmi is not None else set()
        return [pod for key in sorted(keys) if (pod := self._pods.get(key)) is not None]

    async def _settings(self, one: Object) -> migrationconfig.Configuration:
        """Read where they count: when a migration is accepted, started and handed over."""
        if migration.phase(one) not in migration.BEFORE_HAND_OFF:
            return migrationconfig.Configuration()
        try:
            found = await self._client.get(
                resources.CONFIGMAPS, migrationconfig.NAME, migrationconfig.NAMESPACE
            )
        except NotFound:
            return migrationconfig.Configuration()
        return migrationconfig.of_config_map(found)

    # What is decided

    async def _act(self, seen: migration.Seen, decision: migration.Decision) -> None:
        one, vmi = seen.migration, seen.vmi
        if decision.create_pod and vmi is not None:
            await self._create_pod(seen, vmi)
        if decision.delete_pod and seen.target is not None:
            await self._delete_pod(one, seen.target, decision.delete_pod)
        if decision.mark_ready and vmi is not None and seen.target is not None:
            stamp = migration.state(vmi)["targetNodeDomainReadyTimestamp"]
            await self._patch_pod(seen.target, {migration.TARGET_READY: stamp})
        if vmi is None:
            return
        changes: dict[str, Any] = {}
        if decision.hand_off and seen.target is not None:
            # A merge patch: what an earlier migration left goes field by field.
            gone = dict.fromkeys(migration.state(vmi))
            changes = {**gone, **migration.handed_off(vmi, one, seen.target, seen.config)}
        elif decision.fail_instance:
            now = lifecycle.stamp(seen.now)
            cancelled, why = lifecycle.is_deleted(one), decision.fail_instance
            changes = migration.marked_failed(vmi, why, now, cancelled=cancelled)
        elif decision.request_abort:
            changes = {"abortRequested": True}
        if changes:
            await self._patch_instance(vmi, {"status": {"migrationState": changes}}, "status")
        if decision.hand_off and seen.target is not None:
            labels = {migration.TARGET_NODE: seen.target["spec"]["nodeName"]}
            await self._label(vmi, labels)

    async def _create_pod(self, seen: migration.Seen, vmi: Object) -> None:
        one = seen.migration
        annotations = (seen.source or {}).get("metadata", {}).get("annotations") or {}
        networks = str(annotations.get(names.NETWORKS) or "")
        pod = launcherpod.render_target(vmi, one, networks, sys.executable)
        try:
            made = await self._client.create(resources.PODS, pod)
        except AlreadyExists:
            return  # the cache will show whose it is
        record = migrationrecord.with_target(one, made["metadata"]["uid"], seen.now)
        await self._patch(resources.VMIMS, one, {"status": record}, "status")
        text = f"Created migration target pod {pod['metadata']['name']}"
        self._recorder.emit(one, Reason.SUCCESSFUL_CREATE, text)
        if one["spec"].get("priority"):
            self._recorder.emit(one, *specwarnings.ignored(["priority"]))

    async def _expel_strangers(self, one: Object, vmi: Object | None) -> None:
        """Delete pods that say that they are this migration's target, and were not made here.

        Or they were, by a controller that ended before it recorded so: another one is made then.
        """
        uid = one["metadata"]["uid"]
        if migrationrecord.target_uid(one) or migration.phase(one) not in ("", "Pending"):
            return  # another one does not start: its node's kubelet reads the record
        for pod in self._pods_of(vmi):
            meta = pod["metadata"]
            named = (meta.get("labels") or {}).get(launcherpod.MIGRATION_UID)
            if named != uid or lifecycle.is_deleted(pod):
                continue
            try:  # the cache may not have the record yet
                now = await self._client.get(
                    resources.VMIMS, one["metadata"]["name"], meta["namespace"]
                )
            except NotFound:
                return
            if migrationrecord.target_uid(now) != meta["uid"]:
                name = f"{meta['namespace']}/{meta['name']}"
                text = f"pod {name} is deleted: this migration has not made it"
                await self._delete_pod(one, pod, text)

    async def _delete_pod(self, one: Object, pod: Object, text: str) -> None:
        meta = pod["metadata"]
        try:
            await self._client.delete(
                resources.PODS, meta["name"], meta["namespace"], uid=meta["uid"]
            )
        except (NotFound, Conflict):
            return
        self._recorder.emit(one, Reason.SUCCESSFUL_DELETE, text)

    # Writing

    async def _adopt(self, one: Object) -> bool:
        """The finalizer and label that KubeVirt's webhook adds; True ends the reconcile."""
        meta = one["metadata"]
        finalizers = list(meta.get("finalizers") or ())
        name = str(one["spec"].get("vmiName") or "")
        labels = meta.get("labels") or {}
        is_new = not migration.is_final(one) and not lifecycle.is_deleted(one)
        if not is_new or (migration.FINALIZER in finalizers and migration.VMI_NAME in labels):
            return False
        body = {
            "metadata": {
                "resourceVersion": meta["resourceVersion"],
                "finalizers": [*{*finalizers, migration.FINALIZER}],
                "labels": {migration.VMI_NAME: name[:63].rstrip("-.")},
            }
        }
        await self._patch(resources.VMIMS, one, body)
        return True

    async def _release(self, one: Object, vmi: Object | None) -> None:
        if vmi is not None and migration.is_of(vmi, one):
            labels = vmi["metadata"].get("labels") or {}
            if migration.TARGET_NODE in labels and not migration.is_under_way(vmi):
                await self._label(vmi, {migration.TARGET_NODE: None})
        finalizers = list(one["metadata"].get("finalizers") or ())
        if migration.FINALIZER in finalizers:
            finalizers.remove(migration.FINALIZER)
            await self._patch(resources.VMIMS, one, {"metadata": {"finalizers": finalizers}})

    async def _label(self, vmi: Object, labels: Mapping[str, str | None]) -> None:
        await self._patch(resources.VMIS, vmi, {"metadata": {"labels": labels}})

    async def _write(self, one: Object, changes: Mapping[str, Any]) -> None:
        before = one.get("status") or {}
        if all(before.get(key) == value for key, value in changes.items()):
            return
        version = one["metadata"]["resourceVersion"]
        body = {"metadata": {"resourceVersion": version}, "status": changes}
        await self._patch(resources.VMIMS, one, body, "status")

    async def _patch_instance(self, vmi: Object, body: dict[str, Any], subresource: str) -> None:
        version = vmi["metadata"]["resourceVersion"]
        await self._patch(
            resources.VMIS, vmi, {**body, "metadata": {"resourceVersion": version}}, subresource
        )

    async def _patch_pod(self, pod: Object, annotations: Mapping[str, str]) -> None:
        body = {"metadata": {"uid": pod["metadata"]["uid"], "annotations": annotations}}
        await self._patch(resources.PODS, pod, body)

    async def _patch(
        self, res: resources.Resource, obj: Object, body: Mapping[str, Any], subresource: str = ""
    ) -> None:
        meta = obj["metadata"]
        try:
            await self._client.patch(
                res, meta["name"], meta["namespace"], body, subresource=subresource
            )
        except NotFound:
            pass  # gone meanwhile


def _instance_of(one: Object) -> list[ObjectKey]:
    return [ObjectKey(one["metadata"]["namespace"], str(one["spec"].get("vmiName")))]
