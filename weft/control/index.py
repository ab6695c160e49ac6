"""Removes values from indexes of sets or dicts, and a key with its last value."""

from __future__ import annotations

from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")


def discard(index: dict[K, set[V]], key: K, value: V) -> bool:
    """Removes a value from the set of a key; returns whether the key went with it."""
    values = index.get(key)
    if values is None:
        return False
    values.discard(value)
    if values:
        return False
    del index[key]
    return True


def drop(index: dict[K, dict[V, T]], key: K, value: V) -> None:
    """Does the same for an index of dicts."""
    values = index.get(key)
    if values is not None:
        values.pop(value, None)
        if not values:
            del index[key]
