"""Migrates the machines that a drained node has to let go: KubeVirt's evacuation controller.

The API server refuses the eviction of such a machine's pod, and names the node in the instance's
`status.evacuationNodeName`. `wait` decides, and is pure; `Evacuations` makes the migrations.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from weft import errors
from weft.kube import cache, events, queue, resources
from weft.kube.client import Client, Conflict, Object
from weft.model import ObjectKey
from weft_lab.reasons import Reason
from weft_lab.vm import lifecycle, migration, status

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 20, 1280  # seconds after a migration that failed
STRATEGIES = ("LiveMigrate", "LiveMigrateIfPossible")  # of External ones others take care


def wait(
    vmi: Object, migrations: Sequence[Object], pods: Sequence[Object], now: datetime
) -> float | None:
    """Seconds until a migration of the instance is due; None where none is.

    `migrations` and `pods` are the instance's.
    """
    found = vmi.get("status") or {}
    node = found.get("nodeName")
    if not node or found.get("evacuationNodeName") != node:
        return None
    if lifecycle.phase(vmi) != "Running" or lifecycle.is_deleted(vmi):
        return None
    if (vmi.get("spec") or {}).get("evictionStrategy") not in STRATEGIES:
        return None
    migratable = status.condition(vmi, "LiveMigratable")
    if migratable is None or migratable.get("status") != "True":
        return None
    if any(not migration.is_final(each) for each in migrations):
        return None
    if len([pod for pod in pods if not lifecycle.is_final(pod)]) > 1:
        return None  # a target or source pod of an earlier one has yet to end
    return _pause(migrations, now)


def _pause(migrations: Sequence[Object], now: datetime) -> float:
    """What is left of the back-off: 20 s, doubled with each evacuation that failed in a row."""
    ended = sorted(
        (moment, migration.phase(each))
        for each in migrations
        if migration.EVACUATION in (each["metadata"].get("annotations") or {})
        and (moment := migration.ended_at(each)) is not None
    )
    failures = 0
    for _, phase in reversed(ended):
        if phase != "Failed":
            break
        failures += 1
    if not failures:
        return 0.0
    pause = float(min(FIRST_PAUSE << min(failures - 1, 10), LONGEST_PAUSE))
    return max(0.0, pause - (now - ended[-1][0]).total_seconds())


class Evacuations:
    """`pods` has the index `owner`, `migrations` the index `instance`."""

    def __init__(
        self,
        client: Client,
        vmis: cache.Cache,
        pods: cache.Cache,
        migrations: cache.Cache,
        recorder: events.Recorder,
    ) -> None:
        self._client, self._vmis, self._pods = client, vmis, pods
        self._migrations, self._recorder = migrations, recorder
        self._queue = queue.Queue[ObjectKey]("evacuations", on_error=self._failed)

    async def run(self) -> None:
        for one in (self._vmis, self._pods, self._migrations):
            await one.synced()
        self._vmis.subscribe(lambda key, old, new: self._queue.add(key))
        self._migrations.subscribe(self._on_migration)
        self._pods.subscribe(self._on_pod)
        await self._queue.run(self._reconcile, workers=1)

    def _on_migration(self, key: ObjectKey, old: Object | None, new: Object | None) -> None:
        one = new or old
        if one is not None:
            self._queue.add(ObjectKey(key.namespace, str(one["spec"].get("vmiName"))))

    def _on_pod(self, key: ObjectKey, old: Object | None, new: Object | None) -> None:
        for owner in (new or old or {"metadata": {}})["metadata"].get("ownerReferences") or ():
            self._queue.add(ObjectKey(key.namespace, owner["name"]))

    def _failed(self, key: ObjectKey, error: errors.WeftError) -> None:
        if not isinstance(error, Conflict):
            log.warning("evacuation of %s: %s", key, error)

    async def _reconcile(self, key: ObjectKey) -> None:
        vmi = self._vmis.get(key)
        if vmi is None:
            return
        migrations = _objects(self._migrations, self._migrations.index("instance", key))
        pods = _objects(self._pods, self._pods.index("owner", vmi["metadata"]["uid"]))
        left = wait(vmi, migrations, pods, datetime.now(UTC))
        if left is None:
            return
        if left > 0:
            self._queue.add(key, after=left + 0.1)
            return
        node = vmi["status"]["nodeName"]
        body = {
            "apiVersion": resources.VMIMS.api_version,
            "kind": resources.VMIMS.kind,
            "metadata": {
                "generateName": "kubevirt-evacuation-",
                "namespace": key.namespace,
                "annotations": {migration.EVACUATION: node},
            },
            "spec": {"vmiName": key.name},
        }
        made = await self._client.create(resources.VMIMS, body)
        text = f"Created Migration {made['metadata']['name']}"
        self._recorder.emit(vmi, Reason.SUCCESSFUL_CREATE, text)
        # Else the next look would not see it, and make another.
        await self._migrations.wait_for(resources.key(made), lambda known: True, 10.0)


def _objects(found: cache.Cache, keys: set[ObjectKey]) -> list[Object]:
    return [each for key in sorted(keys) if (each := found.get(key)) is not None]
