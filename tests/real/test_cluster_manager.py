"""The cluster manager and the API server as processes: bursts, deaths, restarts, waits."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support import apiserver, cluster_manager, cluster_world, events, relay
from tests.support.patience import PATIENCE
from weft import names
from weft.kube import cache, resources
from weft.kube.client import Client, NotFound
from weft.model import ObjectKey

pytestmark = pytest.mark.real

Object = dict[str, Any]
BOTH = (names.POD_NETWORKS, names.POD_NETWORKS_SIGNATURE)


class Cluster:
    """A user of the cluster, who watches the pods."""

    def __init__(self, api: Client, pods: cache.Cache, kubeconfig: Path) -> None:
        self.api, self.pods, self.kubeconfig = api, pods, kubeconfig

    async def declare(self, name: str, **config: Any) -> None:
        nad = cluster_world.nad(name, **config)
        del nad["metadata"]["uid"]
        await self.api.create(
            resources.NADS,
            nad | {"apiVersion": resources.NADS.api_version, "kind": resources.NADS.kind},
        )

    async def start(self, name: str, networks: object = "blue") -> None:
        pod = cluster_world.pod(name, networks)
        del pod["metadata"]["uid"]
        await self.api.create(resources.PODS, pod | {"apiVersion": "v1", "kind": "Pod"})

    async def end(self, name: str) -> None:
        await self.api.delete(resources.PODS, name, "default", grace=0)

    async def annotated(self, name: str) -> Object:
        """What the pod is given, as soon as it is."""
        pod = await self.pods.wait_for(
            ObjectKey("default", name), lambda pod: bool(text_of(pod)), PATIENCE
        )
        found: Object = json.loads(text_of(pod))
        return found

    async def event(self, name: str, words: str) -> str:
        return await events.wait_for(self.api, name, words)


def text_of(pod: Object) -> str:
    return str(pod["metadata"].get("annotations", {}).get(names.POD_NETWORKS, ""))


@asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[Cluster]:
    async with (
        apiserver.running(folder) as server,
        Client.from_kubeconfig(str(server.kubeconfig)) as api,
    ):
        pods = cache.Cache(api, resources.PODS, namespace="default")
        following = asyncio.create_task(pods.run())
        await pods.synced()
        try:
            yield Cluster(api, pods, server.kubeconfig)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


def check_unique(given: list[Object]) -> None:
    entries = [entry for each in given for entry in each.values()]
    for field in ("ip_address", "mac_address", "tunnel_id"):
        values = [entry[field] for entry in entries]
        assert len(values) == len(set(values))


async def test_a_burst_of_a_hundred(tmp_path: Path) -> None:
    async with cluster(tmp_path) as user, cluster_manager.running(user.kubeconfig):
        await user.declare("blue")
        await asyncio.gather(*(user.start(f"p{number}") for number in range(100)))
        check_unique([await user.annotated(f"p{number}") for number in range(100)])
        nad = await user.api.get(resources.NADS, "blue", "default")
        assert nad["metadata"]["annotations"][names.NETWORK_NAME] == "blue"
        assert nad["metadata"]["annotations"][names.NETWORK_ID] == "1"


async def test_killed_within_a_burst_and_started_again(tmp_path: Path) -> None:
    async with cluster(tmp_path) as user:
        await user.declare("blue")
        async with (
            cluster_manager.running(user.kubeconfig) as manager,
            asyncio.TaskGroup() as group,
        ):
            for number in range(100):
                group.create_task(user.start(f"p{number}"))
            await user.annotated("p0")
            await manager.kill()
        before = {resources.key(pod): text_of(pod) for pod in user.pods.objects()}
        assert any(before.values()), "nobody was served before the end"
        async with cluster_manager.running(user.kubeconfig):
            check_unique([await user.annotated(f"p{number}") for number in range(100)])
        for key, text in before.items():
            pod = user.pods.get(key)
            assert pod
            assert not text or text_of(pod) == text


async def test_a_static_address_a_second_pod_that_wants_it_and_a_late_nad(
    tmp_path: Path,
) -> None:
    async with cluster(tmp_path) as user, cluster_manager.running(user.kubeconfig):
        requested = [{"name": "blue", "ips": ["10.1.0.50"]}]
        await user.start("first", requested)
        assert "default/blue" in await user.event("first", "does not exist")
        await user.declare("blue")
        assert (await user.annotated("first"))["default/blue"]["ip_address"] == "10.1.0.50/24"
        await user.start("second", requested)
        assert "held by Pod default/first" in await user.event("second", "10.1.0.50")
        await user.end("first")
        assert (await user.annotated("second"))["default/blue"]["ip_address"] == "10.1.0.50/24"


async def test_who_asks_for_a_whole_network_has_none_of_it_and_others_have_theirs(
    tmp_path: Path,
) -> None:
    async with cluster(tmp_path) as user, cluster_manager.running(user.kubeconfig):
        await user.declare("blue", subnets="10.1.0.0/26")
        await user.start("hog", ",".join(["blue"] * 4090))
        assert "names 4090 networks; a pod can have 32" in await user.event("hog", "names")
        await user.start("victim")
        assert (await user.annotated("victim"))["default/blue"]["ip_address"] == "10.1.0.1/26"
        hog = user.pods.get(ObjectKey("default", "hog"))
        assert hog
        assert not text_of(hog)


async def test_what_a_server_refuses_to_store_is_free_again(tmp_path: Path) -> None:
    async with cluster(tmp_path) as user, cluster_manager.running(user.kubeconfig):
        await user.declare("blue", subnets="10.1.0.0/30")
        hog = cluster_world.pod("hog", "blue, blue")
        del hog["metadata"]["uid"]
        hog["metadata"]["annotations"]["notes"] = "x" * ((256 << 10) - 200)
        await user.api.create(resources.PODS, hog | {"apiVersion": "v1", "kind": "Pod"})
        assert "is refused by the API server" in await user.event("hog", "refused")
        await user.start("victim")
        assert await user.annotated("victim")


async def test_a_pod_that_comes_with_its_own_words_gets_the_managers(tmp_path: Path) -> None:
    async with cluster(tmp_path) as user, cluster_manager.running(user.kubeconfig):
        await user.declare("blue")
        await user.start("victim")
        await user.annotated("victim")
        victim = user.pods.get(ObjectKey("default", "victim"))
        assert victim
        for name, keys in (("one", [names.POD_NETWORKS]), ("both", BOTH)):
            thief = cluster_world.pod(name)
            del thief["metadata"]["uid"]
            stolen = {key: victim["metadata"]["annotations"][key] for key in keys}
            thief["metadata"]["annotations"] |= stolen
            await user.api.create(resources.PODS, thief | {"apiVersion": "v1", "kind": "Pod"})
            assert "cluster manager" in await user.event(name, names.POD_NETWORKS)
        given = [await user.annotated(name) for name in ("victim", "one", "both")]
        check_unique(given)


async def test_the_server_goes_and_comes_back(tmp_path: Path) -> None:
    async with (
        apiserver.running(tmp_path) as first,
        relay.relaying(first.url) as between,
    ):
        document = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "clusters": [{"name": "k", "cluster": {"server": f"http://127.0.0.1:{between.port}"}}],
            "users": [{"name": "u", "user": {"token": first.token}}],
        }
        kubeconfig = tmp_path / "through-relay"
        kubeconfig.write_text(json.dumps(document))
        async with Client.from_kubeconfig(str(first.kubeconfig)) as api:
            user = Cluster(api, cache.Cache(api, resources.PODS), kubeconfig)
            await user.declare("blue")
            async with cluster_manager.running(kubeconfig):
                await user.start("before")
                await given(user, "before")
                between.cut()
                await user.start("meanwhile")
                await user.end("before")
                between.point_to(first.url)
                await given(user, "meanwhile")
                await user.start("after")
                await given(user, "after")


async def given(user: Cluster, name: str) -> Object:
    """Like Cluster.annotated, without a cache."""
    listing = await user.api.list(resources.PODS, "default")
    for pod in listing:
        if pod["metadata"]["name"] == name and text_of(pod):
            return pod
    async with asyncio.timeout(PATIENCE):
        async for _, pod in user.api.watch(resources.PODS, listing.resource_version, "default"):
            if pod["metadata"]["name"] == name and text_of(pod):
                return pod
    raise AssertionError


async def test_of_two_copies_one_acts_and_the_other_takes_over(tmp_path: Path) -> None:
    async with cluster(tmp_path) as user:
        await user.declare("blue")
        async with cluster_manager.running(user.kubeconfig, "--leader-elect") as one:
            await one.says("in charge")
            async with cluster_manager.running(user.kubeconfig, "--leader-elect") as two:
                await user.start("p1")
                await user.annotated("p1")
                one.process.terminate()
                await two.says("in charge")
                await user.start("p2")
                check_unique([await user.annotated("p1"), await user.annotated("p2")])
        assert one.process.returncode == 0


async def test_health_and_figures(tmp_path: Path) -> None:
    socket = tmp_path / "private" / "health.sock"
    async with (
        cluster(tmp_path) as user,
        cluster_manager.running(user.kubeconfig, "--health", f"unix:{socket}"),
    ):
        assert socket.stat().st_mode & 0o777 == 0o600
        assert socket.parent.stat().st_mode & 0o777 == 0o700
        await user.declare("blue")
        await user.start("one")
        await user.annotated("one")
        connector = aiohttp.UnixConnector(str(socket))
        async with aiohttp.ClientSession(connector=connector) as session:
            for page, expected in [("healthz", "ok"), ("readyz", "ok"), ("metrics", "weft_pods 1")]:
                async with session.get(f"http://localhost/{page}") as response:
                    assert response.status == 200
                    assert expected in (await response.text()).splitlines()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--kubeconfig", "/absent"], "kubeconfig /absent: file: cannot be read"),
        (["--kubeconfig", ""], "KUBERNETES_SERVICE_HOST: is not set"),
        (["--log-format", "xml"], '--log-format "xml": must be one of text, json'),
    ],
)
async def test_what_cannot_be_started_ends_in_a_sentence(
    arguments: list[str], message: str
) -> None:
    command = [sys.executable, "-m", "weft.cli.main", "cluster-manager", *arguments]
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
    _, told = await process.communicate()
    assert process.returncode == 1
    assert message in told.decode()
    assert "Traceback" not in told.decode()


async def test_a_nad_that_is_wrong_harms_no_other(tmp_path: Path) -> None:
    async with cluster(tmp_path) as user, cluster_manager.running(user.kubeconfig):
        await user.declare("bad", mtu=70_000)
        await user.declare("blue")
        await user.start("one")
        await user.annotated("one")
        message = await user.event("bad", "Failed to parse network config: ")
        assert "70000" in message
        await user.start("two", "bad")
        await user.event("two", "default/bad")
        with pytest.raises(NotFound):
            await user.api.get(resources.PODS, "absent", "default")


async def test_a_claim_is_given_its_address_in_its_status(tmp_path: Path) -> None:
    async with cluster(tmp_path) as user, cluster_manager.running(user.kubeconfig):
        await user.declare("blue", allowPersistentIPs=True)
        claims = resources.IPAMCLAIMS
        claim = {
            "apiVersion": claims.api_version,
            "kind": claims.kind,
            "metadata": {"name": "vm.net1", "namespace": "default"},
            "spec": {"network": "blue", "interface": "net1"},
        }
        listing = await user.api.list(claims, "default")
        await user.start("launcher", [{"name": "blue", "ipam-claim-reference": "vm.net1"}])
        await user.event("launcher", "IPAMClaim default/vm.net1")
        await user.api.create(claims, claim)
        given = await user.annotated("launcher")
        async with asyncio.timeout(PATIENCE):
            async for _, obj in user.api.watch(claims, listing.resource_version, "default"):
                if obj.get("status"):
                    break
        assert obj["status"]["ips"] == given["default/blue"]["ip_addresses"]
        assert obj["status"]["conditions"][0]["status"] == "True"
