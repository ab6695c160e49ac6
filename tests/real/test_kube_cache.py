"""A cache in front of a server whose connections break, that restarts and that forgets."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from tests.support import apiserver, relay
from tests.support.patience import PATIENCE
from weft import errors
from weft.kube import cache, config, resources, transport
from weft.kube.client import Client
from weft.model import ObjectKey

pytestmark = pytest.mark.real

Object = dict[str, Any]
MAPS = resources.CONFIGMAPS


def configmap(name: str, **data: str) -> Object:
    meta = {"name": name, "namespace": "watched"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def client(url: str, token: str) -> Client:
    return Client(transport.Transport(config.Endpoint(url, token=token)))


class Log:
    """What a subscriber heard, and whether each piece followed from what it had heard before."""

    def __init__(self, followed: cache.Cache) -> None:
        self.world: dict[ObjectKey, str] = {}
        self.received: list[tuple[str, str]] = []
        self._changed = asyncio.Event()
        followed.subscribe(self.note)

    def note(self, key: ObjectKey, old: Object | None, new: Object | None) -> None:
        uid = old["metadata"]["uid"] if old else None
        assert self.world.get(key) == uid
        what = "added" if old is None else "gone" if new is None else "changed"
        self.received.append((what, str(key)))
        if new is None:
            del self.world[key]
        else:
            self.world[key] = new["metadata"]["uid"]
        self._changed.set()

    def knows(self, key: str) -> bool:
        return ObjectKey.parse(key) in self.world

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not holds():
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def following(api: Client, **options: Any) -> AsyncIterator[cache.Cache]:
    followed = cache.Cache(api, MAPS, namespace="watched", **options)
    task = asyncio.create_task(followed.run())
    try:
        yield followed
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def make_namespace(api: Client) -> None:
    meta = {"name": "watched"}
    await api.create(
        resources.NAMESPACES, {"metadata": meta, "apiVersion": "v1", "kind": "Namespace"}
    )


async def test_a_cache_follows_wakes_and_finds_by_index(tmp_path: Path) -> None:
    async with (
        apiserver.running(tmp_path) as server,
        client(server.url, server.token) as api,
        following(api, indexes={"colour": lambda obj: obj.get("data", {}).values()}) as followed,
    ):
        await make_namespace(api)
        await followed.synced()
        log = Log(followed)
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(
                followed.wait_for(
                    ObjectKey("watched", "one"), lambda obj: obj["data"]["c"] == "red", PATIENCE
                )
            )
            await api.create(MAPS, configmap("one", c="blue"))
            await api.patch(MAPS, "one", "watched", {"data": {"c": "red"}})
        assert waiting.result()["data"] == {"c": "red"}
        assert followed.index("colour", "red") == {ObjectKey("watched", "one")}
        assert followed.index("colour", "blue") == set()
        assert "managedFields" not in waiting.result()["metadata"]
        await api.delete(MAPS, "one", "watched")
        await log.until(lambda: not log.world)
        assert followed.get(ObjectKey("watched", "one")) is None
        assert followed.index("colour", "red") == set()
        with pytest.raises(errors.NotReady) as caught:
            await followed.wait_for(ObjectKey("watched", "one"), lambda obj: True, 0)
        assert "ConfigMap watched/one" in str(caught.value)


async def test_a_cut_connection_costs_no_event_and_brings_none_twice(tmp_path: Path) -> None:
    async with (
        apiserver.running(tmp_path) as server,
        relay.relaying(server.url) as between,
        client(server.url, server.token) as api,
        client(f"http://127.0.0.1:{between.port}", server.token) as cut_off,
    ):
        await make_namespace(api)
        async with following(cut_off) as followed:
            await followed.synced()
            log = Log(followed)
            await api.create(MAPS, configmap("one"))
            await log.until(lambda: ObjectKey("watched", "one") in log.world)
            for number in range(3):
                between.cut()
                await api.create(MAPS, configmap(f"while-cut-{number}"))
                between.point_to(server.url)
                await log.until(partial(log.knows, f"watched/while-cut-{number}"))
            names = [key for what, key in log.received]
            assert len(names) == len(set(names)) == 4


async def test_what_happened_while_the_server_forgot_is_found_by_listing_again(
    tmp_path: Path,
) -> None:
    async with apiserver.running(tmp_path) as server, relay.relaying(server.url) as between:
        async with client(server.url, server.token) as api:
            await make_namespace(api)
            for name in ("kept", "deleted", "again", "changed"):
                await api.create(MAPS, configmap(name))
        async with (
            client(f"http://127.0.0.1:{between.port}", server.token) as far,
            following(far) as followed,
        ):
            await followed.synced()
            log = Log(followed)
            between.cut()
            async with client(server.url, server.token) as api:
                await api.delete(MAPS, "deleted", "watched")
                await api.delete(MAPS, "again", "watched")
                await api.create(MAPS, configmap("again"))
                await api.patch(MAPS, "changed", "watched", {"data": {"a": "b"}})
                await api.create(MAPS, configmap("new"))
            log.received.clear()
            await end(server)
            async with apiserver.running(tmp_path) as later:
                between.point_to(later.url)
                await log.until(lambda: len(log.received) >= 5)
                async with client(later.url, later.token) as api:
                    await api.create(MAPS, configmap("last"))
                    await log.until(lambda: ObjectKey("watched", "last") in log.world)
        assert sorted(log.received) == sorted(
            [
                ("gone", "watched/deleted"),
                ("gone", "watched/again"),
                ("added", "watched/again"),
                ("changed", "watched/changed"),
                ("added", "watched/new"),
                ("added", "watched/last"),
            ]
        )


async def end(server: apiserver.Server) -> None:
    """Ends the server's process; the fixture that started it reaps it."""
    os.kill(server.pid, signal.SIGTERM)


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def scripted(watches: list[Handler]) -> AsyncIterator[tuple[str, list[str]]]:
    """A server whose lists grow by one object each, and whose watches answer as told, in turn."""
    seen: list[str] = []
    lists = 0

    async def handle(request: web.Request) -> web.StreamResponse:
        nonlocal lists
        if "sendInitialEvents" in request.query:  # as servers before 1.32
            return web.json_response({"kind": "Status", "code": 422}, status=422)
        if "watch" not in request.query:
            seen.append("list")
            lists += 1
            items = [listed(f"m{number}", str(number)) for number in range(lists)]
            meta = {"resourceVersion": str(lists * 100)}
            return web.json_response({"items": items, "metadata": meta})
        seen.append(f"watch {request.query['resourceVersion']}")
        if not watches:
            await asyncio.Event().wait()
        return await watches.pop(0)(request)

    app = web.Application()
    app.router.add_get("/{path:.*}", handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    try:
        yield f"http://127.0.0.1:{port}", seen
    finally:
        await runner.cleanup()


def listed(name: str, version: str) -> Object:
    meta = {"name": name, "namespace": "watched", "uid": name, "resourceVersion": version}
    return {"metadata": meta}


async def gone(request: web.Request) -> web.StreamResponse:
    status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
    return web.json_response(status, status=410)


def lines(*parts: bytes) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for part in parts:
            await response.write(part)
        return response

    return answer


def event(kind: str, obj: Object) -> bytes:
    return orjson.dumps({"type": kind, "object": obj}) + b"\n"


EXPIRED = event("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"})


