"""Writes a watch to its client, one JSON object a line, until somebody ends it."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Mapping
from functools import partial

import orjson
from aiohttp import web

from weft_lab.apiserver import answers, reads, request, status, store, watch
from weft_lab.apiserver.cluster import Cluster
from weft_lab.apiserver.resources import Object, Resource, Version
from weft_lab.apiserver.writes import Target

BOOKMARK_EVERY = 60.0
LAST_BOOKMARK = 2.0  # seconds before the end, where a watch is longer
_INITIAL_END = {"k8s.io/initial-events-end": "true"}


async def serve(
    cluster: Cluster,
    http: web.BaseRequest,
    target: Target,
    chosen: reads.Selection,
    form: request.Form,
) -> web.StreamResponse:
    """Answer a watch; returns when the client, the clock or the server ends it."""
    query, resource, version = http.query, target.resource, target.version
    watcher = watch.Watcher(
        chosen.namespace,
        chosen.labels,
        chosen.fields,
        _Encoder(resource, version, form),
        resource.api_version(version) if form.kind == "json" else "",
    )
    has_bookmarks = request.flag(query, "allowWatchBookmarks")
    bookmarks = _Bookmarks(answers.empty(resource, version, form), has_bookmarks)
    seconds = reads.read_number(query, "timeoutSeconds") or random.randint(1800, 3600)
    head = _begin(cluster, resource, watcher, chosen, query, bookmarks)
    cluster.hub.add(resource.id, watcher)  # before anything is awaited, so that nothing is missed
    try:
        response = web.StreamResponse(headers=answers.JSON)
        answers.warn(response, target.warnings)
        response.enable_chunked_encoding()
        await response.prepare(http)
        await response.write(head)
        await _pump(cluster, response, watcher, bookmarks, seconds)
        await response.write_eof()
    finally:
        cluster.hub.discard(resource.id, watcher)
    return response


class _Encoder:
    """Writes one object after another; the first of a table's says what its columns are."""

    def __init__(self, resource: Resource, version: Version, form: request.Form) -> None:
        self._write = partial(answers.one, resource, version, form=form)
        self._columns = True

    def __call__(self, item: store.Item) -> bytes:
        columns, self._columns = self._columns, False
        return self._write(item, columns=columns)


class _Bookmarks:
    """Events that say only: you have seen everything up to here."""

    def __init__(self, empty: Object, is_enabled: bool) -> None:
        self._empty = empty
        self.is_enabled = is_enabled

    def line(self, revision: int, annotations: dict[str, str] | None = None) -> bytes:
        meta: dict[str, object] = {"resourceVersion": str(revision)}
        if annotations:
            meta["annotations"] = annotations
        return watch.frame("BOOKMARK", orjson.dumps({**self._empty, "metadata": meta}))


def _begin(
    cluster: Cluster,
    resource: Resource,
    watcher: watch.Watcher,
    chosen: reads.Selection,
    query: Mapping[str, str],
    bookmarks: _Bookmarks,
) -> bytes:
    """The first lines: what is there, or what happened since, or that it is too late to tell."""
    collection = cluster.collection(resource)
    revision = reads.read_revision(query, watch=True)
    initial = request.flag(query, "sendInitialEvents")
    if initial or ("sendInitialEvents" not in query and revision == 0):
        watcher.revision = cluster.store.revision
        lines = [watch.frame("ADDED", watcher.encode(item)) for item in chosen.choose(collection)]
        if initial and bookmarks.is_enabled:
            lines.append(bookmarks.line(watcher.revision, _INITIAL_END))
        return b"".join(lines)
    if revision == 0:
        watcher.revision = cluster.store.revision
        return b""
    changes = collection.since(revision)
    if changes is None:
        watcher.end()
        text = f"too old resource version: {revision} ({collection.oldest})"
        return _error_line(status.gone(text))
    watcher.revision = revision
    for change in changes:
        watcher.offer(change)
    watcher.revision = max(revision, cluster.store.revision)
    return watcher.take()


def _error_line(error: status.ApiError) -> bytes:
    return orjson.dumps({"type": "ERROR", "object": error.body()}) + b"\n"


async def _pump(
    cluster: Cluster,
    response: web.StreamResponse,
    watcher: watch.Watcher,
    bookmarks: _Bookmarks,
    seconds: float,
) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    bookmark = _next_bookmark(loop.time(), end)
    while not watcher.ended:
        try:
            async with asyncio.timeout_at(min(end, bookmark)):
                await watcher.wake.wait()
        except TimeoutError:
            if loop.time() >= bookmark:
                bookmark = _next_bookmark(loop.time(), end)
                if bookmarks.is_enabled:
                    seen = max(cluster.hub.revision, watcher.revision)
                    await response.write(watcher.take() + bookmarks.line(seen))
            if loop.time() >= end:
                return
            continue
        await response.write(watcher.take())
    await response.write(watcher.take())


def _next_bookmark(now: float, end: float) -> float:
    """One a minute, and a last one shortly before the end."""
    last = end - LAST_BOOKMARK
    return min(now + BOOKMARK_EVERY, last) if now < last else math.inf
