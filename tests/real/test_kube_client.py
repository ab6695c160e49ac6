"""The client against the embedded API server: every refusal, every patch, lists in pages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import apiserver
from weft.kube import client, config, events, resources, transport
from weft.kube.client import Client
from weft.reasons import Reason

pytestmark = pytest.mark.real

Object = dict[str, Any]


def configmap(name: str, **data: str) -> Object:
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[apiserver.Server]:
    async with apiserver.running(tmp_path) as running:
        yield running


@pytest.fixture
async def api(server: apiserver.Server) -> AsyncIterator[Client]:
    async with Client.from_kubeconfig(str(server.kubeconfig)) as opened:
        yield opened


async def test_the_life_of_an_object(api: Client) -> None:
    made = await api.create(resources.CONFIGMAPS, configmap("one", a="1"))
    assert made["metadata"]["uid"]
    assert await api.get(resources.CONFIGMAPS, "one", "default") == made
    made["data"]["b"] = "2"
    newer = await api.update(resources.CONFIGMAPS, made)
    assert newer["data"] == {"a": "1", "b": "2"}
    await api.delete(resources.CONFIGMAPS, "one", "default", uid=newer["metadata"]["uid"])
    with pytest.raises(client.NotFound):
        await api.get(resources.CONFIGMAPS, "one", "default")


async def test_every_refusal_has_its_class(api: Client, server: apiserver.Server) -> None:
    made = await api.create(resources.CONFIGMAPS, configmap("one"))
    with pytest.raises(client.AlreadyExists):
        await api.create(resources.CONFIGMAPS, configmap("one"))
    await api.update(resources.CONFIGMAPS, made | {"data": {"a": "1"}})
    with pytest.raises(client.Conflict) as caught:
        await api.update(resources.CONFIGMAPS, made)
    assert caught.value.retry
    assert "ConfigMap default/one" in str(caught.value)
    with pytest.raises(client.Conflict):
        await api.delete(resources.CONFIGMAPS, "one", "default", uid="another")
    with pytest.raises(client.Invalid):
        await api.create(resources.CONFIGMAPS, configmap("Not A Name"))
    stranger = config.Endpoint(server.url, token="wrong")
    async with Client(transport.Transport(stranger)) as other:
        with pytest.raises(client.Unauthorized) as unauthorized:
            await other.list(resources.PODS)
        assert "wrong" not in str(unauthorized.value)


@pytest.mark.parametrize("field", ["uid", "resourceVersion"])
async def test_a_merge_patch_meant_for_another_incarnation_is_refused(
    api: Client, field: str
) -> None:
    await api.create(resources.CONFIGMAPS, configmap("one"))
    body = {"metadata": {field: "12345", "annotations": {"a": "b"}}}
    with pytest.raises(client.Conflict):
        await api.patch(resources.CONFIGMAPS, "one", "default", body)


async def test_every_kind_of_patch(api: Client) -> None:
    await api.create(resources.CONFIGMAPS, configmap("one", a="1", b="2"))
    patches: list[tuple[str, object]] = [
        ("merge", {"data": {"a": None, "c": "3"}}),
        ("json", [{"op": "add", "path": "/data/d", "value": "4"}]),
        ("strategic", {"data": {"e": "5"}}),
        ("apply", configmap("one", f="6")),
    ]
    for kind, body in patches:
        found = await api.patch(resources.CONFIGMAPS, "one", "default", body, type=kind)
    assert found["data"] == {"b": "2", "c": "3", "d": "4", "e": "5", "f": "6"}


async def test_a_list_in_pages_is_the_same_list(api: Client) -> None:
    for number in range(12):
        await api.create(resources.CONFIGMAPS, configmap(f"m-{number:02}"))
    whole = await api.list(resources.CONFIGMAPS, "default")
    paged = await api.list(resources.CONFIGMAPS, "default", limit=5)
    assert list(whole) == list(paged)
    assert len(whole) >= 12
    assert int(paged.resource_version) >= int(whole[-1]["metadata"]["resourceVersion"])
    assert {obj["kind"] for obj in whole} == {"ConfigMap"}
    one = await api.list(resources.CONFIGMAPS, field_selector="metadata.name=m-03")
    assert [obj["metadata"]["name"] for obj in one] == ["m-03"]


async def test_no_server_ends_in_one_sentence(tmp_path: Path) -> None:
    document = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k"}}],
        "clusters": [{"name": "k", "cluster": {"server": "http://127.0.0.1:1"}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    async with Client.from_kubeconfig(str(path), patience=0) as api:
        with pytest.raises(client.Unreachable) as caught:
            await api.list(resources.PODS)
    assert "no answer from the Kubernetes API at http://127.0.0.1:1" in str(caught.value)
    assert "ssl:" not in str(caught.value)
    assert caught.value.hint


async def test_the_same_news_is_one_event_across_restarts(api: Client) -> None:
    pod = await api.create(resources.CONFIGMAPS, configmap("one"))
    for _ in range(2):  # each time a new process, as far as the recorder knows
        recorder = events.Recorder(api, "weft")
        for _ in range(3):
            recorder.emit(pod, Reason.ADDRESS_REFUSED, "said so")
        task = asyncio.create_task(recorder.run())
        await recorder.flushed()
        task.cancel()
    (event,) = await api.list(resources.EVENTS, "default")
    assert event["count"] == 6
    assert event["message"] == "said so"
    assert event["involvedObject"]["uid"] == pod["metadata"]["uid"]