@pytest.mark.parametrize("form", [gone, lines(EXPIRED)], ids=["status", "event"])
async def test_410_in_either_form_leads_to_a_new_list(form: Handler) -> None:
    async with (
        scripted([form]) as (url, seen),
        client(url, "") as api,
        following(api) as followed,
    ):
        log = Log(followed)
        await log.until(lambda: len(log.world) == 2)
        assert seen[:3] == ["list", "watch 100", "list"]


async def test_a_watch_goes_on_from_the_last_bookmark_through_broken_lines() -> None:
    bookmark = event("BOOKMARK", {"metadata": {"resourceVersion": "170"}})
    added = event("ADDED", listed("late", "150"))
    script = [
        lines(added[:20], added[20:], bookmark, added[:30]),  # the last line never ends
        lines(event("ADDED", listed("later", "180"))),
    ]
    async with (
        scripted(script) as (url, seen),
        client(url, "") as api,
        following(api) as followed,
    ):
        log = Log(followed)
        await log.until(lambda: ObjectKey("watched", "later") in log.world)
        assert [what for what in seen if what.startswith("watch")][:2] == [
            "watch 100",
            "watch 170",
        ]
        assert ("added", "watched/late") in log.received
        assert seen.count("list") == 1


async def test_too_many_requests_is_waited_for_as_long_as_reported() -> None:
    calls: list[str] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        calls.append(request.method)
        if len(calls) < 3:
            return web.json_response({"code": 429}, status=429, headers={"Retry-After": "0"})
        return web.json_response({"metadata": {"name": "one"}})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    try:
        async with client(f"http://127.0.0.1:{port}", "") as api:
            assert await api.create(MAPS, configmap("one")) == {"metadata": {"name": "one"}}
            assert calls == ["POST"] * 3
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("streams", [True, False])
async def test_of_metadata_alone_nothing_else_comes(tmp_path: Path, *, streams: bool) -> None:
    async with (
        apiserver.running(tmp_path) as server,
        client(server.url, server.token) as api,
    ):
        api.streams_lists = streams
        await make_namespace(api)
        await api.create(MAPS, configmap("early", a="b"))
        followed = cache.Informer(
            *(api, MAPS, cache.keep_all, cache.version), namespace="watched", metadata_only=True
        )
        task = asyncio.create_task(followed.run())
        try:
            await followed.synced()
            await api.create(MAPS, configmap("late", a="b"))
            await followed.wait_for(ObjectKey("watched", "late"), lambda _: True, PATIENCE)
            for name in ("early", "late"):
                found = followed.get(ObjectKey("watched", name))
                assert found is not None
                assert found["metadata"]["uid"]
                assert "data" not in found
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
