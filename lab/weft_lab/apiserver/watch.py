"""Sends changes to watches; each has a selector, a form, and a buffer until it is written.

An event is encoded once for all watches of the same form. A watch whose client does not keep up is
ended; the client then lists again, as after any end of a watch.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from weft_lab.apiserver.store import Change, Item

_LOG = logging.getLogger(__name__)

Predicate = Callable[[Mapping[str, str]], bool]
Encode = Callable[[Item], bytes]
LIMIT = 50_000  # lines that wait to be written, at most
SIZE_LIMIT = 64 * 1024 * 1024  # and bytes

_KINDS = ("ADDED", "MODIFIED", "DELETED", "BOOKMARK")
_HEAD = {kind: f'{{"type":"{kind}","object":'.encode() for kind in _KINDS}


def frame(kind: str, body: bytes) -> bytes:
    """One line of a watch stream."""
    return b"".join((_HEAD[kind], body, b"}\n"))


class Watcher:
    """One open watch; `wake` is set when there is something to write, or the end is reached.

    Watches of the same `form` share encoded lines; one with an empty form shares none.
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
        self._size = 0
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
        if self.ended or change.revision <= self.revision:
            return
        self.revision = change.revision
        kind = self._seen_as(change)
        if kind is None:
            return
        line = self._line(kind, change)
        self._buffer.append(line)
        self._size += len(line)
        if len(self._buffer) > LIMIT or self._size > SIZE_LIMIT:
            self._buffer.clear()  # the client lists again, so it does not need these lines
            self.end()
        self.wake.set()

    def _line(self, kind: str, change: Change) -> bytes:
        """The line for this event, made once for all watches of the same form."""
        found = change.frames.get((self._form, kind)) if self._form else None
        if found is None:
            found = frame(kind, self.encode(_event(kind, change)))
            if self._form:
                change.frames[self._form, kind] = found
        return found

    def _seen_as(self, change: Change) -> str | None:
        """The event as a selector sees it: an object that begins to match is ADDED, and so on."""
        before = change.before is not None and self.chooses(change.before)
        after = change.kind != "DELETED" and self.chooses(change.item)
        if after:
            return "MODIFIED" if before else "ADDED"
        return "DELETED" if before else None

    def take(self) -> bytes:
        """All that waits to be written."""
        data = b"".join(self._buffer)
        self._buffer.clear()
        self._size = 0
        self.wake.clear()
        return data

    def end(self) -> None:
        self.ended = True
        self.wake.set()


def _event(kind: str, change: Change) -> Item:
    """The item to show; for an object that ceases to match, its last matching state."""
    if kind == "DELETED" and change.kind != "DELETED" and change.before is not None:
        return change.before.at(change.revision)
    return change.item


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
            try:
                watcher.offer(change)
            except Exception:  # an object that cannot be shown is news for all others still
                _LOG.exception("%s %s cannot be shown", change.collection, change.item.key)
                watcher.end()
        change.frames.clear()  # history keeps the change for long

    def end(self, collection: str) -> None:
        for watcher in self._watchers.pop(collection, set()):
            watcher.end()

    def end_all(self) -> None:
        for collection in list(self._watchers):
            self.end(collection)
