"""Writes Events, which `kubectl describe` shows, and counts repeated ones.

`emit` neither blocks nor fails. An Event that the account may not write waits until it may, and
`trouble` says so. One that the server does not accept for another reason is retried for a while,
then dropped with a log line; one that it can never accept is dropped at once. Equal Events
about one object are one Event with a rising count, even across restarts: an Event's name is derived
from its contents.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from weft import errors
from weft.kube import troubles
from weft.kube.backoff import retry_after
from weft.kube.client import AlreadyExists, ApiError, Client, NotFound
from weft.kube.resources import EVENTS
from weft.reasons import EventReason

log = logging.getLogger(__name__)

_LONGEST = 1024  # the API server refuses longer messages
_LONGEST_NAME = 253  # and longer names
_PENDING = 4096  # Events that wait to be sent
_KNOWN = 4096  # Events whose count is kept
_BURST, _REST = 25, 0.5  # Events in a row, and the pause after them in seconds: 50/s at most
_RETRIES = (1.0, 60.0)  # seconds between two attempts, doubled
_TRIED = 10  # attempts, over about five minutes
_QUIET = 5.0  # seconds between two updates of one Event


@dataclass(frozen=True, slots=True)
class PendingEvent:
    """One Event, and how often it occurred since it was last sent."""

    about: tuple[tuple[str, str], ...]  # the fields of involvedObject
    type: str
    reason: str
    message: str
    count: int
    first: str
    last: str
    lasts: bool = False  # a lasting state: an Event of an earlier process need not count up

    @property
    def namespace(self) -> str:
        """The namespace of its object; `default` for a cluster-wide object."""
        return dict(self.about).get("namespace") or "default"

    def name(self, component: str) -> str:
        """The Event's name: that of its object and a digest of what it says."""
        identity = repr((self.about, component, self.type, self.reason, self.message))
        digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
        # A DNS label must end with a letter or digit, also where the name is cut.
        head = dict(self.about)["name"][: _LONGEST_NAME - len(digest) - 1].rstrip(".-")
        return f"{head}.{digest}"


def now() -> str:
    """The time, RFC 3339, in whole seconds."""
    return _second(int(time.time()))


@lru_cache(maxsize=1)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _moment() -> str:
    """Now, with fractions of a second, so that kubectl shows Events in their order."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def about(obj: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The fields of an involvedObject, with the object's uid."""
    meta = obj["metadata"]
    fields = {
        "apiVersion": obj.get("apiVersion", ""),
        "kind": obj.get("kind", ""),
        "namespace": meta.get("namespace", ""),
        "name": meta["name"],
        "uid": meta.get("uid", ""),
    }
    return tuple((name, value) for name, value in fields.items() if value)


def _pause(tried: int, error: errors.WeftError) -> float:
    """Seconds until the next attempt."""
    first, longest = _RETRIES
    pause = min(first * 2.0 ** min(tried - 1, 16), longest)
    return max(pause * random.uniform(0.75, 1.0), retry_after(error))


