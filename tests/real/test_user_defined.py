"""UserDefinedNetworks before the lab's API server: its rules, and a manager that is killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import apiserver, cluster_manager, objects
from tests.support.patience import PATIENCE
from tests.support.userdefined import (
    CLUSTER_INVALID,
    INVALID,
    LAYER3,
    VALID,
    cudn,
    part,
    physical,
    routed,
    two,
    udn,
)
from weft import names
from weft.kube.client import Client, Invalid, NotFound
from weft.kube.resources import CUDNS, NADS, NAMESPACES, PODS, UDNS, Resource

pytestmark = pytest.mark.real

Object = dict[str, Any]
EXAMPLES = Path(__file__).resolve().parents[2] / "examples/user-defined"
PRIMARY = """
apiVersion: k8s.ovn.org/v1
kind: UserDefinedNetwork
metadata: {name: blue-network, namespace: blue}
spec:
  topology: Layer3
  layer3:
    role: Primary
    subnets: [{cidr: 103.103.0.0/16, hostSubnet: 24}]
"""


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[tuple[Client, Path]]:
    async with (
        apiserver.running(folder) as server,
        Client.from_kubeconfig(str(server.kubeconfig)) as client,
    ):
        yield client, server.kubeconfig


async def test_what_the_api_server_takes(tmp_path: Path) -> None:
    async with served(tmp_path) as (api, _):
        for number, (case, spec) in enumerate(VALID.items()):
            kept = await api.create(UDNS, udn(spec, f"n{number}"))
            assert kept["spec"] == spec, case
            kept = await api.create(CUDNS, cudn(spec, f"n{number}"))
            assert kept["spec"]["network"] == spec, case
        kept = await api.create(CUDNS, cudn(physical(), "local"))
        assert kept["spec"]["network"] == physical()


async def test_what_the_api_server_refuses_and_why(tmp_path: Path) -> None:
    async with served(tmp_path) as (api, _):
        for case, (spec, reason) in INVALID.items():
            with pytest.raises(Invalid) as refusal:
                await api.create(UDNS, udn(spec))
            assert reason in str(refusal.value), case
        for case, (spec, reason) in CLUSTER_INVALID.items():
            with pytest.raises(Invalid) as refusal:
                await api.create(CUDNS, cudn(spec))
            assert reason in str(refusal.value), case


async def test_what_cannot_be_changed(tmp_path: Path) -> None:
    async with served(tmp_path) as (api, _):
        await api.create(UDNS, udn(two(), "two"))
        await api.create(UDNS, udn(routed(), "routed"))
        await api.create(CUDNS, cudn(physical(), "local", team="a"))
        for res, name, spec, reason in (
            (UDNS, "two", {"layer2": {"mtu": 1300}}, "layer2 cannot be changed"),
            (UDNS, "routed", {"layer3": {"subnets": [part("10.65.0.0/16")]}}, "cannot be changed"),
            (UDNS, "routed", {"layer3": {"role": "Primary"}}, "role cannot be changed"),
            (
                *(UDNS, "two", {"topology": "Layer3", "layer2": None, "layer3": LAYER3}),
                "topology cannot be changed",
            ),
            (
                *(CUDNS, "local", {"network": {"localnet": {"mtu": 9000}}}),
                "localnet cannot be changed",
            ),
        ):
            namespace = "default" if res is UDNS else ""
            with pytest.raises(Invalid, match=reason):
                await api.patch(res, name, namespace, {"spec": spec})
        other = {"spec": {"namespaceSelector": {"matchLabels": {"team": "b"}}}}
        kept = await api.patch(CUDNS, "local", "", other)
        assert kept["spec"]["namespaceSelector"] == {"matchLabels": {"team": "b"}}


async def until(
    api: Client, res: Resource, name: str, holds: Callable[[Object], object], namespace: str = ""
) -> Object:
    """The object, when it is as a test asks for."""
    listing = await api.list(res, namespace)
    async with asyncio.timeout(PATIENCE):
        for obj in listing:
            if obj["metadata"]["name"] == name and holds(obj):
                return obj
        while True:
            async for _, obj in api.watch(res, listing.resource_version, namespace):
                if obj["metadata"]["name"] == name and holds(obj):
                    return obj


async def gone(api: Client, res: Resource, name: str, namespace: str = "") -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            listing = await api.list(res, namespace)
            if all(obj["metadata"]["name"] != name for obj in listing):
                return
            async for event, obj in api.watch(res, listing.resource_version, namespace):
                if event == "DELETED" and obj["metadata"]["name"] == name:
                    return


def condition(obj: Object, type: str = "NetworkCreated") -> Object:
    listed = (obj.get("status") or {}).get("conditions") or ()
    found: Object = next((each for each in listed if each["type"] == type), {})
    return found


def is_created(obj: Object) -> bool:
    return condition(obj).get("status") == "True"


def is_allocated(obj: Object) -> bool:
    return names.POD_NETWORKS in (obj["metadata"].get("annotations") or {})


async def make_namespace(api: Client, name: str, **labels: str) -> None:
    made = objects.namespace(name, **labels)
    await api.create(NAMESPACES, made)


async def test_a_network_lives_through_the_deaths_of_its_managers(tmp_path: Path) -> None:
    async with served(tmp_path) as (api, kubeconfig):
        for name in ("a", "b"):
            await make_namespace(api, name, team="pay")
        await make_namespace(api, "c")
        async with cluster_manager.running(kubeconfig) as manager:
            await api.create(UDNS, udn(two()))
            await api.create(CUDNS, cudn(two(), team="pay"))
            await until(api, UDNS, "db", is_created, "default")
            await until(api, CUDNS, "pay", lambda obj: "a, b" in condition(obj).get("message", ""))
            await api.create(PODS, objects.pod("p", "pay", namespace="a", node="node1"))
            await until(api, PODS, "p", is_allocated, "a")
            await manager.kill()
        # What happens while none runs is done by the next.
        await api.patch(NAMESPACES, "a", "", {"metadata": {"labels": {"team": None}}})
        await api.patch(NAMESPACES, "c", "", {"metadata": {"labels": {"team": "pay"}}})
        await api.patch(NADS, "db", "default", {"spec": {"config": "{}"}})
        async with cluster_manager.running(kubeconfig) as manager:
            waiting = await until(
                api, CUDNS, "pay", lambda obj: "Pod a/p" in condition(obj).get("message", "")
            )
            assert condition(waiting)["reason"] == "NetworkAttachmentDefinitionSyncError"
            await until(api, NADS, "pay", lambda obj: True, "c")
            await until(
                api, NADS, "db", lambda obj: "default_db" in obj["spec"]["config"], "default"
            )
            await api.delete(UDNS, "db", "default")
            await api.delete(CUDNS, "pay")
            await manager.kill()
        async with cluster_manager.running(kubeconfig):
            await gone(api, UDNS, "db", "default")
            await gone(api, NADS, "db", "default")
            kept = await api.get(PODS, "p", "a")
            assert is_allocated(kept)
            await api.delete(PODS, "p", "a", grace=0)
            await gone(api, CUDNS, "pay")
            for namespace in ("a", "b", "c"):
                with pytest.raises(NotFound):
                    await api.get(NADS, "pay", namespace)


async def test_a_nad_of_the_name_is_left_alone_and_reported(tmp_path: Path) -> None:
    async with served(tmp_path) as (api, kubeconfig), cluster_manager.running(kubeconfig):
        foreign = await api.create(NADS, objects.nad("db", namespace="default"))
        await api.create(UDNS, udn(two()))
        refused = await until(
            api, UDNS, "db", lambda obj: condition(obj).get("status") == "False", "default"
        )
        assert condition(refused)["reason"] == "SyncError"
        assert "foreign NetworkAttachmentDefinition default/db" in condition(refused)["message"]
        kept = await api.get(NADS, "db", "default")
        assert kept["spec"] == foreign["spec"]
        assert "ownerReferences" not in kept["metadata"]
        await api.delete(NADS, "db", "default")
        await until(api, UDNS, "db", is_created, "default")


async def test_a_namespace_that_is_deleted_ends_with_its_networks(tmp_path: Path) -> None:
    async with served(tmp_path) as (api, kubeconfig), cluster_manager.running(kubeconfig):
        await make_namespace(api, "a", team="pay")
        made = udn(two())
        made["metadata"]["namespace"] = "a"
        await api.create(UDNS, made)
        await api.create(CUDNS, cudn(two(), team="pay"))
        await until(api, UDNS, "db", is_created, "a")
        await until(api, CUDNS, "pay", lambda obj: ": a" in condition(obj).get("message", ""))
        await api.delete(NAMESPACES, "a")
        await gone(api, NAMESPACES, "a")
        await until(api, CUDNS, "pay", lambda obj: "in 0 namespaces" in condition(obj)["message"])


async def test_the_examples_apply_and_what_is_wrong_is_reported(tmp_path: Path) -> None:
    async with served(tmp_path) as (api, kubeconfig), cluster_manager.running(kubeconfig):
        for name in ("red", "blue"):
            await make_namespace(api, name, **{"kubernetes.io/metadata.name": name})
        for path in sorted(EXAMPLES.glob("*.yaml")):
            for obj in yaml.safe_load_all(path.read_text()):
                res = UDNS if obj["kind"] == UDNS.kind else CUDNS
                await api.create(res, obj)
        await api.create(UDNS, yaml.safe_load(PRIMARY))
        for name in ("db-net", "routed"):
            await until(api, UDNS, name, is_created, "red")
        for name in ("shared-flat", "test-net"):
            await until(api, CUDNS, name, is_created)
        primary = await until(api, UDNS, "blue-network", condition, "blue")
        assert "belongs to the cluster's primary CNI" in condition(primary)["message"]
        nad = await until(api, NADS, "test-net", lambda obj: True, "blue")
        assert '"vlanID": 200' in nad["spec"]["config"]
