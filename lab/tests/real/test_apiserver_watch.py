"""The embedded API server's watches, as client libraries meet them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from lab.tests.support.apihttp import MAPS, MERGE, PODS, Http, connected
from lab.tests.support.memory_cluster import config, crd, pod
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.real
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WIDGETS = "/apis/example.com/v1/namespaces/default/widgets"
PARTIAL = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1"


async def take(stream: AsyncIterator[dict[str, Any]], count: int) -> list[tuple[str, str]]:
    found = []
    async with asyncio.timeout(PATIENCE):
        async for event in stream:
            found.append((event["type"], event["object"]["metadata"].get("name", "")))
            if len(found) == count:
                break
    return found


async def test_a_watch_continues_a_list(http: Http) -> None:
    _, listed = await http("GET", MAPS)
    await http("POST", MAPS, config("a"))
    stream = http.watch(MAPS, resourceVersion=listed["metadata"]["resourceVersion"])
    assert await anext(stream)
    await http("PATCH", f"{MAPS}/a", {"data": {"a": "2"}}, MERGE)
    await http("DELETE", f"{MAPS}/a")
    assert await take(stream, 2) == [("MODIFIED", "a"), ("DELETED", "a")]


async def test_a_watch_from_nowhere_begins_with_what_is_there(http: Http) -> None:
    await http("POST", MAPS, config("a"))
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
    stream = http.watch(MAPS, allowWatchBookmarks="true", **query)
    assert await take(stream, 2) == [("ADDED", "a"), ("BOOKMARK", "")]


async def test_a_selector_makes_objects_come_and_go(http: Http) -> None:
    await http("POST", PODS, pod("a", nodeName="node1"))
    await http("POST", PODS, pod("b"))
    stream = http.watch(PODS, fieldSelector="spec.nodeName=node1")
    assert await take(stream, 1) == [("ADDED", "a")]
    stream = http.watch(PODS, fieldSelector="spec.nodeName=node1")
    assert (await anext(stream))["type"] == "ADDED"
    bind = {"target": {"kind": "Node", "name": "node1"}}
    code, _ = await http("POST", f"{PODS}/b/binding", bind)
    assert code == 201
    assert await take(stream, 1) == [("ADDED", "b")]
    labelled = http.watch(PODS, labelSelector="x=y", resourceVersion="0")
    await http("PATCH", f"{PODS}/a", {"metadata": {"labels": {"x": "y"}}}, MERGE)
    assert (await anext(labelled))["type"] == "ADDED"
    await http("PATCH", f"{PODS}/a", {"metadata": {"labels": {"x": None}}}, MERGE)
    assert await take(labelled, 1) == [("DELETED", "a")]


async def test_a_watch_ends_when_its_time_is_over(http: Http) -> None:
    for seconds, told in (("1", []), ("3", ["BOOKMARK"])):
        stream = http.watch(MAPS, timeoutSeconds=seconds, allowWatchBookmarks="true")
        async with asyncio.timeout(PATIENCE):
            events = [event async for event in stream]
        assert [event["type"] for event in events] == told


async def test_history_does_not_outlive_the_server(tmp_path: Path) -> None:
    async with connected(tmp_path) as http:
        _, old = await http("GET", MAPS)
        await http("POST", MAPS, config("a"))
    async with connected(tmp_path) as http:
        stream = http.watch(MAPS, resourceVersion=old["metadata"]["resourceVersion"])
        event = await anext(stream)
        assert event["type"] == "ERROR"
        assert event["object"]["code"] == 410
        assert event["object"]["reason"] == "Expired"
        _, listed = await http("GET", MAPS)
        stream = http.watch(MAPS, resourceVersion=listed["metadata"]["resourceVersion"])
        await http("DELETE", f"{MAPS}/a")
        assert await take(stream, 1) == [("DELETED", "a")]


async def test_nothing_is_missed_while_the_first_list_is_on_its_way(http: Http) -> None:
    """More than the kernel takes at once, for a client that does not read for a while."""
    big = "x" * 2_900_000
    for number in range(8):
        await http("POST", MAPS, {"metadata": {"name": f"c{number}"}, "data": {"a": big}})
    reader, writer = await http.open(f"{MAPS}?watch=true&resourceVersion=0")
    assert b"200" in await reader.readline()
    await http("POST", MAPS, config("late"))
    found = b""
    async with asyncio.timeout(PATIENCE):
        while b'"name":"late"' not in found[-5_000:]:
            found += await reader.read(1 << 20)
            assert not reader.at_eof()
    writer.close()


async def test_bookmarks_come_in_the_form_that_was_asked_for(http: Http) -> None:
    """A client that decodes metadata alone knows no other kind."""
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
    for accept, kind in ((PARTIAL, "PartialObjectMetadata"), (TABLE, "Table")):
        stream = http.watch(MAPS, accept=accept, allowWatchBookmarks="true", **query)
        event = await anext(stream)
        assert (event["type"], event["object"]["kind"]) == ("BOOKMARK", kind)
        assert event["object"]["apiVersion"] == "meta.k8s.io/v1"
        assert int(event["object"]["metadata"]["resourceVersion"]) > 0


async def test_a_nad_that_goes_tells_of_its_objects_first(http: Http) -> None:
    await http("POST", CRDS, crd())
    assert (await http("POST", WIDGETS, {"metadata": {"name": "w"}}))[0] == 201
    stream = http.watch(WIDGETS, resourceVersion="0")
    assert await anext(stream)
    await http("DELETE", f"{CRDS}/widgets.example.com")
    async with asyncio.timeout(PATIENCE):
        rest = [(event["type"], event["object"]["metadata"]["name"]) async for event in stream]
    assert rest == [("DELETED", "w")]
    assert (await http("GET", WIDGETS))[0] == 404


async def test_what_ceases_to_match_is_reported_as_it_matched(http: Http) -> None:
    await http("POST", MAPS, config("a", labels={"x": "y"}))
    stream = http.watch(MAPS, labelSelector="x=y", resourceVersion="0")
    assert await anext(stream)
    _, now = await http("PATCH", f"{MAPS}/a", {"metadata": {"labels": {"x": "z"}}}, MERGE)
    event = await anext(stream)
    assert (event["type"], event["object"]["metadata"]["labels"]) == ("DELETED", {"x": "y"})
    meta = now["metadata"]
    assert event["object"]["metadata"]["resourceVersion"] == meta["resourceVersion"]


async def test_a_time_that_is_no_number_is_refused(http: Http) -> None:
    code, refused = await http("GET", MAPS, watch="true", timeoutSeconds="soon")
    assert (code, refused["reason"]) == (400, "BadRequest")
