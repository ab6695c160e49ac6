"""The cluster manager, a process, writes its condition of machines beside those of others."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.real.test_cluster_manager import Cluster, cluster
from tests.real.test_migrations import create, set_status
from tests.support import cluster_manager, objects
from tests.support.patience import PATIENCE
from weft.api import conditions
from weft.kube import cache
from weft.kube.resources import CRDS, VMIS, VMS, Resource
from weft.model import ObjectKey

pytestmark = pytest.mark.real
MAC = "02:00:00:00:00:07"
OWN = {"type": "Ready", "status": "False", "reason": "VMINotExists"}


async def drop_status_subresource(of: Cluster) -> None:
    """As KubeVirt has its instances: the status is written with the rest."""
    crd = await of.api.get(CRDS, f"{VMIS.plural}.{VMIS.group}")
    versions = [{**each, "subresources": {}} for each in crd["spec"]["versions"]]
    await of.api.patch(CRDS, crd["metadata"]["name"], "", {"spec": {"versions": versions}})


async def shows(of: Cluster, kind: Resource, *types: str) -> dict[str, Any]:
    """Returns when an object of name `two` has these conditions; its last one."""
    known = cache.Cache(of.api, kind, namespace="default")
    following = asyncio.create_task(known.run())

    def listed(obj: Any) -> list[Any]:
        return list((obj.get("status") or {}).get("conditions") or ())

    try:
        found = await known.wait_for(
            ObjectKey("default", "two"),
            lambda obj: [each["type"] for each in listed(obj)] == list(types),
            PATIENCE,
        )
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    return dict(listed(found)[-1]) if types else {}


@pytest.mark.parametrize("has_subresource", [True, False])
async def test_a_conflict_is_a_condition_of_the_machine_and_then_of_its_instance(
    tmp_path: Path, has_subresource: bool
) -> None:
    async with cluster(tmp_path) as there:
        if not has_subresource:
            await drop_status_subresource(there)
        await there.declare("blue")
        for name in ("one", "two"):
            made = objects.machine(name, {"lan": "blue"}, macs={"lan": MAC})
            uid = await create(there, VMS, made)
        await set_status(there, VMS, "two", {"conditions": [OWN]})
        async with cluster_manager.running(there.kubeconfig):
            found = await shows(there, VMS, "Ready", conditions.MACHINE_CONFLICT)
            assert found["reason"] == "MachineIdentityConflict"
            assert "VirtualMachine default/one too, which is older" in found["message"]
            instance = objects.machine("two", {"lan": "blue"}, macs={"lan": MAC}, kind=VMIS)
            owner = {"apiVersion": VMS.api_version, "kind": VMS.kind, "name": "two", "uid": uid}
            instance["metadata"]["ownerReferences"] = [owner]
            await create(there, VMIS, instance)
            await shows(there, VMIS, conditions.MACHINE_CONFLICT)
            await there.api.delete(VMS, "one", "default")
            await shows(there, VMIS)
