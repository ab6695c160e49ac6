"""NADs and namespaces deleted under pods: a manager that dies, an API that is real."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import apiserver, cluster_manager, cluster_world
from tests.support.patience import PATIENCE
from weft import names
from weft.kube.client import Client, NotFound
from weft.kube.resources import EVENTS, NADS, NAMESPACES, PODS, Resource

pytestmark = pytest.mark.real

Object = dict[str, Any]


@asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[tuple[Client, Path]]:
    async with (
        apiserver.running(folder) as server,
        Client.from_kubeconfig(str(server.kubeconfig)) as api,
    ):
        yield api, server.kubeconfig


async def put(api: Client, res: Resource, obj: Object, namespace: str = "default") -> None:
    meta = {"name": obj["metadata"]["name"], "namespace": namespace}
    if annotations := obj["metadata"].get("annotations"):
        meta["annotations"] = annotations
    await api.create(res, obj | {"apiVersion": res.api_version, "kind": res.kind, "metadata": meta})


async def until(api: Client, res: Resource, name: str, namespace: str = "default") -> Object:
    """The object as it is when it has been annotated with networks, or was told of."""
    listing = await api.list(res, namespace)
    async with asyncio.timeout(PATIENCE):
        for obj in listing:
            if is_it(res, obj, name):
                return obj
        async for _, obj in api.watch(res, listing.resource_version, namespace):
            if is_it(res, obj, name):
                return obj
    raise AssertionError


def is_it(res: Resource, obj: Object, name: str) -> bool:
    if res is EVENTS:
        return bool(obj["involvedObject"]["name"] == name)
    annotations = obj["metadata"].get("annotations", {})
    return obj["metadata"]["name"] == name and names.POD_NETWORKS in annotations


async def gone(api: Client, res: Resource, name: str, namespace: str = "") -> None:
    listing = await api.list(res, namespace)
    if not any(obj["metadata"]["name"] == name for obj in listing):
        return
    async with asyncio.timeout(PATIENCE):
        async for event, obj in api.watch(res, listing.resource_version, namespace):
            if event == "DELETED" and obj["metadata"]["name"] == name:
                return


async def test_a_nad_deleted_under_its_pod_outlives_a_dead_manager(tmp_path: Path) -> None:
    async with cluster(tmp_path) as (api, kubeconfig):
        async with cluster_manager.running(kubeconfig) as manager:
            await put(api, NADS, cluster_world.nad("blue"))
            await put(api, PODS, cluster_world.pod("one"))
            given = await until(api, PODS, "one")
            nad = await api.get(NADS, "blue", "default")
            assert nad["metadata"]["finalizers"] == [names.NETWORK_IN_USE]
            await api.delete(NADS, "blue", "default")
            told = await until(api, EVENTS, "blue")
            assert told["reason"] == "NetworkInUse"
            assert "Pod default/one" in told["message"]
            await manager.kill()
        async with cluster_manager.running(kubeconfig):
            await put(api, PODS, cluster_world.pod("late"))
            refused = await until(api, EVENTS, "late")
            assert "is being deleted" in refused["message"]
            await put(api, NADS, cluster_world.nad("red"))
            await put(api, PODS, cluster_world.pod("two", "red"))
            await until(api, PODS, "two")
            numbers = {
                obj["metadata"]["name"]: obj["metadata"]["annotations"][names.NETWORK_ID]
                for obj in await api.list(NADS)
            }
            assert numbers == {"blue": "1", "red": "2"}
            one = await api.get(PODS, "one", "default")
            assert one["metadata"]["annotations"] == given["metadata"]["annotations"]
            await api.delete(PODS, "one", "default", grace=0)
            await gone(api, NADS, "blue", "default")
            await put(api, NADS, cluster_world.nad("blue"))
            await until(api, PODS, "late")


async def test_a_namespace_that_is_deleted_with_its_nad_and_pods_ends(
    tmp_path: Path,
) -> None:
    async with cluster(tmp_path) as (api, kubeconfig), cluster_manager.running(kubeconfig):
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}}
        await api.create(NAMESPACES, space)
        blue = cluster_world.nad("blue", namespace="team", allowedNamespaces=["default"])
        await put(api, NADS, blue, "team")
        await put(api, PODS, cluster_world.pod("one", "blue"), "team")
        await put(api, PODS, cluster_world.pod("guest", "team/blue"))
        await until(api, PODS, "one", "team")
        await until(api, PODS, "guest")
        await api.delete(NAMESPACES, "team")
        await api.delete(PODS, "one", "team", grace=0)  # as the kubelet does when it has ended
        await gone(api, PODS, "one", "team")
        nad = await api.get(NADS, "blue", "team")
        assert nad["metadata"]["finalizers"] == [names.NETWORK_IN_USE]
        await api.delete(PODS, "guest", "default", grace=0)
        await gone(api, NAMESPACES, "team")
        with pytest.raises(NotFound):
            await api.get(NADS, "blue", "team")
