"""The API server's inside without its outside: a cluster in memory, called directly."""

from __future__ import annotations

import asyncio
import sqlite3
from copy import deepcopy
from typing import Any

from weft_lab.apiserver import (
    builtin,
    deletes,
    deletion,
    patches,
    seed,
    sqlite,
    status,
    store,
    writes,
)
from weft_lab.apiserver.cluster import Cluster
from weft_lab.apiserver.lifecycle import Lifecycle

Object = dict[str, Any]
WRITE = writes.Options(manager="test")


class World:
    """A cluster with its collectors; make it inside a running loop, then `await settle()`."""

    def __init__(self, connection: sqlite3.Connection | None = None) -> None:
        connection = connection or sqlite3.connect(":memory:", isolation_level=None)
        connection.executescript(sqlite.SCHEMA)
        self.cluster = Cluster(connection)
        self.lifecycle = Lifecycle(self.cluster)
        self.cluster.listeners.append(self.lifecycle.listen)
        builtin.fill_cluster(self.cluster)

    @classmethod
    async def begin(cls) -> World:
        world = cls()
        await seed.namespaces(world.cluster)
        await world.settle()
        return world

    async def settle(self) -> None:
        """Let the collectors do all that is due."""
        await self.cluster.journal.durable()
        while self.lifecycle.pending:
            self.lifecycle.work()
            await self.cluster.journal.durable()
            await asyncio.sleep(0)

    def target(self, plural: str, name: str = "", namespace: str = "default") -> writes.Target:
        for resource in self.cluster.registry:
            if plural in {resource.plural, resource.id}:
                where = namespace if resource.namespaced else ""
                version = resource.version(resource.storage)
                return writes.Target(resource, version, where, name)
        raise AssertionError(f"no resource {plural}")

    def create(self, plural: str, obj: Object, namespace: str = "default", **more: Any) -> Object:
        options = writes.Options(manager="test", **more)
        target = self.target(plural, namespace=namespace)
        return writes.create(self.cluster, target, obj, options).parse()

    def get(self, plural: str, name: str, namespace: str = "default") -> Object | None:
        target = self.target(plural, name, namespace)
        item = self.item(target)
        return item.parse() if item else None

    def item(self, target: writes.Target) -> store.Item | None:
        key = target.namespace, target.name
        return self.cluster.collection(target.resource).items.get(key)

    def update(self, plural: str, obj: Object, subresource: str = "") -> Object:
        meta = obj["metadata"]
        target = self.target(plural, meta["name"], meta.get("namespace", ""))
        target.subresource = subresource
        return writes.update(self.cluster, target, deepcopy(obj), WRITE).parse()

    def patch(self, plural: str, name: str, media: str, body: Any, **more: Any) -> Object:
        options = writes.Options(**{"manager": "test", **more})
        target = self.target(plural, name)
        return patches.patch(self.cluster, target, media, body, options)[0].parse()

    def delete(self, plural: str, name: str, namespace: str = "default", **how: Any) -> bool:
        """Whether the object is gone at once."""
        target = self.target(plural, name, namespace)
        item = writes.find(self.cluster, target)
        request = deletion.Request(**how)
        return deletes.delete(self.cluster, target.resource, item, request)[1]

    def delete_is_not_found(self, plural: str, name: str) -> bool:
        try:
            self.delete(plural, name)
        except status.ApiError as error:
            return error.code == 404
        return False


def pod(name: str = "web", **spec: Any) -> Object:
    containers = [{"name": "main", "image": "busybox:1"}]
    return {"metadata": {"name": name}, "spec": {"containers": containers, **spec}}


def config(name: str = "c", **meta: Any) -> Object:
    return {"metadata": {"name": name, **meta}, "data": {"a": "1"}}


def crd(schema: Object | None = None, **version: Any) -> Object:
    """A definition of widgets.example.com with one version, v1."""
    spec = {"type": "object", "properties": {"spec": schema or {"type": "object"}}}
    one = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": spec}}
    return {
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"]},
            "versions": [{**one, **version}],
        },
    }
