"""Clients of the API server that are slow, many or greedy: ended at a bound, and nobody else is."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from lab.tests.support.apihttp import MAPS, PODS, Http, connected
from lab.tests.support.memory_cluster import config, crd, pod

pytestmark = pytest.mark.real
WIDGETS = "/apis/example.com/v1/namespaces/default/widgets"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
LATEST = 60.0  # seconds after which a test gives up; none waits for them


@pytest.fixture
async def hasty(tmp_path: Path) -> AsyncIterator[Http]:
    """A server that gives no client more than a fifth of a second for anything."""
    async with connected(tmp_path, "--patience", "0.2") as found:
        yield found


async def rest(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the server closes."""
    data = b""
    try:
        async with asyncio.timeout(LATEST):
            while piece := await reader.read(1 << 16):
                data += piece
    except ConnectionResetError:
        pass
    return data


@pytest.mark.parametrize(
    "sent", [b"", b"GET /api/v1/pods HTT", b"GET / HTTP/1.1\r\nHost: a\r\nX: "]
)
async def test_a_head_that_does_not_end_ends_its_connection(hasty: Http, sent: bytes) -> None:
    reader, writer = await hasty.send(sent)
    assert await rest(reader) == b""
    writer.close()


async def test_a_second_head_that_does_not_end(hasty: Http) -> None:
    reader, writer = await hasty.open("/version")
    assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
    writer.write(b"GET /again HTT")
    await rest(reader)
    writer.close()


async def test_a_body_that_does_not_end(hasty: Http) -> None:
    head = f"{hasty.head('POST', MAPS)}Content-Type: application/json\r\nContent-Length: 50\r\n\r\n"
    reader, writer = await hasty.send(head.encode() + b'{"metadata":')
    answer = await rest(reader)
    assert answer.startswith(b"HTTP/1.1 408 ")
    found = orjson.loads(answer.partition(b"\r\n\r\n")[2])
    assert (found["reason"], found["code"]) == ("Timeout", 408)
    writer.close()


@pytest.mark.parametrize("query", ["", "?watch=true"])
async def test_an_answer_that_nobody_reads(hasty: Http, query: str) -> None:
    """Watches too: what they have to say waits in the server's memory."""
    for number in range(24):
        large = {**config(f"c{number}"), "data": {"a": "x" * 1_000_000}}
        assert (await hasty("POST", MAPS, large))[0] == 201
    reader, writer = await hasty.open(MAPS + query)
    transport: Any = writer.transport
    transport.pause_reading()
    for _ in range(6):  # each of these waits as long as the server has patience
        slow, other = await hasty.send(b"GET /half HTT")
        assert await rest(slow) == b""
        other.close()
    transport.resume_reading()
    assert len(await rest(reader)) < 24_000_000
    writer.close()


async def test_an_idle_client_is_not_in_a_hurry(hasty: Http) -> None:
    """The control: who has been answered may wait as long as it likes for the next question."""
    whole = f"{hasty.head('GET', '/version')}\r\n".encode()
    reader, writer = await hasty.send(whole)
    assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
    slow, other = await hasty.send(b"GET /half HTT")
    assert await rest(slow) == b""  # so much time has passed
    writer.write(whole)
    async with asyncio.timeout(LATEST):
        assert (await reader.readuntil(b"HTTP/1.1 200")).endswith(b"200")
    writer.close()
    other.close()


async def test_there_are_so_many_connections(tmp_path: Path) -> None:
    async with connected(tmp_path, "--connections", "4") as http:
        held = [await http.open(f"{PODS}?watch=true") for _ in range(4)]
        for reader, _ in held:
            assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
        reader, writer = await http.open("/version")
        assert (await rest(reader)).startswith(b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1")
        writer.close()
        for _, writer in held:
            writer.close()
            await writer.wait_closed()


async def test_what_is_no_http_is_answered_by_a_status(http: Http) -> None:
    for sent in (b"NONSENSE\r\n\r\n", b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n"):
        reader, writer = await http.send(sent)
        answer = await rest(reader)
        assert answer.startswith(b"HTTP/1.0 400 ")
        found = orjson.loads(answer.partition(b"\r\n\r\n")[2])
        assert found["message"].startswith("the request is no HTTP: ")
        writer.close()


async def test_compressed_bodies_are_not_taken(http: Http) -> None:
    packed = gzip.compress(b"x" * 100_000_000)
    url = http.server.url + MAPS
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    async with http.session.post(url, data=packed, headers=headers) as answer:
        assert answer.status == 415


async def test_deep_and_wide_objects_are_refused_as_the_clients_fault(http: Http) -> None:
    url = http.server.url + MAPS
    headers = {"Content-Type": "application/json"}
    for depth in (300, 100_000):
        deep = b'{"a":' * depth + b"1" + b"}" * depth
        async with http.session.post(url, data=deep, headers=headers) as response:
            found = await response.json()
        assert (found["code"], found["message"]) == (400, "the body is nested more than 200 deep")
    open_schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    assert (await http("POST", CRDS, crd(open_schema)))[0] == 201
    wide = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}}
    for count, expected in ((20_000, 201), (100_000, 413)):
        body = {**wide, "spec": {f"k{n}": {} for n in range(count)}}
        apply = "application/apply-patch+yaml"
        code, answer = await http("PATCH", f"{WIDGETS}/w", body, apply, fieldManager="m")
        assert code == expected, answer
    bomb = "a0: &a0 [x]\n" + "".join(
        f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
    )
    async with http.session.post(
        url, data=bomb, headers={"Content-Type": "application/yaml"}
    ) as response:
        assert response.status == 413


