"""Gets, lists, creates, updates, patches, deletes and watches objects of the Kubernetes API.

Objects are plain dicts as the server sends them. The client caches nothing (see cache.py).
"""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Self, cast

import orjson
from aiohttp import ClientWebSocketResponse

from weft.kube import config, errors, liveness, transport
from weft.kube.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Expired,
    Forbidden,
    Invalid,
    NotFound,
    Terminating,
    Unauthorized,
    Unreachable,
)
from weft.kube.resources import Resource
from weft.kube.transport import Query

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
    "Terminating",
    "Unauthorized",
    "Unreachable",
]

Object = dict[str, Any]

_PATCHES = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}
_PARTIAL = "application/json;as={};g=meta.k8s.io;v=v1"
_WATCH_SECONDS = 300  # the server ends a watch after 1 to 2 times this
_IDLE_TIMEOUT = 100.0  # seconds without even a bookmark after which the connection counts as dead


class Listing(list[Object]):
    """The items of a list, and the resourceVersion from which to watch."""

    resource_version = ""


class Client:
    """A client of one API server: an async context manager, one for each process.

    Every request raises an ApiError (errors.py) if it fails.
    """

    def __init__(self, door: transport.Transport, *, namespace: str = "default") -> None:
        self._door = door
        self.namespace = namespace
        self.liveness = liveness.Liveness(door)
        self.streams_lists = True  # until the server refuses it
        self._served: dict[Resource, Resource] = {}  # kinds of several versions, in the served one

    @classmethod
    def from_kubeconfig(
        cls,
        path: str | None,
        *,
        context: str = "",
        patience: float = transport.PATIENCE,
        component: str = "weft",
    ) -> Client:
        """A client for a kubeconfig's `context` (empty: the current one), or, if `path` is None,
        for the service account of the pod that this runs in.

        `component` names the client in the server's logs. Raises InvalidInput.
        """
        endpoint = config.load(path, context)
        door = transport.Transport(endpoint, patience=patience, component=component)
        return cls(door, namespace=endpoint.namespace)

    @property
    def server(self) -> str:
        """The address of the API server."""
        return self._door.server

    @property
    def received(self) -> int:
        """Bytes of the server's answers so far."""
        return self._door.received

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

    async def served(self, res: Resource, namespace: str = "", *, anew: bool = False) -> Resource:
        """The kind in the best version that the server has; asked once, and again if `anew`.

        Raises NotFound if it has none. A list is asked for: discovery learns of a CRD's
        versions one after the other.
        """
        if not res.older:
            return res
        if anew or res not in self._served:
            self._served[res] = await self._best(res, namespace)
        return self._served[res]

    async def _version_of(self, obj: Mapping[str, Any], res: Resource, namespace: str) -> Resource:
        """The kind in the version in which an object is written; in the best if it names none."""
        version = obj.get("apiVersion")
        named = (each for each in res.in_each_version() if each.api_version == version)
        return next(named, None) or await self.served(res, namespace)

    async def _best(self, res: Resource, namespace: str) -> Resource:
        *better, last = res.in_each_version()
        for each in better:
            try:
                await self._is_served(each, namespace)
            except NotFound:
                continue
            return each
        await self._is_served(last, namespace)
        return last

    async def _is_served(self, res: Resource, namespace: str) -> None:
        """Raises NotFound if it is not."""
        where = _where(res, namespace)
        await self._answer("GET", res.path(namespace), where, query={"limit": "1"})

    async def command(self, method: str, path: str, *, where: str = "") -> None:
        """A request that has an effect and no answer, such as a subresource's; sent once."""
        await self._door.request(method, path, repeatable=False, where=where)

    def websocket(
        self, path: str, query: Query = None, *, protocol: str, longest: int, where: str = ""
    ) -> AbstractAsyncContextManager[ClientWebSocketResponse]:
        """A WebSocket to any API path, such as a console's; a message has at most `longest`
        bytes. The server's answer to a refused one is not read: an ApiError has its status."""
        return self._door.websocket(path, query, protocol=protocol, longest=longest, where=where)

    async def content(self, path: str, **options: Any) -> bytes:
        """The response of an API path that answers with no object: a log, or a picture."""
        return await self._door.request("GET", path, **options)

    async def act(self, path: str, where: str, body: Mapping[str, Any] | None = None) -> None:
        """Do what a subresource does that answers with nothing, such as to start a machine."""
        await self._door.request(
            "PUT",
            path,
            where=where,
            body=orjson.dumps(body or {}),
            content_type="application/json",
            repeatable=False,
        )

    async def _answer(self, method: str, path: str, where: str, **options: Any) -> Object:
        """The object that the server answers."""
        content = await self._door.request(method, path, where=where, **options)
        return self._decoded(content, where)

    async def get(self, res: Resource, name: str, namespace: str = "") -> Object:
        """The object; raises NotFound."""
        res = await self.served(res, namespace)
        where = _where(res, namespace, name)
        return await self._answer("GET", res.path(namespace, name), where)

    async def list(
        self,
        res: Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 500,
        metadata_only: bool = False,
    ) -> Listing:
        """All objects, in pages of `limit`; if a page token expires, the list starts again.

        `metadata_only`: the server leaves out all but their metadata.
        """
        res = await self.served(res, namespace)
        query = _query(labelSelector=label_selector, fieldSelector=field_selector)
        accept = _PARTIAL.format("PartialObjectMetadataList") if metadata_only else ""
        try:
            paged = {**query, "limit": str(limit)} if limit else query
            return await self._pages(res, namespace, paged, accept)
        except Expired:
            return await self._pages(res, namespace, query, accept)

    async def _pages(
        self, res: Resource, namespace: str, query: Mapping[str, str], accept: str
    ) -> Listing:
        listing = Listing()
        while True:
            where = _where(res, namespace)
            page = await self._answer("GET", res.path(namespace), where, query=query, accept=accept)
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
        """Create an object; returns it as stored. Raises AlreadyExists."""
        meta = obj["metadata"]
        namespace = meta.get("namespace", "")
        res = await self._version_of(obj, res, namespace)
        return await self._answer(
            "POST",
            res.path(namespace),
            _where(res, namespace, meta.get("name") or meta.get("generateName", "")),
            body=orjson.dumps(obj),
            content_type="application/json",
            repeatable=False,
        )

    async def update(self, res: Resource, obj: Mapping[str, Any], subresource: str = "") -> Object:
        """Replace an object; returns it as stored. Raises Conflict if it has changed."""
        meta = obj["metadata"]
        namespace, name = meta.get("namespace", ""), meta["name"]
        res = await self._version_of(obj, res, namespace)
        return await self._answer(
            "PUT",
            res.path(namespace, name, subresource),
            _where(res, namespace, name),
            body=orjson.dumps(obj),
            content_type="application/json",
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
        """Patch an object; returns the new one. `type` is merge, json, strategic or apply.

        `force` (apply only) takes over fields of other managers.
        """
        res = await self._version_of(body if isinstance(body, Mapping) else {}, res, namespace)
        query = {"fieldManager": field_manager}
        if type == "apply" and force:
            query["force"] = "true"
        return await self._answer(
            "PATCH",
            res.path(namespace, name, subresource),
            _where(res, namespace, name),
            query=query,
            body=orjson.dumps(body),
            content_type=_PATCHES[type],
            repeatable=type != "json",
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
        """Delete an object; with `uid`, raises Conflict if another object has taken the name.

        `grace` is the grace period in seconds.
        """
        res = await self.served(res, namespace)
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
        initial: bool = False,
        metadata_only: bool = False,
        on_open: Callable[[], None] = lambda: None,
    ) -> AsyncGenerator[tuple[str, Object], None]:
        """(type, object) from `resource_version` on, until the server ends the watch.

        Raises Unreachable when the connection breaks, Expired if changes were lost, so that the
        caller must list again. BOOKMARK events are yielded only on request. `initial`: all objects
        come first, as ADDED, and a bookmark that says so; the server refuses that as Invalid if it
        cannot. `metadata_only` as in `list`. `on_open` is called when the watch is accepted.
        """
        res = await self.served(res, namespace)
        query = _query(
            watch="true",
            allowWatchBookmarks="true",
            resourceVersion=resource_version,
            timeoutSeconds=str(random.randint(_WATCH_SECONDS, 2 * _WATCH_SECONDS)),
            labelSelector=label_selector,
            fieldSelector=field_selector,
            sendInitialEvents="true" if initial else "",
            resourceVersionMatch="NotOlderThan" if initial else "",
        )
        where = f"watch of {_where(res, namespace)}"
        accept = _PARTIAL.format("PartialObjectMetadata") if metadata_only else ""
        async with self._door.stream(
            res.path(namespace), query, idle_timeout=_IDLE_TIMEOUT, accept=accept, where=where
        ) as chunks:
            on_open()
            rest = b""
            async for chunk in chunks:
                lines = (rest + chunk).split(b"\n") if rest else chunk.split(b"\n")
                rest = lines.pop()
                for line in filter(None, lines):
                    kind, obj = self._event(line, where)
                    if kind != "BOOKMARK" or bookmarks:
                        obj.setdefault("kind", res.kind)
                        obj.setdefault("apiVersion", res.api_version)
                        yield kind, obj

    def _event(self, line: bytes, where: str) -> tuple[str, Object]:
        event = self._decoded(line, where)
        try:
            kind, obj = event["type"], event["object"]
            if kind != "ERROR":
                obj["metadata"]["resourceVersion"]  # what a watch goes on from
                return str(kind), cast("Object", obj)
        except (KeyError, TypeError):
            raise errors.garbled(self.server, line, where=where) from None
        raise errors.from_status(obj, where=where)

    def _decoded(self, content: bytes, where: str) -> Object:
        """The object that the server sent; Unreachable if something else answers in its place."""
        try:
            found = orjson.loads(content)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise errors.garbled(self.server, content, where=where)
        return found


def _query(**values: str) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}


def _where(res: Resource, namespace: str, name: str = "") -> str:
    if not name:
        return f"{res.plural} of {namespace}" if namespace else res.plural
    return f"{res.kind} {namespace}/{name}" if namespace else f"{res.kind} {name}"
