"""Tells readers of changes, and repeats a change for a reader that fails on it.

A reader that raises an exception gets the change again, with back-off, until it accepts it. Other
readers get their changes meanwhile, and `trouble` reports the failure.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")
# Called with a key and its value before and after the change; None for no value.
Listener = Callable[[str, T | None, T | None], None]
# The intermediate steps from the old value to the new one, in the order that readers expect.
Steps = Callable[[T | None, T | None], Iterable[tuple[T | None, T | None]]]

PAUSES = (0.2, 10.0)  # first and longest, in seconds

log = logging.getLogger(__name__)


def one_step(old: T | None, new: T | None) -> Iterable[tuple[T | None, T | None]]:
    return () if old is None and new is None else ((old, new),)


class Listeners(Generic[T]):
    """The readers of one kind of object; `current` returns a key's value now."""

    def __init__(
        self, what: str, current: Callable[[str], T | None], steps: Steps[T] = one_step
    ) -> None:
        self._what = what
        self._current = current
        self._steps = steps
        self._listeners: list[Listener[T]] = []
        # By reader and key: the last value that the reader accepted, while it lacks a later one.
        self._owed: dict[tuple[Listener[T], str], T | None] = {}
        self._pause = PAUSES[0]
        self._timer: asyncio.TimerHandle | None = None
        self._said = ""

    def __bool__(self) -> bool:
        return bool(self._listeners)

    @property
    def trouble(self) -> str:
        """Why some reader lacks a change; empty if none does."""
        if not self._owed:
            return ""
        return f"{len(self._owed)} changes of {self._what} are not processed yet: {self._said}"

    def add(self, listener: Listener[T]) -> Callable[[], None]:
        """Tell `listener` of changes from now on; returns the function that removes it."""
        self._listeners.append(listener)

        def remove() -> None:
            self._listeners.remove(listener)
            for debt in [debt for debt in self._owed if debt[0] == listener]:
                del self._owed[debt]

        return remove

    def tell(self, key: str, old: T | None, new: T | None) -> None:
        for listener in tuple(self._listeners):
            self.tell_one(listener, key, old, new)

    def tell_one(self, listener: Listener[T], key: str, old: T | None, new: T | None) -> None:
        """Tell one reader. If it lacks an earlier change of the key, it gets both as one."""
        if self._owed and (listener, key) in self._owed:
            self._settle(listener, key)
            return
        try:
            listener(key, old, new)
        except Exception as error:  # one reader's mistake must not keep changes from the others
            self._owed[listener, key] = old
            self._failed(key, error)

    def close(self) -> None:
        """Remove all readers."""
        self._owed.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _settle(self, listener: Listener[T], key: str) -> None:
        """Bring a reader from the last value that it accepted to the current one, step by step."""
        last = self._owed.pop((listener, key))
        for old, new in self._steps(last, self._current(key)):
            try:
                listener(key, old, new)
            except Exception as error:
                self._owed[listener, key] = old
                self._failed(key, error)
                return

    def _failed(self, key: str, error: Exception) -> None:
        message = f"{key}: {error!r}"
        if message != self._said:
            log.error("a reader of %s failed on %s", self._what, key, exc_info=error)
        self._said = message
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._pause, self._again)
            self._pause = min(self._pause * 2, PAUSES[1])

    def _again(self) -> None:
        self._timer = None
        for listener, key in tuple(self._owed):
            if (listener, key) in self._owed:  # the reader may have been removed meanwhile
                self._settle(listener, key)
        if not self._owed:
            self._pause, self._said = PAUSES[0], ""
