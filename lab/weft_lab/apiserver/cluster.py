"""Holds the state of the server: store, registry, journal and watches.

Every change is made here: sealed, recorded, journalled, then published. writes.py and deletion.py
decide whether a change is allowed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from weft_lab.apiserver import items, sqlite, status, store, structural, watch
from weft_lab.apiserver.resources import Object, Registry, Resource, Version
from weft_lab.apiserver.schemas import definitions, notation

Listener = Callable[[store.Change], None]


class Cluster:
    """Everything that requests work on."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.registry = Registry()
        self.hub = watch.Hub()
        self.journal = sqlite.Journal(connection, self._publish)
        self.store = store.Store(self.journal.revision())
        self.listeners: list[Listener] = []
        self._compiler = structural.Compiler(definition)
        self._nodes: dict[tuple[str, str], tuple[Version, structural.Node]] = {}

    def _publish(self, change: store.Change) -> None:
        self.hub.publish(change)
        for listener in self.listeners:
            listener(change)

    def install(self, resource: Resource) -> None:
        """Offer a resource, with whatever objects the journal holds of it."""
        self.registry.add(resource)
        if resource.id not in self.store.collections:
            kept = (items.unseal(resource, body) for body in self.journal.bodies(resource.id))
            self.store.load(resource.id, kept)

    def withdraw(self, name: str) -> None:
        """Stop serving a resource whose objects are gone."""
        self.registry.remove(name)
        self.hub.end(name)
        self.store.drop(name)

    def node(self, resource: Resource, version: Version) -> structural.Node:
        """The compiled schema of a version."""
        key = resource.id, resource.api_version(version)
        known = self._nodes.get(key)
        if known is None or known[0] is not version:
            known = self._nodes[key] = version, self._compiler.compile(version.schema)
        return known[1]

    def collection(self, resource: Resource) -> store.Collection:
        return self.store.collection(resource.id)

    def put(
        self, resource: Resource, obj: Object, before: store.Item | None, *, limit: int = 0
    ) -> store.Item:
        """Store an object, which is in its stored form; durable once the journal says so.

        limit: the most bytes that an object may have, 0 for any number.
        """
        item = items.seal(resource, obj, self.store.revision + 1)
        if limit and len(item.body) > limit:
            why = f"the object would hold {len(item.body)} bytes; at most {limit} are kept"
            raise status.too_large(why)
        revision = self.store.next_revision()
        kind = "ADDED" if before is None else "MODIFIED"
        self._record(store.Change(revision, kind, resource.id, item, before))
        return item

    def remove(self, resource: Resource, item: store.Item) -> store.Item:
        """Remove an object; watches get its last state with the revision of the deletion."""
        revision = self.store.next_revision()
        last = item.at(revision)
        self._record(store.Change(revision, "DELETED", resource.id, last, item))
        return last

    def _record(self, change: store.Change) -> None:
        self.store.record(change)
        self.journal.add(change)


def definition(name: str) -> notation.Schema:
    """A built-in definition by its full name."""
    return definitions.builtin()[name]
