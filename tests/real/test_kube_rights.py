"""weft at a real kube-apiserver: rights that are granted late, and a server that goes away."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support import cluster_manager, kubernetes, relay
from tests.support.kubernetes import Kubernetes, documents, needs_server
from tests.support.patience import PATIENCE
from tests.support.readiness import Ready
from tests.support.whole import Whole
from tests.support.zones import Wire
from weft import names
from weft.kube import cache, resources
from weft.kube.client import Client
from weft.model import ObjectKey
from weft_lab.runtime import inotify

pytestmark = [pytest.mark.real, needs_server]


@pytest.fixture
def kube(tmp_path: Path) -> Iterator[Kubernetes]:
    """A server with weft's accounts, which have no right yet."""
    with kubernetes.running(tmp_path) as running:
        accounts = ("Namespace", "ServiceAccount")
        kubernetes.apply(running.api, [x for x in documents("rbac.yaml") if x["kind"] in accounts])
        yield running


def grant(kube: Kubernetes) -> None:
    kubernetes.apply(kube.api, documents("rbac.yaml"))


@asynccontextmanager
async def manager(kube: Kubernetes, url: str = "", *, elects: bool = True) -> AsyncIterator[Ready]:
    """A cluster manager as a process, under its own account."""
    with tempfile.TemporaryDirectory(prefix="weft-") as folder:
        address = Path(folder) / "health"
        kubeconfig = kube.kubeconfig(kube.token("weft-cluster-manager"), url)
        elect = ("--leader-elect",) if elects else ()
        options = (*elect, "--lease-namespace", "weft-system", "--health", f"unix:{address}")
        async with cluster_manager.running(kubeconfig, *options):
            async with asyncio.timeout(PATIENCE):
                await inotify.Folders().wait_socket(address)
            yield Ready(address)


def is_well(status: int, _: str) -> bool:
    return status == 200


async def test_a_manager_says_which_right_it_lacks_until_it_has_it(kube: Kubernetes) -> None:
    who = 'User "system:serviceaccount:weft-system:weft-cluster-manager" cannot watch'
    async with manager(kube) as ready:
        await ready.until(lambda status, text: status == 503 and f'{who} resource "leases"' in text)
        rights = documents("rbac.yaml")
        later = [x for x in rights if x["kind"] == "ClusterRoleBinding"]
        kubernetes.apply(kube.api, [x for x in rights if x not in later])
        await ready.until(lambda status, text: status == 503 and f'{who} resource "pods"' in text)
        kubernetes.apply(kube.api, later)
        await ready.until(is_well)


async def test_a_manager_is_not_ready_while_its_server_hangs(kube: Kubernetes) -> None:
    """A server that takes connections and answers nothing. A manager that elects would end when it
    may no longer count on its lease, which may be as soon."""
    grant(kube)
    async with manager(kube, elects=False) as ready:
        await ready.until(is_well)
        server = kube.server.pid
        os.kill(server, signal.SIGSTOP)
        try:
            await ready.until(lambda status, text: status == 503 and "the Kubernetes API" in text)
        finally:
            os.kill(server, signal.SIGCONT)


@asynccontextmanager
async def at_a_socket(kube: Kubernetes, path: Path) -> AsyncIterator[None]:
    """The server as namespaces without a way to it reach it."""
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    between = relay.Relay(tls)
    between.point_to(kube.url)
    server = await asyncio.start_unix_server(between.serve, path)
    try:
        yield
    finally:
        server.close()
        await between.close()


async def test_a_node_that_starts_before_its_rights_is_announced_when_it_has_them(
    kube: Kubernetes, wire: Wire
) -> None:
    """And the admission policy lets it write no less than it needs."""
    zone = wire.zone()
    role = kubernetes.cluster_role("weft-node")
    readable = {**role, "rules": [{**x, "verbs": ["list", "watch"]} for x in role["rules"]]}
    rights = [readable if x == role else x for x in documents("rbac.yaml")]
    kubernetes.apply(kube.api, [*rights, *documents("admission-policy.yaml")])
    assert kube.api.make("/api/v1/nodes", {"metadata": {"name": zone.name}}) == 201
    path = f"/api/v1/nodes/{zone.name}"
    with tempfile.TemporaryDirectory(prefix="weft-") as folder:
        whole = Whole(wire, Path(folder))
        address = Path(folder) / "api"
        token = kube.token("weft-node", node=zone.name)
        whole.inner.write_bytes(kube.kubeconfig(token, f"unix://{address}").read_bytes())
        zone.run("mkdir", "-p", "/run/weft")
        async with at_a_socket(kube, address), manager(kube) as managing:
            await managing.until(is_well)
            process = whole.start_agent(zone, "--health", "unix:/run/weft/health.sock")
            try:
                async with asyncio.timeout(PATIENCE):
                    await inotify.Folders().wait_socket(zone.root / "run/weft/health.sock")
                ready = Ready(zone.root / "run/weft/health.sock")
                denied = 'weft-system:weft-node" cannot patch resource "nodes"'
                await ready.until(lambda status, text: status == 503 and denied in text)
                assert names.NODE_CHASSIS_ID not in kube.api.annotations(path)
                kubernetes.replace(kube.api, role)
                await ready.until(is_well)
                assert names.NODE_CHASSIS_ID in kube.api.annotations(path)
                conditions = kube.api("GET", path)[1]["status"]["conditions"]
                assert names.OVN_CONDITION in {each["type"] for each in conditions}
                log = whole.log(zone.name)
                assert log.count("WARNING weft.kube.troubles: Node") == 1, "once, not at each try"
            finally:
                process.kill()
                process.wait(PATIENCE)


@pytest.mark.parametrize("metadata_only", [True, False])
@pytest.mark.parametrize("streams", [True, False])
async def test_a_cache_follows_a_real_server(
    kube: Kubernetes, *, streams: bool, metadata_only: bool
) -> None:
    """By a streamed list where its etcd is new enough, and by pages."""
    grant(kube)
    maps = "/api/v1/namespaces/default/configmaps"
    async with Client.from_kubeconfig(str(kube.kubeconfig("admin"))) as api:
        api.streams_lists = streams
        for name in ("one", "two"):
            assert kube.api.make(maps, {"metadata": {"name": name}, "data": {"a": "b"}}) == 201
        followed = cache.Informer(
            *(api, resources.CONFIGMAPS, cache.keep_all, cache.version),
            namespace="default",
            metadata_only=metadata_only,
        )
        task = asyncio.create_task(followed.run())
        try:
            async with asyncio.timeout(PATIENCE):
                await followed.synced()
            assert {"default/one", "default/two"} <= set(map(str, followed.keys()))
            assert kube.api.make(maps, {"metadata": {"name": "three"}, "data": {"a": "b"}}) == 201
            await followed.wait_for(ObjectKey("default", "three"), lambda _: True, PATIENCE)
            for name in ("one", "three"):
                found = followed.get(ObjectKey("default", name))
                assert found is not None
                assert ("data" in found) != metadata_only
            assert followed.trouble == ""
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
