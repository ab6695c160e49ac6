"""A client of the Kubernetes API: get, list, create, update, patch, delete, watch.

Objects are plain dicts as the server sends them. The client caches nothing (see cache.py).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable, Mapping
from types import TracebackType
from typing import Any, Self, cast

import orjson

from weft.kube import config, errors, transport
from weft.kube.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Expired,
    Forbidden,
    Invalid,
    NotFound,
    Unauthorized,
    Unreachable,
)
from weft.kube.resources import Resource

__all__ = [
    "AlreadyExists",
    "ApiError",
    "Client",
    "Conflict",
    "Expired",
    "Forbidden",
    "Invalid",
    "Listing",
    "NotFound",
    "Object",
    "Unauthorized",
    "Unreachable",
]

Object = dict[str, Any]
log = logging.getLogger(__name__)

_PATCHES = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}
_WATCH_SECONDS = 300  # the server ends a watch after 1 to 2 times this; then it is resumed
_SILENCE = 100.0  # seconds without even a bookmark after which the connection counts as dead
_PAUSES = (0.05, 2.0)
_LONGEST_ASKED = 60.0  # the longest Retry-After, in seconds, that a watch obeys


class Listing(list[Object]):
    """The items of a list, and the resourceVersion from which to watch."""

    resource_version = ""


class Client:
    """An async context manager; a process needs only one."""

    def __init__(self, door: transport.Transport, *, namespace: str = "default") -> None:
        self._door = door
        self.namespace = namespace

    @classmethod
    def from_kubeconfig(
        cls, path: str | None, *, context: str = "", patience: float = transport.PATIENCE
    ) -> Client:
        """`path` None: the service account of the pod that this runs in. An empty `context`: the
        current one. Raises InvalidInput."""
        endpoint = config.load(path, context)
        return cls(transport.Transport(endpoint, patience=patience), namespace=endpoint.namespace)

    @property
    def server(self) -> str:
        return self._door.server

    async def __aenter__(self) -> Self:
        await self._door.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._door.__aexit__(kind, error, trace)

    async def request(self, method: str, path: str, **options: Any) -> Any:
        """Decoded response of any API path: /version, /readyz, discovery."""
        content = await self._door.request(method, path, **options)
        return orjson.loads(content)

    async def get(self, res: Resource, name: str, namespace: str = "") -> Object:
        where = _where(res, namespace, name)
        return _object(await self._door.request("GET", res.path(namespace, name), where=where))

    async def list(
        self,
        res: Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 500,
    ) -> Listing:
        """All objects, in pages of `limit`; if a page token expires, the list starts again."""
        try:
            return await self._pages(res, namespace, label_selector, field_selector, limit)
        except Expired:
            return await self._pages(res, namespace, label_selector, field_selector, 0)

    async def _pages(
        self, res: Resource, namespace: str, label_selector: str, field_selector: str, limit: int
    ) -> Listing:
        query = _query(
            labelSelector=label_selector,
            fieldSelector=field_selector,
            limit=str(limit) if limit else "",
        )
        listing = Listing()
        while True:
            page = orjson.loads(
                await self._door.request(
                    "GET", res.path(namespace), query=query, where=_where(res, namespace)
                )
            )
            for item in page.get("items") or ():
                # Items of a list have no kind; Events and owner references need it.
                item.setdefault("kind", res.kind)
                item.setdefault("apiVersion", res.api_version)
                listing.append(item)
            meta = page.get("metadata") or {}
            listing.resource_version = meta.get("resourceVersion", "")
            if not meta.get("continue"):
                return listing
            query = {**query, "continue": meta["continue"]}

    async def create(self, res: Resource, obj: Mapping[str, Any]) -> Object:
        meta = obj["metadata"]
        namespace = meta.get("namespace", "")
        return _object(
            await self._door.request(
                "POST",
                res.path(namespace),
                body=orjson.dumps(obj),
                content_type="application/json",
                repeatable=False,
                where=_where(res, namespace, meta.get("name") or meta.get("generateName", "")),
            ),
        )

    async def update(self, res: Resource, obj: Mapping[str, Any], subresource: str = "") -> Object:
        meta = obj["metadata"]
        namespace, name = meta.get("namespace", ""), meta["name"]
        return _object(
            await self._door.request(
                "PUT",
                res.path(namespace, name, subresource),
                body=orjson.dumps(obj),
                content_type="application/json",
                where=_where(res, namespace, name),
            ),
        )

    async def patch(
        self,
        res: Resource,
        name: str,
        namespace: str,
        body: object,
        *,
        type: str = "merge",
        subresource: str = "",
        field_manager: str = "weft",
        force: bool = False,
    ) -> Object:
        """`type` is merge, json, strategic or apply. `force` (apply) takes over others' fields."""
        query = {"fieldManager": field_manager}
        if type == "apply" and force:
            query["force"] = "true"
        return _object(
            await self._door.request(
                "PATCH",
                res.path(namespace, name, subresource),
                query=query,
                body=orjson.dumps(body),
                content_type=_PATCHES[type],
                repeatable=type != "json",
                where=_where(res, namespace, name),
            ),
        )

    async def delete(
        self,
        res: Resource,
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        grace: int | None = None,
    ) -> None:
        """Delete an object; with `uid`, Conflict if another object has taken the name."""
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if uid:
            options["preconditions"] = {"uid": uid}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        await self._door.request(
            "DELETE",
            res.path(namespace, name),
            body=orjson.dumps(options),
            content_type="application/json",
            where=_where(res, namespace, name),
        )

    async def watch(
        self,
        res: Resource,
        resource_version: str,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        bookmarks: bool = False,
        on_state: Callable[[str], None] = lambda _: None,
    ) -> AsyncGenerator[tuple[str, Object], None]:
        """(type, object) from `resource_version` on, without end.

        The watch resumes when the server ends it or the connection breaks. Raises Expired if
        changes were lost, so that the caller must list again, and errors that a retry cannot clear.
        BOOKMARK events are yielded only on request. `on_state` is called with the state of the
        connection: "" when the server has accepted the watch, the reason when it broke.
        """
        version, (pause, longest) = resource_version, _PAUSES
        while True:
            seconds = random.randint(_WATCH_SECONDS, 2 * _WATCH_SECONDS)
            query = _query(
                watch="true",
                allowWatchBookmarks="true",
                resourceVersion=version,
                timeoutSeconds=str(seconds),
                labelSelector=label_selector,
                fieldSelector=field_selector,
            )
            try:
                async for kind, obj in self._events(res, namespace, query, on_state):
                    version = obj["metadata"]["resourceVersion"]
                    pause = _PAUSES[0]
                    if kind != "BOOKMARK" or bookmarks:
                        yield kind, obj
            except Unreachable as error:
                log.debug("watch of %s broke and is taken up again: %s", res.plural, error)
                on_state(str(error))
                retry_after = min(error.retry_after or 0.0, _LONGEST_ASKED)
            else:
                retry_after = 0.0
            # A pause even after an orderly end, for a server that ends each watch at once.
            await asyncio.sleep(max(retry_after, pause * random.uniform(0.5, 1.0)))
            pause = min(pause * 2, longest)

    async def _events(
        self,
        res: Resource,
        namespace: str,
        query: Mapping[str, str],
        on_state: Callable[[str], None],
    ) -> AsyncGenerator[tuple[str, Object], None]:
        where = f"watch of {_where(res, namespace)}"
        async with self._door.stream(
            res.path(namespace), query, silence=_SILENCE, where=where
        ) as content:
            on_state("")
            rest = b""
            async for chunk in content.iter_any():
                lines = (rest + chunk).split(b"\n") if rest else chunk.split(b"\n")
                rest = lines.pop()
                for line in lines:
                    if not line:
                        continue
                    event = orjson.loads(line)
                    obj = event["object"]
                    if event["type"] == "ERROR":
                        raise errors.from_status(obj, where=where)
                    obj.setdefault("kind", res.kind)
                    obj.setdefault("apiVersion", res.api_version)
                    yield event["type"], obj


def _object(content: bytes) -> Object:
    return cast("Object", orjson.loads(content))


def _query(**values: str) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}


def _where(res: Resource, namespace: str, name: str = "") -> str:
    if not name:
        return f"{res.plural} of {namespace}" if namespace else res.plural
    return f"{res.kind} {namespace}/{name}" if namespace else f"{res.kind} {name}"
