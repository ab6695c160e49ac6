"""Kinds that servers have in several versions are read in the one that holds most."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import apiserver, objects
from tests.support.patience import PATIENCE
from weft.kube import cache
from weft.kube.client import Client, NotFound
from weft.kube.resources import CRDS, MULTINETWORKPOLICIES, Resource

pytestmark = pytest.mark.real

Object = dict[str, Any]
BEST, OLDER = MULTINETWORKPOLICIES.in_each_version()
FILE = Path(__file__).resolve().parents[2] / "lab/weft_lab/crds/multi-networkpolicies.yaml"
NAME = "multi-networkpolicies.k8s.cni.cncf.io"


def crd(*served: Resource) -> Object:
    """Of these versions; the older one has no ranges of ports, as in the published definition."""
    made: Object = json.loads(json.dumps(yaml.safe_load(FILE.read_text())))
    versions = {each["name"]: each for each in made["spec"]["versions"]}
    rules = versions[OLDER.version]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    for rule in rules["ingress"], rules["egress"]:
        del rule["items"]["properties"]["ports"]["items"]["properties"]["endPort"]
    made["spec"]["versions"] = [
        {**versions[each.version], "storage": each is served[0]} for each in served
    ]
    return made


def ranged(name: str, written: Resource) -> Object:
    made = objects.policy(name, ingress=[{"ports": [{"port": 80, "endPort": 90}]}])
    return {**made, "apiVersion": written.api_version}


def ports(obj: Object) -> Object:
    (found,) = obj["spec"]["ingress"][0]["ports"]
    return {name: found[name] for name in ("port", "endPort") if name in found}


async def define(api: Client, *served: Resource) -> None:
    """In the place of the one that is there, with all objects of the kind."""
    try:
        await api.delete(CRDS, NAME)
    except NotFound:
        pass
    await api.create(CRDS, crd(*served))


class Followed:
    """What an informer of policies has; `until` waits for what it is to have."""

    def __init__(self, api: Client) -> None:
        self.cache = cache.Cache(api, MULTINETWORKPOLICIES, may_be_unknown=True)
        self._changed = asyncio.Event()
        self.cache.subscribe(lambda *_: self._changed.set())

    async def until_it_reads(self, **wanted: Object) -> None:
        def read() -> dict[str, Object]:
            return {obj["metadata"]["name"]: ports(obj) for obj in self.cache.objects()}

        try:
            async with asyncio.timeout(PATIENCE):
                while read() != wanted:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"reads {read()}, trouble: {self.cache.trouble!r}") from None


async def test_the_version_that_holds_most_is_read_whatever_is_served(tmp_path: Path) -> None:
    async with (
        apiserver.running(tmp_path, crds=()) as server,
        Client.from_kubeconfig(str(server.kubeconfig)) as api,
        asyncio.TaskGroup() as group,
    ):
        followed = Followed(api)
        running = group.create_task(followed.cache.run())
        await followed.cache.synced()  # without any definition

        await define(api, OLDER)
        await api.create(MULTINETWORKPOLICIES, ranged("old", OLDER))
        await followed.until_it_reads(old={"port": 80})
        assert {obj["apiVersion"] for obj in followed.cache.objects()} == {OLDER.api_version}

        await define(api, BEST, OLDER)
        await api.create(MULTINETWORKPOLICIES, ranged("new", BEST))
        await followed.until_it_reads(new={"port": 80, "endPort": 90})
        patch = {"metadata": {"labels": {"a": "b"}}}
        patched = await api.patch(MULTINETWORKPOLICIES, "new", "default", patch)
        assert ports(patched) == {"port": 80, "endPort": 90}  # in the version that is read

        await define(api, OLDER)
        await api.create(MULTINETWORKPOLICIES, ranged("older", OLDER))
        await followed.until_it_reads(older={"port": 80})

        # A definition that gets a version beside its own ends the watches of its objects.
        grown = crd(OLDER, BEST)
        found = await api.get(CRDS, NAME)
        await api.update(CRDS, {**found, "spec": grown["spec"]})
        await api.create(MULTINETWORKPOLICIES, ranged("newer", BEST))
        await followed.until_it_reads(older={"port": 80}, newer={"port": 80, "endPort": 90})
        running.cancel()


async def test_each_request_finds_the_version_itself(tmp_path: Path) -> None:
    """As in a command that reads once."""
    async with apiserver.running(tmp_path, crds=()) as server:
        for served in ((OLDER,), (BEST,), (OLDER, BEST)):
            async with Client.from_kubeconfig(str(server.kubeconfig)) as api:
                await define(api, *served)
                await api.create(MULTINETWORKPOLICIES, ranged("one", served[0]))
                plain = objects.policy("one", ingress=[{"ports": [{"port": 80}]}])
                applied = {**plain, "apiVersion": served[0].api_version}  # its writer's choice
                await api.patch(
                    MULTINETWORKPOLICIES, "one", "default", applied, type="apply", force=True
                )
            async with Client.from_kubeconfig(str(server.kubeconfig)) as api:
                (listed,) = await api.list(MULTINETWORKPOLICIES)
                assert listed["apiVersion"] == (BEST if BEST in served else OLDER).api_version
            async with Client.from_kubeconfig(str(server.kubeconfig)) as api:
                await api.patch(
                    MULTINETWORKPOLICIES,
                    "one",
                    "default",
                    {"status": {"ports": 1}},
                    subresource="status",
                )
            async with Client.from_kubeconfig(str(server.kubeconfig)) as api:
                await api.delete(MULTINETWORKPOLICIES, "one", "default")
                assert await api.list(MULTINETWORKPOLICIES) == []
                await api.delete(CRDS, NAME)
                with pytest.raises(NotFound):
                    await api.list(MULTINETWORKPOLICIES)
