"""Who is told of a change? Watches: a predicate, a form, and a buffer until it is written.

An event is encoded once for all who read the same form. A watcher that does not keep up is
ended, and lists again: that is what its client must be able to do anyway.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from weft.lab.apiserver.store import Change, Item

Predicate = Callable[[Mapping[str, str]], bool]
Encode = Callable[[Item], bytes]
LIMIT = 50_000

_HEAD = {kind: f'{{"type":"{kind}","object":'.encode() for kind in ("ADDED", "MODIFIED", "DELETED")}


def frame(kind: str, body: bytes) -> bytes:
    """One line of a watch stream."""
    return b"".join((_HEAD[kind], body, b"}\n"))


class Watcher:
    """One open watch; `wake` is set when there is something to write, or the end is reached.

    Watches of the same `form` read the same bytes; an empty one shares with nobody.
    """

    def __init__(
        self,
        namespace: str,
        labels: Predicate | None,
        fields: Predicate | None,
        encode: Encode,
        form: str = "",
    ) -> None:
        self._namespace = namespace
        self._labels = labels
        self._fields = fields
        self.encode = encode
        self._form = form
        self._buffer: list[bytes] = []
        self.revision = 0
        self.ended = False
        self.wake = asyncio.Event()

    def chooses(self, item: Item) -> bool:
        if self._namespace and item.key[0] != self._namespace:
            return False
        if self._fields is not None and not self._fields(item.fields):
            return False
        return self._labels is None or self._labels(item.labels)

    def offer(self, change: Change) -> None:
        """Take a change in if it concerns what this watch chooses and is new to it."""
        if change.revision <= self.revision:
            return
        self.revision = change.revision
        kind = self._seen_as(change)
        if kind is None:
            return
        self._buffer.append(self._frame(kind, change))
        if len(self._buffer) > LIMIT:
            self.end()
        self.wake.set()

    def _frame(self, kind: str, change: Change) -> bytes:
        """The line for this event, made once for all watches of the same form."""
        if not self._form:
            return frame(kind, self.encode(change.item))
        found = change.frames.get((self._form, kind))
        if found is None:
            found = change.frames[self._form, kind] = frame(kind, self.encode(change.item))
        return found

    def _seen_as(self, change: Change) -> str | None:
        """An object that begins or ceases to match is seen to come or to go."""
        before = change.before is not None and self.chooses(change.before)
        after = change.kind != "DELETED" and self.chooses(change.item)
        if after:
            return "MODIFIED" if before else "ADDED"
        return "DELETED" if before else None

    def take(self) -> bytes:
        """All that waits to be written."""
        data = b"".join(self._buffer)
        self._buffer.clear()
        self.wake.clear()
        return data

    def end(self) -> None:
        self.ended = True
        self.wake.set()


class Hub:
    """The open watches of each collection."""

    def __init__(self) -> None:
        self._watchers: dict[str, set[Watcher]] = {}
        self.revision = 0

    def add(self, collection: str, watcher: Watcher) -> None:
        self._watchers.setdefault(collection, set()).add(watcher)

    def discard(self, collection: str, watcher: Watcher) -> None:
        self._watchers.get(collection, set()).discard(watcher)

    def publish(self, change: Change) -> None:
        self.revision = change.revision
        for watcher in self._watchers.get(change.collection, ()):
            watcher.offer(change)
        change.frames.clear()  # history keeps the change for long

    def end(self, collection: str) -> None:
        for watcher in self._watchers.pop(collection, set()):
            watcher.end()

    def end_all(self) -> None:
        for collection in list(self._watchers):
            self.end(collection)
