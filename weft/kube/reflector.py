"""Follows the objects of one kind on the server: all of them at first, then each change.

If the server streams lists, one request does both; else a list in pages comes first, then a watch.
It repeats failed requests with back-off, and `trouble` says so. It keeps no objects.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, Protocol

from weft.kube.backoff import Backoff
from weft.kube.client import (
    ApiError,
    Client,
    Expired,
    Forbidden,
    Invalid,
    NotFound,
    Object,
    Unauthorized,
    Unreachable,
)
from weft.kube.resources import Resource

log = logging.getLogger(__name__)

CUT_OFF = 10.0  # seconds without a watch after which the objects count as out of date
_STEADY = 10.0  # seconds after which a watch counts as one that lasts
_LISTS = (0.2, 10.0)  # seconds between two lists, unless a watch between them lasted
_WATCHES = (0.05, 5.0)  # seconds between two watches, likewise
_SPREAD = 1.0  # seconds over which clients reconnect that a server dropped together
_ONCE_TOO_OFTEN = 3
_INITIAL_PATIENCE = 20.0  # seconds between two objects of a streamed list, or its end
_INITIAL_END = "k8s.io/initial-events-end"  # annotation of the bookmark after a streamed list


class Reader(Protocol):
    """A store of the objects; the reflector calls it in its own task."""

    def begin(self) -> None:
        """A list of all objects begins."""

    def add(self, obj: Object) -> None:
        """The list has this object."""

    def end(self) -> None:
        """The list is complete."""

    def change(self, kind: str, obj: Object) -> None:
        """An object has changed; `kind` is ADDED, MODIFIED or DELETED."""


def _now() -> float:
    return asyncio.get_running_loop().time()


def _means_pages(error: ApiError | TimeoutError) -> bool:
    """Whether a streamed list failed because the server cannot stream any.

    A server without the feature answers 422, and 500 if its etcd is too old for it.
    """
    return isinstance(error, TimeoutError | Invalid) or error.status == 500


class Reflector:
    """Lists and watches one kind for a `reader`.

    `when_unknown` is called when the server does not have the kind; that is then no trouble.
    `when_denied` is called when the right to list it is missing, which stays a trouble.
    `on_outcome` is called with each error that ends a request, and with None when a watch opens.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource,
        reader: Reader,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        when_unknown: Callable[[], None] | None = None,
        when_denied: Callable[[], None] | None = None,
        on_outcome: Callable[[ApiError | None], None] = lambda error: None,
    ) -> None:
        self._client, self._resource, self._reader = client, resource, reader
        self._namespace = namespace
        self._selectors: dict[str, Any] = {
            "label_selector": label_selector,
            "field_selector": field_selector,
            "metadata_only": metadata_only,
        }
        self._when_unknown, self._when_denied = when_unknown, when_denied
        self._on_outcome = on_outcome
        self._version = ""  # from which to watch; empty: list first
        self._served = resource  # in the version in which it was listed
        self._refused = ""  # why the server refuses; empty if it does not answer
        self._broke = ""  # how the last request ended
        self._is_unknown = False  # the server does not have the kind
        self._since: float | None = None  # since when nothing lasting follows the server
        self._opened: float | None = None  # since when the present watch runs
        self._forgotten = 0  # lists in a row whose resourceVersion had expired (410)
        self._lists, self._watches = Backoff(*_LISTS), Backoff(*_WATCHES)

    @property
    def trouble(self) -> str:
        """Why the reader's objects may be out of date; else empty."""
        name = self._resource.plural
        if self._forgotten > _ONCE_TOO_OFTEN and not self._lasts():
            return f"each list of {name} expires before a watch can follow it"
        if self._refused:
            return self._refused
        if self._is_unknown or self._opened is not None or self._since is None:
            return ""
        stale = _now() - self._since
        if stale < CUT_OFF:
            return ""
        return f"{name} cannot be followed for {stale:.0f} s: {self._broke or 'no answer yet'}"

    async def run(self) -> None:
        """Follow the server until cancelled."""
        self._since = _now()
        while True:
            is_list = not self._version
            error = await self._attempt()
            is_costly = is_list or not self._version or bool(self._refused)
            await asyncio.sleep(self._pause(is_costly, error))

    async def _attempt(self) -> ApiError | None:
        """List if nothing is known, and watch until that ends; the error that ended it."""
        try:
            await self._find_version()
            if self._version:
                await self._watch()
            elif self._client.streams_lists:
                await self._stream()
            else:
                await self._list()
                await self._watch()
        except ApiError as error:
            self._failed(error)
            self._on_outcome(error)
            return error
        else:
            self._broke = "the server ends each watch at once"
            return None
        finally:
            self._close()

    async def _find_version(self) -> None:
        """A CRD may have got a better version, whose objects hold more: they are listed."""
        if not self._resource.older:
            return
        served = await self._client.served(self._resource, self._namespace, anew=True)
        if served != self._served:
            self._served, self._version = served, ""

    def _failed(self, error: ApiError) -> None:
        self._is_unknown = False
        if isinstance(error, Expired):
            log.info("%s: listing again: %s", self._resource.plural, error)
            self._version = ""
            self._forgotten = 1 if self._lasts() else self._forgotten + 1
        elif isinstance(error, Unreachable):
            log.debug("watch of %s broke: %s", self._resource.plural, error)
            self._broke = error.in_full()
        elif isinstance(error, NotFound) and self._when_unknown is not None:
            self._version = ""
            self._when_unknown()
            self._refuse("")
            self._is_unknown, self._since = True, None
        else:
            # A right that is given back costs no list: the watch goes on where it ended.
            if not isinstance(error, Forbidden | Unauthorized):
                self._version = ""
            self._refuse(error.in_full())
            if isinstance(error, Forbidden) and self._when_denied is not None:
                self._when_denied()

    def _lasts(self) -> bool:
        return self._opened is not None and _now() - self._opened > _STEADY

    def _pause(self, is_costly: bool, error: ApiError | None) -> float:
        pause = (self._lists if is_costly else self._watches).next(error)
        if isinstance(error, Unreachable):
            pause += random.uniform(0.0, _SPREAD)
        return pause

    def _open(self) -> None:
        """The server accepted a watch."""
        self._opened, self._is_unknown = _now(), False
        self._refuse("")
        self._on_outcome(None)

    def _close(self) -> None:
        if self._lasts():
            self._follows()
            self._lists.reset()
            self._watches.reset()
        self._since = _now() if self._since is None else self._since
        self._opened = None

    def _follows(self) -> None:
        """The watch lasted, or brought something."""
        self._since, self._broke = None, ""

    async def _list(self) -> None:
        listing = await self._client.list(self._resource, self._namespace, **self._selectors)
        self._reader.begin()
        for obj in listing:
            self._reader.add(obj)
        self._reader.end()
        self._version = listing.resource_version

    async def _stream(self) -> None:
        """All objects and then each change, by one request."""
        is_listed = False
        self._reader.begin()
        events = self._client.watch(
            *(self._resource, "", self._namespace),
            **self._selectors,
            bookmarks=True,
            initial=True,
        )
        try:
            async with aclosing(events), asyncio.timeout(_INITIAL_PATIENCE) as patience:
                async for kind, obj in events:
                    if is_listed:
                        self._take(kind, obj)
                    elif kind != "BOOKMARK":
                        self._reader.add(obj)
                        patience.reschedule(_now() + _INITIAL_PATIENCE)
                    elif (obj["metadata"].get("annotations") or {}).get(_INITIAL_END) == "true":
                        patience.reschedule(None)
                        self._reader.end()
                        self._version, is_listed = obj["metadata"]["resourceVersion"], True
                        self._open()
        except (ApiError, TimeoutError) as error:
            if is_listed or not _means_pages(error):
                raise
            log.info("the server streams no lists, so that they come in pages: %s", error)
            self._client.streams_lists = False

    async def _watch(self) -> None:
        events = self._client.watch(
            *(self._resource, self._version, self._namespace),
            **self._selectors,
            bookmarks=True,
            on_open=self._open,
        )
        async with aclosing(events):
            async for kind, obj in events:
                self._take(kind, obj)

    def _take(self, kind: str, obj: Object) -> None:
        self._version = obj["metadata"]["resourceVersion"]
        self._follows()
        if kind != "BOOKMARK":
            self._reader.change(kind, obj)

    def _refuse(self, why: str) -> None:
        if why and why != self._refused:
            log.warning("cannot follow %s, trying again: %s", self._resource.plural, why)
        elif self._refused and not why:
            log.info("following %s again", self._resource.plural)
        self._refused = why
