"""Writes an item, a page or an error as bytes: plain objects, tables or metadata."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
from aiohttp import web

from weft_lab.apiserver import items, reads, status, store, table
from weft_lab.apiserver.request import Form
from weft_lab.apiserver.resources import Object, Resource, Version

UNCACHED = {"Cache-Control": "no-cache, private"}
JSON = {"Content-Type": "application/json", **UNCACHED}


def reply(body: bytes, code: int = 200, warnings: Iterable[str] = ()) -> web.Response:
    response = web.Response(body=body, status=code, headers=JSON)
    warn(response, warnings)
    return response


def warn(response: web.StreamResponse, warnings: Iterable[str]) -> web.StreamResponse:
    for text in warnings:
        response.headers.add("Warning", f"299 - {orjson.dumps(text).decode()}")
    return response


def json(obj: Any, code: int = 200) -> web.Response:
    return reply(orjson.dumps(obj), code)


def error(found: status.ApiError) -> web.Response:
    if isinstance(found, status.NoSuchPath):
        headers = {**JSON, "Content-Type": "text/plain; charset=utf-8"}
        return web.Response(text="404 page not found\n", status=404, headers=headers)
    response = json(found.body(), found.code)
    if found.code in {429, 504}:
        response.headers["Retry-After"] = "1"
    return response


def one(
    resource: Resource, version: Version, item: store.Item, form: Form, *, columns: bool = True
) -> bytes:
    """A single object in the form that the client asked for.

    columns: whether a table says what its columns are; a watch does so once.
    """
    if form.kind == "json":
        return items.body_in(resource, version, item)
    obj = seen(resource, version, item)
    if form.kind == "partial":
        return orjson.dumps(table.partial(obj))
    meta = {"resourceVersion": str(item.revision)} if item.revision else {}
    return table.render(version, [obj], meta, form.include, columns=columns)


def empty(resource: Resource, version: Version, form: Form) -> Object:
    """An object in that form with nothing but its kind, as in a bookmark."""
    if form.kind == "json":
        return {"kind": resource.kind, "apiVersion": resource.api_version(version)}
    return dict(table.PARTIAL if form.kind == "partial" else table.NO_ROWS)


def seen(resource: Resource, version: Version, item: store.Item) -> Object:
    found: Object = orjson.loads(items.body_in(resource, version, item))
    return found


def page(resource: Resource, version: Version, found: reads.Page, form: Form) -> bytes:
    """A list; plain objects are their stored bytes, joined."""
    meta = found.meta()
    if form.kind == "json":
        if resource.custom:
            meta.setdefault("continue", "")
        head = orjson.dumps(
            {
                "kind": resource.items_kind,
                "apiVersion": resource.api_version(version),
                "metadata": meta,
            }
        )
        bodies = b",".join([items.bare(resource, version, item) for item in found.items])
        return b"".join((head[:-1], b',"items":[', bodies, b"]}"))
    objects = (seen(resource, version, item) for item in found.items)
    if form.kind == "partial":
        return table.partial_list(objects, meta)
    return table.render(version, objects, meta, form.include)