class Recorder:
    """Queues and sends Events: call `emit` in the loop's thread, and `run` as one task."""

    def __init__(self, client: Client, component: str) -> None:
        self._client = client
        self._component = component
        self._pending: OrderedDict[str, PendingEvent] = OrderedDict()
        self._known: OrderedDict[str, tuple[int, float]] = OrderedDict()  # count, time of sending
        self._failed: dict[str, tuple[int, float]] = {}  # attempts, and time of the next one
        self._refused = ""  # the error that was last logged
        self._denied = troubles.Troubles[str]("Events of namespace")
        self._denials: dict[str, tuple[int, float]] = {}  # of namespaces, as in _failed
        self._arrived = asyncio.Event()
        self._flushed = asyncio.Event()
        self._flushed.set()

    @property
    def trouble(self) -> str:
        """The right that is missing to write Events; else empty."""
        return str(self._denied)

    @property
    def is_busy(self) -> bool:
        """Whether an Event waits to be sent."""
        return bool(self._pending)

    async def flushed(self) -> None:
        """Wait until all Events are sent or dropped."""
        await self._flushed.wait()

    def emit(
        self,
        obj: Mapping[str, Any],
        reason: EventReason,
        message: str,
        count: int = 1,
    ) -> None:
        """Queue an Event about `obj`, of which it reads kind, apiVersion and metadata."""
        time = _moment()
        if len(message) > _LONGEST:
            message = message[: _LONGEST - 1] + "…"
        news = PendingEvent(
            about(obj), reason.type, reason, message, count, time, time, reason.lasts
        )
        name = news.name(self._component)
        earlier = self._pending.get(name)
        if earlier is not None:
            news = replace(earlier, count=earlier.count + count, last=time)
        elif len(self._pending) >= _PENDING:
            oldest, dropped = self._pending.popitem(last=False)
            self._failed.pop(oldest, None)
            log.warning("too many Events are pending, one is dropped: %s", dropped.message)
        self._pending[name] = news
        self._flushed.clear()
        self._arrived.set()

    async def run(self) -> None:
        """Send Events until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            pause = await self._send_due()
            if not self._pending:
                self._flushed.set()
            if pause:
                # An Event was emitted again too soon: come back when its pause ends.
                asyncio.get_running_loop().call_later(pause, self._arrived.set)

    async def _send_due(self) -> float:
        """Send all Events that are due; seconds until the next one is, 0 if none is left."""
        loop = asyncio.get_running_loop()
        pause, sent_now = 0.0, 0
        for name in list(self._pending):
            quiet = self._due(name) - loop.time()
            if quiet > 0:
                pause = min(pause or quiet, quiet)
                continue
            news = self._pending.get(name)
            if news is None:
                continue  # dropped meanwhile
            self._pending[name] = replace(news, count=0)
            try:
                count = await self._send(name, news)
            except errors.WeftError as error:
                self._put_back(name, news, error, loop.time())
                pause = min(pause or _RETRIES[0], _RETRIES[0])
            else:
                self._failed.pop(name, None)
                self._refused = ""
                self._allow(news.namespace)
                self._remember(name, count, loop.time())
            # It was emitted again during the request: keep it, with the newer count.
            left = self._pending.get(name)
            if left is not None and not left.count:
                del self._pending[name]
            sent_now += 1
            if sent_now % _BURST == 0:
                await asyncio.sleep(_REST)
        return pause

    def _due(self, name: str) -> float:
        """When an Event may be sent: after a pause since it was last sent, or failed."""
        known, failed = self._known.get(name), self._failed.get(name)
        denied = self._denials.get(self._pending[name].namespace) if self._denials else None
        return max(
            known[1] + _QUIET if known else 0.0,
            failed[1] if failed else 0.0,
            denied[1] if denied else 0.0,
        )

    def _put_back(self, name: str, news: PendingEvent, error: errors.WeftError, now: float) -> None:
        """Keep an Event for another attempt, unless it can never succeed."""
        left = self._pending.get(name)
        if left is not None and isinstance(error, ApiError) and error.denial:
            self._deny(news.namespace, error, now)
            self._pending[name] = replace(left, count=left.count + news.count)
            return
        tried = self._failed.pop(name, (0, 0.0))[0] + 1
        if not error.retry or tried >= _TRIED or left is None:
            log.warning("an Event could not be written: %s: %s", news.message, error)
            return
        if self._refused != str(error):
            self._refused = str(error)
            log.warning("the server refuses Events, trying again: %s", error)
        self._failed[name] = tried, now + _pause(tried, error)
        self._pending[name] = replace(left, count=left.count + news.count)

    def _deny(self, namespace: str, error: ApiError, now: float) -> None:
        """Note that the account may not write there: one Event is retried, the others wait for
        it."""
        tried = self._denials.get(namespace, (0, 0.0))[0] + 1
        self._denials[namespace] = tried, now + _pause(tried, error)
        self._denied.note(namespace, error)

    def _allow(self, namespace: str) -> None:
        self._denials.pop(namespace, None)
        self._denied.clear(namespace)

    def _remember(self, name: str, count: int, sent: float) -> None:
        self._known[name] = (count, sent)
        self._known.move_to_end(name)
        while len(self._known) > _KNOWN:
            self._known.popitem(last=False)

    async def _send(self, name: str, news: PendingEvent) -> int:
        """Write the Event; returns its new count."""
        count, _ = self._known.get(name, (0, 0.0))
        if count:
            try:
                return await self._raise_count(name, news, count)
            except NotFound:
                pass  # the server deletes Events after an hour or so
        try:
            await self._client.create(EVENTS, render(name, news, self._component))
        except AlreadyExists:
            there = await self._client.get(EVENTS, name, news.namespace)
            before = int(there.get("count") or 1)
            return before if news.lasts else await self._raise_count(name, news, before)
        return news.count

    async def _raise_count(self, name: str, news: PendingEvent, before: int) -> int:
        count = before + news.count
        body = {"count": count, "lastTimestamp": news.last}
        await self._client.patch(EVENTS, name, news.namespace, body)
        return count


def render(name: str, news: PendingEvent, component: str) -> dict[str, Any]:
    """The Event object for its first occurrence."""
    return {
        "apiVersion": EVENTS.api_version,
        "kind": EVENTS.kind,
        "metadata": {"name": name, "namespace": news.namespace},
        "involvedObject": dict(news.about),
        "type": news.type,
        "reason": news.reason,
        "message": news.message,
        "count": news.count,
        "firstTimestamp": news.first,
        "lastTimestamp": news.last,
        "source": {"component": component},
        "reportingComponent": component,
        "reportingInstance": "",
    }
