"""The embedded API server as client libraries meet it: lists, writes, errors, restarts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import orjson
import pytest

from lab.tests.support.apihttp import MAPS, PODS, Http, connected
from lab.tests.support.memory_cluster import config, pod

pytestmark = pytest.mark.real
JSON = "application/json"


async def test_lists_come_in_parts_of_one_moment(http: Http) -> None:
    for number in range(5):
        await http("POST", MAPS, config(f"c{number}"))
    _, first = await http("GET", MAPS, limit="2")
    assert [one["metadata"]["name"] for one in first["items"]] == ["c0", "c1"]
    assert first["metadata"]["remainingItemCount"] == 3
    await http("DELETE", f"{MAPS}/c3")
    token = first["metadata"]["continue"]
    _, second = await http("GET", MAPS, limit="10", **{"continue": token})
    assert [one["metadata"]["name"] for one in second["items"]] == ["c2", "c3", "c4"]
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    code, refused = await http("GET", MAPS, limit="2", **{"continue": "nonsense"})
    assert (code, refused["reason"]) == (400, "BadRequest")


async def test_a_pod_is_bound_once(http: Http) -> None:
    await http("POST", PODS, pod("a", nodeName="node1"))
    code, refused = await http("POST", f"{PODS}/a/binding", {"target": {"name": "node2"}})
    assert code == 409
    assert "already assigned to node" in refused["message"]


async def test_objects_survive_a_kill(tmp_path: Path) -> None:
    async with connected(tmp_path) as http:
        await asyncio.gather(*(http("POST", MAPS, config(f"c{n}")) for n in range(50)))
        http.server.kill()
    async with connected(tmp_path) as http:
        _, listed = await http("GET", MAPS)
        assert len(listed["items"]) == 50


async def test_errors_are_statuses(http: Http) -> None:
    for method, path, body, code, reason in (
        ("GET", f"{MAPS}/none", None, 404, "NotFound"),
        ("GET", "/api/v1/things", None, 404, "NotFound"),
        ("POST", "/api/v1/namespaces/none/configmaps", config(), 404, "NotFound"),
        ("POST", MAPS, config("Bad"), 422, "Invalid"),
        ("POST", MAPS, [], 400, "BadRequest"),
        ("GET", MAPS + "?labelSelector=a%20b", None, 400, "BadRequest"),
        ("GET", MAPS + "?fieldSelector=x%3Dy", None, 400, "BadRequest"),
        ("GET", MAPS + "?resourceVersion=999999", None, 504, "Timeout"),
        ("PUT", MAPS, config(), 405, "MethodNotAllowed"),
    ):
        found, answer = await http(method, path, body)
        assert (found, answer["reason"]) == (code, reason), (method, path, answer)
        assert answer["kind"] == "Status"
        assert answer["status"] == "Failure"


async def test_a_path_that_is_nobodys_is_reported_in_a_line_of_text(http: Http) -> None:
    """By it clients tell a type that is not served from an object that is not there."""
    for path in ("/apis/no.such/v1/things", "/apis/no.such/v1", "/nowhere"):
        assert await http("GET", path) == (404, "404 page not found\n")


async def test_a_body_that_is_no_json(http: Http) -> None:
    url = http.server.url + MAPS
    json = {"Content-Type": "application/json"}
    async with http.session.post(url, data=b"{", headers=json) as response:
        assert response.status == 400
        assert "not valid JSON" in (await response.json())["message"]
    yaml = {"Content-Type": "application/yaml"}
    body = b"metadata: {name: from-yaml}"
    async with http.session.post(url, data=body, headers=yaml) as response:
        assert response.status == 201
    cbor = {"Content-Type": "application/cbor"}
    async with http.session.post(url, data=body, headers=cbor) as response:
        assert response.status == 415


async def test_bodies_have_a_limit(http: Http) -> None:
    code, _ = await http("POST", MAPS, {**config("a"), "data": {"a": "x" * 1_000_000}})
    assert code == 201
    code, answer = await http("POST", MAPS, {**config("b"), "data": {"a": "x" * 2_000_000}})
    assert (code, answer["reason"]) == (422, "Invalid")
    code, answer = await http("POST", MAPS, {**config("b"), "data": {"a": "x" * 4_000_000}})
    assert (code, answer["reason"]) == (413, "RequestEntityTooLarge")


async def test_only_those_with_a_token_come_in(http: Http) -> None:
    async with aiohttp.ClientSession() as stranger:
        async with stranger.get(http.server.url + "/healthz") as response:
            assert await response.text() == "ok"
        for header, code, reason in (
            ({}, 403, "Forbidden"),
            ({"Authorization": "Basic x"}, 403, "Forbidden"),
            ({"Authorization": "Bearer no"}, 401, "Unauthorized"),
        ):
            async with stranger.get(http.server.url + "/api", headers=header) as response:
                assert response.status == code
                assert (await response.json())["reason"] == reason


async def test_partial_metadata_and_tables(http: Http) -> None:
    await http("POST", MAPS, config("a"))
    url = http.server.url + MAPS
    partial = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    async with http.session.get(url, headers={"Accept": partial}) as response:
        found = await response.json()
        assert found["kind"] == "PartialObjectMetadataList"
        assert "data" not in found["items"][0]
    table = "application/json;as=Table;g=meta.k8s.io;v=v1,application/json"
    async with http.session.get(url, headers={"Accept": table}) as response:
        found = await response.json()
        assert [one["name"] for one in found["columnDefinitions"]] == ["Name", "Data", "Age"]
        assert found["rows"][0]["cells"][:2] == ["a", 1]
    async with http.session.get(url, headers={"Accept": "text/html"}) as response:
        assert response.status == 406


async def test_deletion_of_a_collection(http: Http) -> None:
    for name in ("a", "b"):
        await http("POST", MAPS, config(name, labels={"x": name}))
    code, _ = await http("DELETE", MAPS, labelSelector="x=a")
    assert code == 200
    _, listed = await http("GET", MAPS)
    assert [one["metadata"]["name"] for one in listed["items"]] == ["b"]


async def test_events_are_seen_in_both_groups(http: Http) -> None:
    event = {
        "metadata": {"name": "e", "namespace": "default"},
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default", "uid": "u"},
        "reason": "Tested",
        "message": "it works",
        "type": "Normal",
    }
    code, _ = await http("POST", "/api/v1/namespaces/default/events", event)
    assert code == 201
    _, newer = await http("GET", "/apis/events.k8s.io/v1/namespaces/default/events/e")
    assert newer["apiVersion"] == "events.k8s.io/v1"
    assert newer["note"] == "it works"
    assert newer["regarding"]["name"] == "p"
    _, found = await http("GET", "/api/v1/events", fieldSelector="involvedObject.uid=u")
    assert len(found["items"]) == 1


async def test_racing_writers_never_lose_an_update(http: Http) -> None:
    await http("POST", MAPS, config("counter"))

    async def add() -> None:
        while True:
            _, found = await http("GET", f"{MAPS}/counter")
            found["data"]["a"] = str(int(found["data"]["a"]) + 1)
            code, _ = await http("PUT", f"{MAPS}/counter", found)
            if code == 200:
                return
            assert code == 409

    await asyncio.gather(*(add() for _ in range(20)))
    _, found = await http("GET", f"{MAPS}/counter")
    assert found["data"]["a"] == "21"


async def test_tls_with_the_authority_of_the_kubeconfig(http: Http) -> None:
    import base64
    import ssl

    cluster = orjson.loads(http.server.kubeconfig.read_bytes())["clusters"][0]["cluster"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=authority)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    async with http.session.get(cluster["server"] + "/version", ssl=context) as response:
        assert (await response.json())["major"] == "1"
    assert http.server.kubeconfig.stat().st_mode & 0o777 == 0o600
