"""Queues object keys to be processed, with retries.

It queues keys, not events: a key that is added several times is processed once, by one worker, and
again if it was added meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from weft import errors
from weft.kube import backoff, troubles

log = logging.getLogger(__name__)

Key = TypeVar("Key", bound=Hashable)
Reconcile = Callable[[Key], Awaitable[None]]
OnError = Callable[[Key, errors.WeftError], None]


class Queue(Generic[Key]):
    """Keys of objects to process, each at most once at a time. A key's `str` is for the log.

    `on_error(key, error)` gets every WeftError. A key whose error has `retry` is processed again
    after `first_pause` seconds, doubled with each failure in a row up to `longest_pause`. `add`
    brings it back at once, so `longest_pause` is only a safety net.
    """

    def __init__(
        self,
        name: str = "",
        *,
        on_error: OnError[Key] | None = None,
        first_pause: float = 0.02,
        longest_pause: float = 30.0,
    ) -> None:
        self._name = name
        self._on_error = on_error
        self._pauses = (first_pause, longest_pause)
        self._ready: asyncio.Queue[Key] = asyncio.Queue()
        self._queued: set[Key] = set()
        self._running: set[Key] = set()
        self._again: set[Key] = set()
        self._later: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}
        self._troubles = troubles.Troubles[Key](name)
        self._last_errors: dict[Key, str] = {}  # of each key that is retried
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        """Keys that are due or in work, without those that wait for a later time."""
        return len(self._queued) + len(self._running)

    @property
    def trouble(self) -> str:
        """A key that fails for a reason outside its object, and that reason; else empty."""
        return str(self._troubles)

    def add(self, key: Key, after: float = 0.0) -> None:
        """Process `key` in `after` seconds; of several calls the earliest time counts."""
        if after > 0:
            if key not in self._queued and key not in self._again:
                self._add_later(key, after)
            return
        timer = self._later.pop(key, None)
        if timer is not None:
            timer.cancel()
        if key in self._running:
            self._again.add(key)
        elif key not in self._queued:
            self._queued.add(key)
            self._idle.clear()
            self._ready.put_nowait(key)

    def _add_later(self, key: Key, after: float) -> None:
        loop = asyncio.get_running_loop()
        timer = self._later.get(key)
        if timer is not None:
            if timer.when() <= loop.time() + after:
                return
            timer.cancel()
        self._later[key] = loop.call_later(after, self.add, key)

    async def idle(self) -> None:
        """Wait until no key is due or in work."""
        await self._idle.wait()

    async def run(self, reconcile: Reconcile[Key], workers: int = 1) -> None:
        """Process keys until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(self._work(reconcile))
        finally:
            for timer in self._later.values():
                timer.cancel()
            self._later.clear()

    async def _work(self, reconcile: Reconcile[Key]) -> None:
        while True:
            key = await self._ready.get()
            self._queued.discard(key)
            self._running.add(key)
            try:
                await reconcile(key)
            except errors.WeftError as error:
                self._failed(key, error.retry, backoff.retry_after(error))
                self._troubles.note(key, error)
                self._log(key, error)
            except Exception:  # a mistake in the code must not stop the other keys
                log.exception("%s %s: unexpected failure, trying again later", self._name, key)
                self._failed(key, retry=True)
            else:
                self._failures.pop(key, None)
                self._troubles.clear(key)
                self._last_errors.pop(key, None)
            finally:
                self._running.discard(key)
            if key in self._again:
                self._again.discard(key)
                self.add(key)
            if not self._queued and not self._running:
                self._idle.set()

    def _log(self, key: Key, error: errors.WeftError) -> None:
        """Log an error of the object itself, once until the error changes."""
        if self._on_error is not None:
            self._on_error(key, error)
            return
        if not troubles.is_outside(error) and self._last_errors.get(key) != str(error):
            log.info("%s %s: %s", self._name, key, error)
        if error.retry:
            self._last_errors[key] = str(error)

    def _failed(self, key: Key, retry: bool, retry_after: float = 0.0) -> None:
        """Process the key again later; `retry_after` is the server's Retry-After in seconds."""
        if not retry:
            self._failures.pop(key, None)
            return
        count = self._failures.get(key, 0)
        self._failures[key] = min(count + 1, 32)
        first, longest = self._pauses
        # A random pause, so that keys that failed together do not retry together.
        pause = min(first * 2**count, longest) * random.uniform(0.75, 1.0)
        self._add_later(key, max(pause, retry_after * random.uniform(1.0, 1.25)))
