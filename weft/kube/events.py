"""Writes Events, which `kubectl describe` shows, and counts repeated ones.

Telling never blocks and never fails its caller. What the server does not take now is tried again
for a while, then dropped after a log line; what it can never take is dropped at once.
The same news about the same object is one Event whose count grows, across restarts too, because
an Event's name is derived from what it says.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from weft import errors
from weft.kube.client import AlreadyExists, Client, NotFound
from weft.kube.resources import EVENTS

log = logging.getLogger(__name__)

_LONGEST = 1024  # the API server refuses longer messages
_LONGEST_NAME = 253  # and longer names
_PENDING = 4096  # pieces of news that wait to be sent
_KNOWN = 4096  # Events whose count is remembered
_BURST, _REST = 25, 0.5  # so many in a row, then seconds of rest: 50 a second at most
_RETRIES = (1.0, 60.0)  # seconds between two attempts, doubled
_TRIED = 10  # attempts: some five minutes
_QUIET = 5.0  # seconds between two updates of one Event


@dataclass(frozen=True, slots=True)
class News:
    """What one Event says, and how often since it was last sent."""

    about: tuple[tuple[str, str], ...]  # the involvedObject's fields
    type: str
    reason: str
    message: str
    count: int
    first: str
    last: str
    lasts: bool = False  # what is so still is no news, if an earlier process told it

    @property
    def namespace(self) -> str:
        return dict(self.about).get("namespace") or "default"

    def name(self, component: str) -> str:
        said = repr((self.about, component, self.type, self.reason, self.message))
        digest = hashlib.sha256(said.encode()).hexdigest()[:16]
        # A part of a name ends with a letter or digit, where it is cut too.
        head = dict(self.about)["name"][: _LONGEST_NAME - len(digest) - 1].rstrip(".-")
        return f"{head}.{digest}"


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _moment() -> str:
    """With parts of a second, so that what happened in one stands in its order in kubectl."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def about(obj: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Which object, and which incarnation of it: the fields of an involvedObject."""
    meta = obj["metadata"]
    fields = {
        "apiVersion": obj.get("apiVersion", ""),
        "kind": obj.get("kind", ""),
        "namespace": meta.get("namespace", ""),
        "name": meta["name"],
        "uid": meta.get("uid", ""),
    }
    return tuple((name, value) for name, value in fields.items() if value)


class Recorder:
    """`emit` from anywhere in the loop's thread; `run` sends, as one task of the process."""

    def __init__(self, client: Client, component: str) -> None:
        self._client = client
        self._component = component
        self._pending: OrderedDict[str, News] = OrderedDict()
        self._known: OrderedDict[str, tuple[int, float]] = OrderedDict()  # count, when sent
        self._failed: dict[str, tuple[int, float]] = {}  # attempts, and when the next is due
        self._refused = ""  # what was logged last of Events that were not taken
        self._arrived = asyncio.Event()
        self._flushed = asyncio.Event()
        self._flushed.set()

    @property
    def is_busy(self) -> bool:
        """Whether anything that was told has not been sent."""
        return bool(self._pending)

    async def flushed(self) -> None:
        """Returns when all that was told has been sent or dropped."""
        await self._flushed.wait()

    def emit(
        self,
        obj: Mapping[str, Any],
        type: str,
        reason: str,
        message: str,
        count: int = 1,
        *,
        lasts: bool = False,
    ) -> None:
        """`type` is Normal or Warning; `obj` needs kind, apiVersion and metadata.

        `lasts`: it is so all the while; an Event that is there already says it.
        """
        time = _moment()
        if len(message) > _LONGEST:
            message = message[: _LONGEST - 1] + "…"
        news = News(about(obj), type, reason, message, count, time, time, lasts)
        name = news.name(self._component)
        earlier = self._pending.get(name)
        if earlier is not None:
            news = replace(earlier, count=earlier.count + count, last=time)
        elif len(self._pending) >= _PENDING:
            oldest, dropped = self._pending.popitem(last=False)
            self._failed.pop(oldest, None)
            log.warning("too much to tell: an Event was dropped: %s", dropped.message)
        self._pending[name] = news
        self._flushed.clear()
        self._arrived.set()

    async def run(self) -> None:
        """Sends what is told until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            pause = await self._send_due()
            if not self._pending:
                self._flushed.set()
            if pause:
                # Something was told again too soon: come back when its quiet time is over.
                asyncio.get_running_loop().call_later(pause, self._arrived.set)

    async def _send_due(self) -> float:
        """Sends all that is due; seconds until the next is, or 0 if nothing is left."""
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
                self._remember(name, count, loop.time())
            # It was emitted again while it was sent: keep it, with the newer count.
            left = self._pending.get(name)
            if left is not None and not left.count:
                del self._pending[name]
            sent_now += 1
            if sent_now % _BURST == 0:
                await asyncio.sleep(_REST)
        return pause

    def _due(self, name: str) -> float:
        """When an Event may be sent: some time after it was sent, or could not be."""
        known, failed = self._known.get(name), self._failed.get(name)
        return max(known[1] + _QUIET if known else 0.0, failed[1] if failed else 0.0)

    def _put_back(self, name: str, news: News, error: errors.WeftError, now: float) -> None:
        """Keep what was not taken for another attempt, unless that is pointless."""
        tried = self._failed.pop(name, (0, 0.0))[0] + 1
        left = self._pending.get(name)
        if not error.retry or tried >= _TRIED or left is None:
            log.warning("an Event could not be written: %s: %s", news.message, error)
            return
        if self._refused != str(error):
            self._refused = str(error)
            log.warning("the server refuses Events, trying again: %s", error)
        first, longest = _RETRIES
        self._failed[name] = tried, now + min(first * 2 ** (tried - 1), longest)
        self._pending[name] = replace(left, count=left.count + news.count)

    def _remember(self, name: str, count: int, sent: float) -> None:
        self._known[name] = (count, sent)
        self._known.move_to_end(name)
        while len(self._known) > _KNOWN:
            self._known.popitem(last=False)

    async def _send(self, name: str, news: News) -> int:
        """Writes the Event; its count afterwards."""
        count, _ = self._known.get(name, (0, 0.0))
        if count:
            try:
                return await self._raise_count(name, news, count)
            except NotFound:
                pass  # the server forgets Events after an hour or so
        try:
            await self._client.create(EVENTS, render(name, news, self._component))
        except AlreadyExists:
            there = await self._client.get(EVENTS, name, news.namespace)
            before = int(there.get("count") or 1)
            return before if news.lasts else await self._raise_count(name, news, before)
        return news.count

    async def _raise_count(self, name: str, news: News, before: int) -> int:
        count = before + news.count
        body = {"count": count, "lastTimestamp": news.last}
        await self._client.patch(EVENTS, name, news.namespace, body)
        return count


def render(name: str, news: News, component: str) -> dict[str, Any]:
    """The Event object for a first telling."""
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
