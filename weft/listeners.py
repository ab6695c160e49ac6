"""Which readers hear of changes, and how is a change repeated that a reader failed on?

A reader that raises an exception is told again, with back-off, until it takes the change in: it is
owed what it has not heard. Meanwhile others are told as ever, and `trouble` says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")
# Called with a key and what is behind it before and after; None where nothing is.
Listener = Callable[[str, T | None, T | None], None]
# The steps that lead from one to the other, as readers expect them: one after another.
Steps = Callable[[T | None, T | None], Iterable[tuple[T | None, T | None]]]

PAUSES = (0.2, 10.0)  # first and longest, in seconds

log = logging.getLogger(__name__)


def one_step(old: T | None, new: T | None) -> Iterable[tuple[T | None, T | None]]:
    return () if old is None and new is None else ((old, new),)


class Listeners(Generic[T]):
    """The readers of one kind of thing; `current` says what is behind a key now."""

    def __init__(
        self, what: str, current: Callable[[str], T | None], steps: Steps[T] = one_step
    ) -> None:
        self._what = what
        self._current = current
        self._steps = steps
        self._listeners: list[Listener[T]] = []
        # What a reader was told last of a key that it is owed the rest of.
        self._owed: dict[tuple[Listener[T], str], T | None] = {}
        self._pause = PAUSES[0]
        self._timer: asyncio.TimerHandle | None = None
        self._said = ""

    def __bool__(self) -> bool:
        return bool(self._listeners)

    @property
    def trouble(self) -> str:
        """Empty while every reader knows all."""
        if not self._owed:
            return ""
        return f"{len(self._owed)} changes of {self._what} are not processed yet: {self._said}"

    def add(self, listener: Listener[T]) -> Callable[[], None]:
        """Have it told from now on; returns how to end it."""
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
        """Tell one reader, who may be owed what went before: then both in one."""
        if self._owed and (listener, key) in self._owed:
            self._settle(listener, key)
            return
        try:
            listener(key, old, new)
        except Exception as error:  # one reader's fault must not cost the others their view
            self._owed[listener, key] = old
            self._failed(key, error)

    def close(self) -> None:
        """Nobody is told anything any more."""
        self._owed.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _settle(self, listener: Listener[T], key: str) -> None:
        """From what the reader was told last to what is there now; step by step."""
        told = self._owed.pop((listener, key))
        for old, new in self._steps(told, self._current(key)):
            try:
                listener(key, old, new)
            except Exception as error:
                self._owed[listener, key] = old
                self._failed(key, error)
                return

    def _failed(self, key: str, error: Exception) -> None:
        said = f"{key}: {error!r}"
        if said != self._said:
            log.error("a reader of %s failed on %s", self._what, key, exc_info=error)
        self._said = said
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._pause, self._again)
            self._pause = min(self._pause * 2, PAUSES[1])

    def _again(self) -> None:
        self._timer = None
        for listener, key in tuple(self._owed):
            if (listener, key) in self._owed:  # a reader may have ended meanwhile
                self._settle(listener, key)
        if not self._owed:
            self._pause, self._said = PAUSES[0], ""