async def test_as_deep_as_is_taken_every_way_of_writing_works(http: Http) -> None:
    open_schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    await http("POST", CRDS, crd(open_schema))
    deep: Any = "x"
    for _ in range(198):
        deep = {"a": deep}
    widget = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}}
    assert (await http("POST", WIDGETS, {**widget, "spec": deep}))[0] == 201
    assert (await http("GET", WIDGETS))[0] == 200
    changed = {**widget, "spec": deep}
    code, answer = await http("PATCH", f"{WIDGETS}/w", changed, "application/merge-patch+json")
    assert code == 200, answer
    code, answer = await http(
        "PATCH",
        f"{WIDGETS}/w",
        changed,
        "application/apply-patch+yaml",
        fieldManager="m",
        force="true",
    )
    assert code == 200, answer
    change = [{"op": "copy", "from": "/spec" + "/a" * 99, "path": "/spec/b"}]
    code, answer = await http("PATCH", f"{WIDGETS}/w", change, "application/json-patch+json")
    assert code == 200, answer
    code, answer = await http("GET", f"{WIDGETS}/w")
    assert answer["metadata"]["managedFields"]
    assert (await http("DELETE", f"{WIDGETS}/w"))[0] == 200


async def test_statuses_have_the_details_of_the_reference(http: Http) -> None:
    await http("POST", MAPS, config("a"))
    await http("POST", PODS, pod("p"))
    for method, path, body, code, expected in (
        ("GET", f"{MAPS}/none", None, 404, {"name": "none", "kind": "configmaps"}),
        ("GET", "/api/v1/things", None, 404, {}),
        ("GET", f"{PODS}/p/nonsense", None, 404, {}),
        ("PUT", MAPS, config(), 405, {}),
        ("POST", MAPS, config("a"), 409, {"name": "a", "kind": "configmaps"}),
        ("POST", MAPS, [], 400, None),
        ("GET", f"{MAPS}?continue=nonsense", None, 400, None),
        ("POST", f"{PODS}/p/exec", None, 400, None),
    ):
        found, answer = await http(method, path, body, fieldManager="m")
        assert (found, answer["code"]) == (code, code), answer
        assert answer.get("details") == expected, (path, answer)
        assert answer["metadata"] == {}
    _, answer = await http("POST", MAPS, config("Bad"))
    assert answer["details"]["kind"] == "ConfigMap"
    (cause,) = answer["details"]["causes"]
    assert (cause["reason"], cause["field"]) == ("FieldValueInvalid", "metadata.name")


async def test_a_key_that_stands_twice(http: Http) -> None:
    url = http.server.url + MAPS
    twice = b'{"metadata":{"name":"NAME"},"data":{"a":"1","a":"2"}}'
    media = {"Content-Type": "application/json"}
    for level, code, warned in (("Strict", 400, 0), ("Warn", 201, 1), ("Ignore", 201, 0)):
        data = twice.replace(b"NAME", level.lower().encode())
        params = {"fieldValidation": level}
        async with http.session.post(url, data=data, headers=media, params=params) as response:
            answer = await response.json()
            assert response.status == code, answer
            assert len(response.headers.getall("Warning", [])) == warned
            if warned:
                assert 'duplicate field "data.a"' in response.headers["Warning"].replace("\\", "")
            if code == 400:
                assert answer["message"].endswith('strict decoding error: duplicate field "data.a"')
