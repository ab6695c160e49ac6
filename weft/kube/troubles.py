"""Tracks which keys fail for causes outside their objects, and logs each cause once.

Many keys often fail for one cause, such as an API server that does not answer or a missing right. A
cause is logged when the first key fails for it and when no key does any more, not at each attempt.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable
from typing import Generic, TypeVar

from weft import errors
from weft.kube.errors import ApiError, Forbidden, Unauthorized

log = logging.getLogger(__name__)

Key = TypeVar("Key", bound=Hashable)

# Errors of a server or daemon, not of the object.
_OUTSIDE = (errors.Unavailable, Unauthorized, Forbidden)


def is_outside(error: errors.WeftError) -> bool:
    """Whether no change of the object itself can clear the error."""
    return isinstance(error, _OUTSIDE)


def cause(error: errors.WeftError) -> str:
    """The part of an error that is equal for all objects with the same cause."""
    if isinstance(error, ApiError):
        return error.denial or error.message
    return error.what


class Troubles(Generic[Key]):
    """The failing keys of one task; `name` says in logs what it works on."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._causes: dict[Key, str] = {}  # of each key
        self._keys: dict[str, dict[Key, str]] = {}  # by cause and key: the key's error in full

    def __str__(self) -> str:
        """One failure in full, and how many more there are; empty while all is well."""
        if not self._causes:
            return ""
        first = next(iter(next(iter(self._keys.values())).values()))
        others = len(self._causes) - 1
        return f"{first} (and {others} more)" if others else first

    def note(self, key: Key, error: errors.WeftError) -> None:
        """Note that a key failed; an error of the object itself is not a trouble of the process."""
        if not is_outside(error):
            self.clear(key)
            return
        why = cause(error)
        if self._causes.get(key) != why:
            is_news = why not in self._keys
            self._keys.setdefault(why, {})[key] = error.in_full()
            self.clear(key)
            self._causes[key] = why
            if is_news:
                log.warning("%s %s: trying again: %s", self._name, key, error.in_full())
        self._keys[why][key] = error.in_full()

    def clear(self, key: Key) -> None:
        """Note that the key succeeded, or is gone."""
        why = self._causes.pop(key, None)
        if why is None:
            return
        keys = self._keys[why]
        del keys[key]
        if not keys:
            del self._keys[why]
            log.info("%s %s: resolved: %s", self._name, key, why)
