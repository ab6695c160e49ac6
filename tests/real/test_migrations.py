"""A virtual machine migrates while the cluster manager, a process, is killed at each step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.real.test_cluster_manager import Cluster, cluster
from tests.support import cluster_manager, cluster_world, objects
from tests.support.objects import Object
from tests.support.patience import PATIENCE
from weft import names
from weft.kube.resources import NODES, PODS, VMIMS, VMIS, Resource
from weft.model import ObjectKey

pytestmark = pytest.mark.real
SOURCE, TARGET, KEY = "virt-launcher-1", "virt-launcher-2", "default/blue"


async def create(of: Cluster, kind: Resource, obj: Object) -> Any:
    """Creates an object with its status, and returns its uid."""
    status = obj.pop("status", None)
    obj["metadata"].pop("uid", None)
    whole = {**obj, "apiVersion": kind.api_version, "kind": kind.kind}
    made = await of.api.create(kind, whole)
    if status and kind is not PODS:
        await set_status(of, kind, obj["metadata"]["name"], status)
    return made["metadata"]["uid"]


async def set_status(of: Cluster, kind: Resource, name: str, status: Object) -> None:
    namespace = "" if kind is NODES else "default"
    await of.api.patch(kind, name, namespace, {"status": status}, subresource="status")


async def launch(of: Cluster, name: str, node: str, instance: str, job: str = "") -> None:
    pod = cluster_world.pod(name, labels={names.MIGRATION_UID: job} if job else None)
    pod["spec"]["nodeName"] = node
    owner = {"apiVersion": VMIS.api_version, "kind": VMIS.kind, "name": "db"}
    pod["metadata"]["ownerReferences"] = [{**owner, "uid": instance, "controller": True}]
    await create(of, PODS, pod)


async def entry(of: Cluster, name: str, **shown: Any) -> Object:
    """A pod's allocation, as soon as its `migration` is as shown."""

    def is_so(pod: Object) -> bool:
        found = allocation(pod)
        return bool(found) and found.get("migration") == (shown or None)

    return allocation(await of.pods.wait_for(ObjectKey("default", name), is_so, PATIENCE))


def allocation(pod: Object) -> Object:
    given = json.loads(pod["metadata"].get("annotations", {}).get(names.POD_NETWORKS, "{}"))
    return dict(given.get(KEY, {}))


async def test_a_migration_outlives_the_managers_that_begin_and_end_it(tmp_path: Path) -> None:
    async with cluster(tmp_path) as there:
        for name in ("node1", "node2"):
            await create(there, NODES, cluster_world.node(name))
        await there.declare("blue")
        made = objects.machine("db", {"lan": "blue"}, kind=VMIS)
        status = {"phase": "Running", "nodeName": "node1"}
        instance = await create(there, VMIS, {**made, "status": status})
        await launch(there, SOURCE, "node1", instance)
        async with cluster_manager.running(there.kubeconfig) as manager:
            before = await entry(there, SOURCE)
            await manager.kill()
        job = {**objects.named(VMIMS, "move"), "spec": {"vmiName": "db"}}
        uid = await create(there, VMIMS, {**job, "status": {"phase": "Scheduling"}})
        await launch(there, TARGET, "node2", instance, uid)
        source = await there.api.get(PODS, SOURCE, "default")
        shared = {"source": SOURCE, "sourceUID": source["metadata"]["uid"]}
        async with cluster_manager.running(there.kubeconfig) as manager:
            given = await entry(there, TARGET, **shared, active=False)
            assert {**given, "migration": None} == {**before, "migration": None}
            await manager.kill()
        state = {"migrationUid": uid, "completed": True, "targetPod": TARGET}
        await set_status(there, VMIS, "db", {"nodeName": "node2", "migrationState": state})
        async with cluster_manager.running(there.kubeconfig) as manager:
            await entry(there, TARGET, **shared, active=True)
            await manager.kill()
        await there.end(SOURCE)
        async with cluster_manager.running(there.kubeconfig):
            assert await entry(there, TARGET) == before
            await there.start("other")
            other = await there.annotated("other")
            assert other[KEY]["ip_address"] != before["ip_address"]


async def test_a_pod_with_the_labels_alone_waits_and_says_for_what(tmp_path: Path) -> None:
    async with cluster(tmp_path) as there, cluster_manager.running(there.kubeconfig):
        for name in ("node1", "node2"):
            await create(there, NODES, cluster_world.node(name))
        await there.declare("blue")
        made = objects.machine("db", {"lan": "blue"}, kind=VMIS)
        status = {"phase": "Running", "nodeName": "node1"}
        instance = await create(there, VMIS, {**made, "status": status})
        await launch(there, SOURCE, "node1", instance)
        before = await entry(there, SOURCE)
        await launch(there, TARGET, "node2", instance, "forged")
        await there.event(TARGET, "VirtualMachineInstanceMigration with this uid")
        assert not allocation(await there.api.get(PODS, TARGET, "default"))
        assert allocation(await there.api.get(PODS, SOURCE, "default")) == before
