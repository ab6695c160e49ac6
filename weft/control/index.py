"""An index that holds a key for as long as anything belongs to it."""

from __future__ import annotations

from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")


def discard(index: dict[K, set[V]], key: K, value: V) -> bool:
    """Take a value from those of a key; whether none is left."""
    values = index.get(key)
    if values is None:
        return False
    values.discard(value)
    if values:
        return False
    del index[key]
    return True


def drop(index: dict[K, dict[V, T]], key: K, value: V) -> None:
    """The same where something is said of each value."""
    values = index.get(key)
    if values is not None:
        values.pop(value, None)
        if not values:
            del index[key]
