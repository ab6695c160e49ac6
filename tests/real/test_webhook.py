"""The cluster manager's webhook, called by a real kube-apiserver."""

from __future__ import annotations

import asyncio
import base64
import copy
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.support import cluster_manager, kubernetes, objects
from tests.support.kubeapiserver import free_port
from tests.support.kubernetes import NADS, Kubernetes, documents, needs_server
from tests.support.patience import PATIENCE
from weft.app import webhook
from weft.control.cluster import nads
from weft.kube import cache, resources
from weft.kube.client import Client
from weft.model import ObjectKey

pytestmark = [pytest.mark.real, needs_server]

Object = dict[str, Any]
WEFT = ObjectKey("", "weft")
PLACE = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"


def configuration(port: int) -> Object:
    """That of deploy/, at a port of this machine: no Service leads anywhere here."""
    found = [x for x in documents("webhook.yaml") if x["kind"] == "ValidatingWebhookConfiguration"]
    (called,) = found[0]["webhooks"]
    called["clientConfig"] = {"url": f"https://127.0.0.1:{port}/admit"}
    return found[0]


@asynccontextmanager
async def serving(kube: Kubernetes, port: int) -> AsyncIterator[cluster_manager.Running]:
    token = kube.token("weft-cluster-manager")
    options = ("--webhook", f"127.0.0.1:{port}", "--lease-namespace", "weft-system")
    async with cluster_manager.running(kube.kubeconfig(token), *options) as manager:
        yield manager


@asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[tuple[Kubernetes, cache.Cache]]:
    """A server, and what stands in its webhook configurations."""
    with kubernetes.running(folder) as kube:
        kubernetes.apply(kube.api, documents("rbac.yaml"))
        async with AsyncExitStack() as stack:
            admin = Client.from_kubeconfig(str(kube.kubeconfig("admin")))
            found = cache.Cache(await stack.enter_async_context(admin), resources.WEBHOOKS)
            following = asyncio.create_task(found.run())
            try:
                yield kube, found
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)


def is_trusted(configuration: Object) -> bool:
    return all(each["clientConfig"].get("caBundle") for each in configuration["webhooks"])


def make(kube: Kubernetes, obj: Object) -> tuple[int, str]:
    code, response = kube.api("POST", NADS, obj)
    return code, str(response.get("message", ""))


async def until_refused(kube: Kubernetes, obj: Object) -> str:
    """What the server says once it has heard of the webhook and trusts it."""
    async with asyncio.timeout(PATIENCE):
        while True:
            code, message = await asyncio.to_thread(make, kube, obj)
            if code != 201:
                return message
            path = f"{NADS}/{obj['metadata']['name']}"
            await asyncio.to_thread(kube.api, "DELETE", path)


async def test_a_nad_that_events_would_refuse_is_refused_at_once(tmp_path: Path) -> None:
    port = free_port()
    wrong = objects.nad("red", "10.1.0.0")
    async with cluster(tmp_path) as (kube, found):
        async with serving(kube, port):
            assert kube.api.make(PLACE, configuration(port)) == 201
            await found.wait_for(WEFT, is_trusted, PATIENCE)
            message = await until_refused(kube, wrong)
            assert 'admission webhook "weft.k8s.cni.cncf.io" denied the request' in message
            assert (
                "Failed to parse network config: NetworkAttachmentDefinition default/red" in message
            )
            assert "10.1.0.0" in message
            assert make(kube, objects.nad("blue"))[0] == 201
            same = objects.nad("two", "10.7.0.0/24", name="blue")
            code, message = make(kube, same)
            assert (code, "which was first" in message) == (422, True)
            await trusted_again(kube, found)
            assert "10.1.0.0" in await until_refused(kube, wrong)
        assert make(kube, wrong)[0] == 201, "without a manager the cluster goes on"


async def trusted_again(kube: Kubernetes, found: cache.Cache) -> None:
    """Whoever takes the certificate out of the bundle finds it there again."""
    there = copy.deepcopy(found.get(WEFT))
    assert there is not None
    before = there["webhooks"][0]["clientConfig"].pop("caBundle")
    assert kube.api("PUT", f"{PLACE}/weft", there)[0] == 200
    taken = int(there["metadata"]["resourceVersion"])
    again = await found.wait_for(
        WEFT,
        lambda obj: int(obj["metadata"]["resourceVersion"]) > taken and is_trusted(obj),
        PATIENCE,
    )
    assert again["webhooks"][0]["clientConfig"]["caBundle"] == before


async def test_two_copies_are_trusted_beside_each_other(tmp_path: Path) -> None:
    ports = free_port(), free_port()
    wrong = objects.nad("red", "10.1.0.0")
    async with cluster(tmp_path) as (kube, found):
        assert kube.api.make(PLACE, configuration(ports[0])) == 201
        async with serving(kube, ports[0]), serving(kube, ports[1]):
            both = await found.wait_for(WEFT, lambda obj: count(obj) == 2, PATIENCE)
            assert "10.1.0.0" in await until_refused(kube, wrong)
            both = copy.deepcopy(both)
            at = both["webhooks"][0]["clientConfig"]
            at["url"] = at["url"].replace(str(ports[0]), str(ports[1]))
            assert kube.api("PUT", f"{PLACE}/weft", both)[0] == 200
            assert "10.1.0.0" in await until_refused(kube, wrong)


async def test_no_object_slips_through_while_certificates_are_renewed(tmp_path: Path) -> None:
    """A server that does not trust a webhook asks it nothing: the policy for failures is Ignore."""
    port = free_port()
    wrong = objects.nad("red", "10.1.0.0")
    renewal = webhook.Renewal(life=timedelta(seconds=15), spread=1.5, pause=0.5)
    async with cluster(tmp_path) as (kube, found), AsyncExitStack() as stack:
        assert kube.api.make(PLACE, configuration(port)) == 201
        config = kube.kubeconfig(kube.token("weft-cluster-manager"))
        client = await stack.enter_async_context(Client.from_kubeconfig(str(config)))
        renewing = webhook.Webhook(client, f"127.0.0.1:{port}", nads.Rules(), renewal)
        task = asyncio.create_task(renewing.run())
        try:
            await found.wait_for(WEFT, is_trusted, PATIENCE)
            await until_refused(kube, wrong)
            first = certificates(found)
            async with asyncio.timeout(PATIENCE):
                while certificates(found) & first:  # until the first one has expired and is gone
                    code, message = await asyncio.to_thread(make, kube, wrong)
                    assert (code, "10.1.0.0" in message) == (422, True), message
            assert len(certificates(found)) <= 2, "the present one, and the next one perhaps"
            assert "10.1.0.0" in (await asyncio.to_thread(make, kube, wrong))[1]
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def certificates(found: cache.Cache) -> set[bytes]:
    """Those that API servers trust."""
    there = found.get(WEFT)
    assert there is not None
    pem = base64.b64decode(there["webhooks"][0]["clientConfig"]["caBundle"])
    listed = x509.load_pem_x509_certificates(pem)
    return {each.public_bytes(serialization.Encoding.DER) for each in listed}


def count(configuration: Object) -> int:
    text = configuration["webhooks"][0]["clientConfig"].get("caBundle") or ""
    return base64.b64decode(text).count(b"BEGIN CERTIFICATE")
