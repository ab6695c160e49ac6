"""Holds all objects and their latest changes in memory; every read is answered from here.

An object is its JSON, encoded once, beside the fields that selectors and garbage collection read;
code that needs more parses the bytes. Nothing here awaits or does I/O: the journal makes changes
durable.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

Key = tuple[str, str]
HISTORY = 10_000  # changes of one type, at most
HISTORY_SIZE = 64 * 1024 * 1024  # and bytes of the objects in them


@dataclass(frozen=True, slots=True)
class Item:
    """One version of one object; never changed, only replaced."""

    key: Key
    uid: str
    revision: int
    body: bytes
    labels: Mapping[str, str]
    fields: Mapping[str, str]
    owners: tuple[str, ...]
    deleting: bool
    converted: dict[str, bytes]

    def parse(self) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(self.body)
        return found

    def at(self, revision: int) -> Item:
        """The same state under another revision, as a watch gets it of a deletion."""
        obj = self.parse()
        obj["metadata"]["resourceVersion"] = str(revision)
        return replace(self, revision=revision, body=orjson.dumps(obj), converted={})


@dataclass(frozen=True, slots=True)
class Change:
    """ADDED, MODIFIED or DELETED; of a deletion `item` is the last state under a new revision."""

    revision: int
    kind: str
    collection: str
    item: Item
    before: Item | None
    frames: dict[tuple[str, str], bytes] = field(default_factory=dict)


@dataclass(slots=True)
class Collection:
    """All objects of one resource, and their recent changes."""

    name: str
    oldest: int = 0
    items: dict[Key, Item] = field(default_factory=dict)
    history: deque[Change] = field(default_factory=deque)
    _order: list[Key] | None = None
    _size: int = 0

    def keys(self) -> list[Key]:
        """All keys by namespace, then name: the order of every list."""
        if self._order is None:
            self._order = sorted(self.items)
        return self._order

    def select(self, namespace: str) -> list[Item]:
        """The objects of one namespace, or of all, in order."""
        keys = self.keys()
        if namespace:
            first = bisect_left(keys, (namespace, ""))
            last = bisect_left(keys, (namespace + "\0", ""))
            keys = keys[first:last]
        items = self.items
        return [items[key] for key in keys]

    def since(self, revision: int) -> list[Change] | None:
        """Changes after `revision`; None when some of them are no longer kept."""
        if revision < self.oldest:
            return None
        found: list[Change] = []
        for change in reversed(self.history):
            if change.revision <= revision:
                break
            found.append(change)
        found.reverse()
        return found

    def record(self, change: Change) -> None:
        key = change.item.key
        if change.kind == "DELETED":
            del self.items[key]
            self._order = None
        else:
            if key not in self.items:
                self._order = None
            self.items[key] = change.item
        self.history.append(change)
        self._size += len(change.item.body)
        while len(self.history) > HISTORY or self._size > HISTORY_SIZE:
            gone = self.history.popleft()
            self.oldest = gone.revision
            self._size -= len(gone.item.body)


class Store:
    """Collections by name, one revision counter over all, and who owns whom."""

    def __init__(self, revision: int = 1) -> None:
        self.revision = revision
        self.collections: dict[str, Collection] = {}
        self.by_uid: dict[str, tuple[str, Key]] = {}
        self.dependents: dict[str, set[tuple[str, Key]]] = {}

    def collection(self, name: str) -> Collection:
        found = self.collections.get(name)
        if found is None:
            found = self.collections[name] = Collection(name, oldest=self.revision)
        return found

    def load(self, name: str, items: Iterable[Item]) -> None:
        """Load the objects of the journal, without history."""
        collection = self.collection(name)
        collection.oldest = self.revision
        for item in items:
            collection.items[item.key] = item
            self._index(name, None, item)
        collection._order = None

    def next_revision(self) -> int:
        self.revision += 1
        return self.revision

    def record(self, change: Change) -> None:
        """Make a change visible to reads and to watches that start later."""
        self.collection(change.collection).record(change)
        after = None if change.kind == "DELETED" else change.item
        self._index(change.collection, change.before, after)

    def drop(self, name: str) -> None:
        """Forget a whole collection: its type is gone."""
        collection = self.collections.pop(name, None)
        for item in collection.items.values() if collection else ():
            self._index(name, item, None)

    def _index(self, name: str, before: Item | None, after: Item | None) -> None:
        if before is not None and (after is None or before.owners != after.owners):
            for owner in before.owners:
                self.dependents.get(owner, set()).discard((name, before.key))
        if before is not None and after is None:
            self.by_uid.pop(before.uid, None)
            if not self.dependents.get(before.uid, True):
                del self.dependents[before.uid]
        if after is not None:
            self.by_uid[after.uid] = (name, after.key)
            for owner in after.owners:
                self.dependents.setdefault(owner, set()).add((name, after.key))
