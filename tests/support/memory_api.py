"""An API server as one dict, for state tests: real semantics of the few calls that are made.

resourceVersion rises with each write; uid and resourceVersion in a merge patch are preconditions;
watches deliver from a version on, in order. `spoil` injects what a network does to a client:
a call that is lost before or after it took effect. Tests without an event loop use `put`, `change`,
`merge_patch` and `objects` alone.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Callable
from typing import Any

from weft.control.cluster.outcome import Ref
from weft.kube import errors, resources
from weft.kube.client import Client, Listing
from weft.kube.resources import Resource
from weft.model import ObjectKey

Object = dict[str, Any]
Spoil = Callable[[str, Resource, str], str]  # verb, kind, key -> "", "before" or "after"


def merge(target: Object, patch: Object) -> None:
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        elif isinstance(value, dict):
            merge(target.setdefault(name, {}), value)
        else:
            target[name] = value


def _ref(res: Resource, key: str) -> Ref:
    return Ref(res, ObjectKey.parse(key))


class MemoryApi(Client):
    """Client in type and behaviour; there is no server."""

    def __init__(self) -> None:
        self.namespace = "default"
        self.streams_lists = False
        self.objects: dict[Ref, Object] = {}
        self.history: list[tuple[int, str, str, Object]] = []  # version, kind, event, object
        self.version = 0
        self.now = "2026-02-01T00:00:00Z"  # when what a client creates is made
        self.writes: list[tuple[str, str, str]] = []  # verb, kind, key; no Network objects
        self.spoil: Spoil = lambda verb, kind, key: ""
        self._changed = asyncio.Event()
        self._behind: dict[object, int] = {}

    async def served(self, res: Resource, namespace: str = "", *, anew: bool = False) -> Resource:
        return res

    def of(self, res: Resource, key: str) -> Object:
        return self.objects[_ref(res, key)]

    def all(self, res: Resource) -> dict[str, Object]:
        return {str(ref.key): obj for ref, obj in self.objects.items() if ref.resource == res}

    def is_drained(self) -> bool:
        """Whether every watch has been given everything."""
        return all(seen == len(self.history) for seen in self._behind.values())

    # What a user does

    def put(self, res: Resource, obj: Object) -> Ref:
        """Creates or replaces, as a user or another controller would."""
        obj = copy.deepcopy(obj)
        key = str(resources.key(obj))
        event = "MODIFIED" if _ref(res, key) in self.objects else "ADDED"
        obj |= {"kind": res.kind, "apiVersion": res.api_version}
        return self._store(res, key, event, obj)

    def change(self, res: Resource, key: str, patch: Object) -> Ref:
        obj = copy.deepcopy(self.of(res, key))
        merge(obj, patch)
        return self._store(res, key, "MODIFIED", obj)

    def delete_kept(self, res: Resource, key: str) -> None:
        """Deletes as a user does: what has finalizers goes when the last of them is taken off."""
        change = {"metadata": {"deletionTimestamp": "2026-01-02T00:00:00Z"}}
        self.change(res, key, change)

    def remove(self, res: Resource, key: str) -> None:
        """It is gone, finalizers or not."""
        obj = copy.deepcopy(self.objects.pop(_ref(res, key)))
        self._log(res, "DELETED", obj)

    def die_at(self, victim: int, fate: str) -> asyncio.Event:
        """The client's end at its write number `victim`, from 0: what follows never arrives."""
        count, dead = 0, asyncio.Event()

        def spoil(verb: str, res: Resource, key: str) -> str:
            nonlocal count
            if dead.is_set():
                return "before"
            count += 1
            if count <= victim:
                return ""
            dead.set()
            return fate

        self.spoil = spoil
        return dead

    def merge_patch(self, res: Resource, key: str, body: Object) -> bool:
        """Whether it changed anything; Conflict where a precondition in it does not hold."""
        obj = copy.deepcopy(self._found(res, key))
        for field in ("uid", "resourceVersion"):
            wanted = body.get("metadata", {}).get(field, obj["metadata"].get(field))
            if wanted != obj["metadata"].get(field):
                raise errors.Conflict(409, "Conflict", f"{field} of {key} is another")
        merge(obj, body)
        notes = obj["metadata"].get("annotations") or {}
        if sum(len(name) + len(value) for name, value in notes.items()) > 256 << 10:
            raise errors.Invalid(422, "Invalid", "metadata.annotations: Too long")
        if obj == self.of(res, key):
            return False
        self._store(res, key, "MODIFIED", obj)
        return True

    def _store(self, res: Resource, key: str, event: str, obj: Object) -> Ref:
        meta = obj["metadata"]
        if res.kind != resources.PODS.kind and "deletionTimestamp" in meta:
            before = set(self.of(res, key)["metadata"].get("finalizers") or ())
            if set(meta.get("finalizers") or ()) - before:
                raise errors.Invalid(422, "Invalid", f"{key} is being deleted: no new finalizers")
            if not meta.get("finalizers"):
                self.remove(res, key)
                return _ref(res, key)
        self._log(res, event, obj)
        self.objects[_ref(res, key)] = obj
        return _ref(res, key)

    def _log(self, res: Resource, event: str, obj: Object) -> None:
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        self.history.append((self.version, res.kind, event, copy.deepcopy(obj)))
        self._changed.set()

    # What a client does

    async def list(self, res: Resource, namespace: str = "", **_: Any) -> Listing:
        await asyncio.sleep(0)
        listing = Listing(copy.deepcopy(obj) for obj in self.all(res).values())
        listing.resource_version = str(self.version)
        return listing

    async def get(self, res: Resource, name: str, namespace: str = "") -> Object:
        await asyncio.sleep(0)
        return copy.deepcopy(self._found(res, f"{namespace}/{name}" if namespace else name))

    async def create(self, res: Resource, obj: Any) -> Object:
        key = str(resources.key(obj))
        async with self._effect("create", res, key):
            if _ref(res, key) in self.objects:
                raise errors.AlreadyExists(409, "AlreadyExists", f"{key} exists")
            stamped = {"creationTimestamp": self.now, "uid": f"{res.kind}-{key}-{self.version}"}
            self.put(res, {**obj, "metadata": {**stamped, **obj["metadata"]}})
        return copy.deepcopy(self.of(res, key))

    async def update(self, res: Resource, obj: Any, subresource: str = "") -> Object:
        key = str(resources.key(obj))
        async with self._effect("update", res, key):
            there = self._found(res, key)["metadata"]
            for field in ("uid", "resourceVersion"):
                if obj["metadata"].get(field, there[field]) != there[field]:
                    raise errors.Conflict(409, "Conflict", f"{field} of {key} is another")
            self.put(res, {**obj, "metadata": {**there, **obj["metadata"]}})
        return copy.deepcopy(self.of(res, key))

    async def delete(
        self, res: Resource, name: str, namespace: str = "", *, uid: str = "", grace: object = None
    ) -> None:
        key = f"{namespace}/{name}" if namespace else name
        async with self._effect("delete", res, key):
            if uid not in ("", self._found(res, key)["metadata"]["uid"]):
                raise errors.Conflict(409, "Conflict", f"uid of {key} is another")
            self.remove(res, key)

    async def patch(self, res: Resource, name: str, namespace: str, body: Any, **_: Any) -> Object:
        key = f"{namespace}/{name}" if namespace else name
        async with self._effect("patch", res, key):
            self.merge_patch(res, key, body)
        return copy.deepcopy(self.of(res, key))

    async def watch(  # type: ignore[override]
        self,
        res: Resource,
        resource_version: str,
        namespace: str = "",
        *,
        on_open: Callable[[], None] = lambda: None,
        **_: Any,
    ) -> AsyncIterator[tuple[str, Object]]:
        on_open()
        me, since = object(), int(resource_version)
        self._behind[me] = 0
        try:
            while True:
                while self._behind[me] < len(self.history):
                    version, kind, event, obj = self.history[self._behind[me]]
                    self._behind[me] += 1
                    if kind == res.kind and version > since:
                        yield event, copy.deepcopy(obj)
                self._changed.clear()
                await self._changed.wait()
        finally:
            del self._behind[me]

    def _found(self, res: Resource, key: str) -> Object:
        if _ref(res, key) not in self.objects:
            raise errors.NotFound(404, "NotFound", f"{res.kind} {key} not found")
        return self.of(res, key)

    def _effect(self, verb: str, res: Resource, key: str) -> _Effect:
        return _Effect(self, verb, res, key)


class _Effect:
    """A write on its way: noted, and perhaps lost before or after it takes effect."""

    def __init__(self, api: MemoryApi, verb: str, res: Resource, key: str) -> None:
        self._api, self._call = api, (verb, res, key)

    async def __aenter__(self) -> None:
        await asyncio.sleep(0)
        verb, res, key = self._call
        self._fate = ""
        if res == resources.NETWORKS:
            return  # a clock says when these are written: no test counts them
        self._fate = self._api.spoil(verb, res, key)
        if self._fate == "before":
            raise errors.Unreachable(0, "Unreachable", "the request was lost")
        self._api.writes.append((verb, res.kind, key))

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        await asyncio.sleep(0)
        if error is None and self._fate == "after":
            raise errors.Unreachable(0, "Unreachable", "the answer was lost")
