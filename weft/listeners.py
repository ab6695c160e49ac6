"""Calls listeners with each change, and repeats a change for a listener that fails on it.

A listener that raises an exception gets the change again, with back-off, until it accepts it. Other
listeners get their changes meanwhile, and `trouble` reports the failure.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
# Called with a key and its value before and after the change; None for no value.
Listener = Callable[[K, T | None, T | None], None]
# The intermediate steps from the old value to the new one, in the order that listeners expect.
Steps = Callable[[T | None, T | None], Iterable[tuple[T | None, T | None]]]

PAUSES = (0.2, 10.0)  # first and longest, in seconds

log = logging.getLogger(__name__)


def one_step(old: T | None, new: T | None) -> Iterable[tuple[T | None, T | None]]:
    return () if old is None and new is None else ((old, new),)


class Listeners(Generic[K, T]):
    """The listeners to one kind of object; `current` returns a key's value now."""

    def __init__(
        self, what: str, current: Callable[[K], T | None], steps: Steps[T] = one_step
    ) -> None:
        self._what = what
        self._current = current
        self._steps = steps
        self._listeners: list[Listener[K, T]] = []
        # By listener and key: the last value that it accepted, while it lacks a later one.
        self._pending: dict[tuple[Listener[K, T], K], T | None] = {}
        self._pause = PAUSES[0]
        self._timer: asyncio.TimerHandle | None = None
        self._error = ""

    def __bool__(self) -> bool:
        return bool(self._listeners)

    @property
    def trouble(self) -> str:
        """Why some listener lacks a change; empty if none does."""
        if not self._pending:
            return ""
        return f"{len(self._pending)} changes of {self._what} are not processed yet: {self._error}"

    def add(self, listener: Listener[K, T]) -> Callable[[], None]:
        """Calls `listener` with changes from now on; returns the function that removes it."""
        self._listeners.append(listener)

        def remove() -> None:
            self._listeners.remove(listener)
            for late in [late for late in self._pending if late[0] == listener]:
                del self._pending[late]

        return remove

    def notify(self, key: K, old: T | None, new: T | None) -> None:
        for listener in tuple(self._listeners):
            self.notify_one(listener, key, old, new)

    def notify_one(self, listener: Listener[K, T], key: K, old: T | None, new: T | None) -> None:
        """Calls one listener. If it lacks an earlier change of the key, it gets both as one."""
        if self._pending and (listener, key) in self._pending:
            self._settle(listener, key)
            return
        try:
            listener(key, old, new)
        except Exception as error:  # one listener's mistake must not keep changes from the others
            self._pending[listener, key] = old
            self._failed(key, error)

    def close(self) -> None:
        """Removes all listeners."""
        self._pending.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _settle(self, listener: Listener[K, T], key: K) -> None:
        """Brings a listener from the value that it accepted last to the current one."""
        last = self._pending.pop((listener, key))
        for old, new in self._steps(last, self._current(key)):
            try:
                listener(key, old, new)
            except Exception as error:
                self._pending[listener, key] = old
                self._failed(key, error)
                return

    def _failed(self, key: K, error: Exception) -> None:
        message = f"{key}: {error!r}"
        if message != self._error:
            log.error("a listener to %s failed on %s", self._what, key, exc_info=error)
        self._error = message
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._pause, self._again)
            self._pause = min(self._pause * 2, PAUSES[1])

    def _again(self) -> None:
        self._timer = None
        for listener, key in tuple(self._pending):
            if (listener, key) in self._pending:  # the listener may have been removed meanwhile
                self._settle(listener, key)
        if not self._pending:
            self._pause, self._error = PAUSES[0], ""
