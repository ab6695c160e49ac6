"""Remembers what objects mean: pages are made often, and most of what they show has not changed.

Pure: what is remembered is what would be made again. Nothing here outlives its bound: texts are
counted in characters, what was made of an object ends with the object, and a memo keeps the last
time alone.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar, cast

import orjson

LONGEST = 8 << 10  # characters: texts are as long as tenants want
ENTRY = 64  # characters that each text counts beside its own: there may be any number of short ones

T = TypeVar("T")


class Texts:
    """Results by text, the last ones used: their texts together have at most `most` characters."""

    def __init__(self, most: int) -> None:
        self._most, self._held = most, 0
        self._known: OrderedDict[Hashable, tuple[int, object]] = OrderedDict()
        self._lock = threading.Lock()  # viewers' pages are made in threads

    def of(self, key: Hashable, length: int, make: Callable[[], T]) -> T:
        """What `make` returns for this key, a text of so many characters; it must not raise."""
        if length > LONGEST:
            return make()
        with self._lock:
            found = self._known.get(key)
            if found is not None:
                self._known.move_to_end(key)
                return cast(T, found[1])
        made, length = make(), length + ENTRY
        with self._lock:
            if key not in self._known:
                self._known[key] = length, made
                self._held += length
            while self._held > self._most:
                self._held -= self._known.popitem(last=False)[1][0]
        return made

    def __len__(self) -> int:
        return len(self._known)


def by_text(parse: Callable[[Mapping[str, Any]], T], most: int) -> Callable[[Mapping[str, Any]], T]:
    """`parse`, which must not raise, of each short object once; the last ones are remembered, whose
    JSON has at most `most` characters together."""
    known = Texts(most)

    def of(obj: Mapping[str, Any]) -> T:
        try:
            text = orjson.dumps(obj, option=orjson.OPT_PASSTHROUGH_DATETIME)
        except TypeError:  # a file may have what no API server takes
            return parse(obj)
        return known.of(text, len(text), lambda: parse(obj))

    return of


class Kept(dict[str, Any]):
    """An object that nobody changes any more, with what was made of it; by one thread at a time."""

    __slots__ = ("made",)

    def __init__(self, obj: Mapping[str, Any]) -> None:
        super().__init__(obj)
        self.made: dict[str, tuple[object, object]] = {}


def once(obj: Mapping[str, Any], what: str, given: object, make: Callable[[], T]) -> T:
    """What `make` returns: what was made of the object before, if it was given the same then."""
    if not isinstance(obj, Kept):
        return make()
    known = obj.made.get(what)
    if known is None or known[0] != given:
        known = obj.made[what] = given, make()
    return cast(T, known[1])


class Memo:
    """Results of the last time, each with what it was made of.

    What is compared is large, and mostly the same object as before, which costs no comparison.
    What was not asked for between two calls of `sweep` is forgotten.
    """

    def __init__(self) -> None:
        self._last: dict[Hashable, tuple[object, object]] = {}
        self._now: dict[Hashable, tuple[object, object]] = {}

    def of(self, key: Hashable, given: object, make: Callable[[], T]) -> T:
        """What `make` returns: the last result for the key, if it was made of the same."""
        known = self._now.get(key) or self._last.get(key)
        if known is None or known[0] != given:
            known = given, make()
        self._now[key] = known
        return cast(T, known[1])

    def sweep(self) -> None:
        """Begin a new time."""
        self._last, self._now = self._now, {}

    def clear(self) -> None:
        """Forget all."""
        self._last, self._now = {}, {}

    def __len__(self) -> int:
        return len(self._last) + len(self._now)
