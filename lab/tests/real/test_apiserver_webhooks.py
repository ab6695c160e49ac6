"""The API server asks webhooks over TLS, and serves others meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from lab.tests.support import judge
from lab.tests.support.judge import Judge
from tests.support import apiserver
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.real
MAPS = "/api/v1/namespaces/default/configmaps"
HOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
_RULE = {
    "apiGroups": [""],
    "apiVersions": ["v1"],
    "operations": ["*"],
    "resources": ["configmaps"],
}


@pytest.fixture
def webhook() -> Iterator[Judge]:
    with judge.running() as found:
        yield found


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    async with (
        apiserver.running(tmp_path) as server,
        aiohttp.ClientSession(server.url, headers=server.headers) as session,
    ):
        yield session


async def send(api: aiohttp.ClientSession, method: str, path: str, body: Any = None) -> Any:
    async with api.request(method, path, json=body) as answer:
        return answer.status, await answer.json()


async def configure(api: aiohttp.ClientSession, webhook: Judge, path: str, **more: Any) -> None:
    hook = {
        "name": "a.example.com",
        "clientConfig": {"url": f"{webhook.url}/{path}", "caBundle": webhook.bundle},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "rules": [_RULE],
        **more,
    }
    code, found = await send(api, "POST", HOOKS, {"metadata": {"name": "h"}, "webhooks": [hook]})
    assert code == 201, found


def config(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name}}


async def test_a_refusal_has_the_words_of_the_webhook(
    api: aiohttp.ClientSession, webhook: Judge
) -> None:
    await configure(api, webhook, "deny")
    code, found = await send(api, "POST", MAPS, config("m"))
    message = 'admission webhook "a.example.com" denied the request: it may not be'
    assert (code, found["reason"], found["message"]) == (422, "Invalid", message)
    assert (await send(api, "GET", f"{MAPS}/m"))[0] == 404
    (asked,) = webhook.reviews()
    assert asked["request"]["object"]["metadata"]["name"] == "m"


async def test_others_are_served_while_a_webhook_thinks(
    api: aiohttp.ClientSession, webhook: Judge
) -> None:
    await configure(api, webhook, "slow", timeoutSeconds=30)
    slow = asyncio.create_task(send(api, "POST", MAPS, config("slow")))
    assert await asyncio.to_thread(webhook.arrived.wait, PATIENCE)
    assert (await send(api, "POST", "/api/v1/namespaces", config("quick")))[0] == 201
    assert not slow.done()
    webhook.patient.set()
    assert (await slow)[0] == 201


async def test_an_object_that_changes_meanwhile_is_judged_again(
    api: aiohttp.ClientSession, webhook: Judge
) -> None:
    assert (await send(api, "POST", MAPS, config("m")))[0] == 201
    await configure(api, webhook, "slow", timeoutSeconds=30)
    body = {**config("m"), "data": {"a": "1"}}
    slow = asyncio.create_task(send(api, "PUT", f"{MAPS}/m", body))
    assert await asyncio.to_thread(webhook.arrived.wait, PATIENCE)
    assert (await send(api, "DELETE", f"{HOOKS}/h"))[0] == 200
    assert (await send(api, "PUT", f"{MAPS}/m", {**config("m"), "data": {"b": "2"}}))[0] == 200
    await configure(api, webhook, "allow")
    webhook.patient.set()
    assert (await slow)[0] == 200
    old = [each["request"]["oldObject"].get("data") for each in webhook.reviews()]
    assert old == [None, {"b": "2"}]
