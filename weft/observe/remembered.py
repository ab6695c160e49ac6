"""Remembers what objects mean: pages are made often, and most of what they parse has not changed.

Pure: the same text means the same to everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

import orjson

LONGEST = 8 << 10  # characters: texts are as long as tenants want

T = TypeVar("T")


def by_text(parse: Callable[[Mapping[str, Any]], T], most: int) -> Callable[[Mapping[str, Any]], T]:
    """`parse`, which must not raise, of each short object once; the last `most` are remembered."""

    @lru_cache(maxsize=most)
    def known(text: bytes) -> T:
        return parse(orjson.loads(text))

    def of(obj: Mapping[str, Any]) -> T:
        try:
            text = orjson.dumps(obj, option=orjson.OPT_PASSTHROUGH_DATETIME)
        except TypeError:  # a file may have what no API server takes
            return parse(obj)
        return known(text) if len(text) <= LONGEST else parse(obj)

    return of
