"""Follows the API server for those who look at pages: with each viewer's own credentials.

Viewers with the same token share their watches; nobody else does. A watch ends some seconds after
the last page that shows its objects was left.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson

from weft import errors
from weft.console.computing import Computing
from weft.console.page import Read
from weft.console.stores import Store
from weft.kube.client import ApiError, Client, Unauthorized, Unreachable

LINGER = 30.0  # seconds that a watch goes on after its last page was left
PATIENCE = 8.0  # seconds in which the first list should be there; the page is shown without it else
MOST_VIEWERS = 64
MOST_WATCHES = 64  # of a viewer
MOST_STREAMS = 16  # of a viewer: open pages, consoles and jobs
_SELF = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


class TooMuch(errors.WeftError):
    """A bound on what one viewer, or all of them, may hold open."""


class _Followed:
    def __init__(self, store: Store) -> None:
        self.store, self.users = store, 0
        self.task = asyncio.create_task(store.run())
        self.ending: asyncio.TimerHandle | None = None


class Viewer:
    """A client with one viewer's credentials, and what is followed with it."""

    def __init__(self, client: Client) -> None:
        self.client, self.computing = client, Computing()
        self.users = self.streams = 0
        self.ending: asyncio.TimerHandle | None = None
        self._followed: dict[tuple[Read, str], _Followed] = {}
        self._name: str | None = None

    @asynccontextmanager
    async def following(
        self, reads: Sequence[Read], namespace: str = ""
    ) -> AsyncIterator[Sequence[Store]]:
        """What is read, once each kind has come or was refused, or PATIENCE has ended."""
        held = []
        try:
            for read in reads:
                held.append(self._hold(read, namespace))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    for one in held:
                        await one.store.settled.wait()
            yield [one.store for one in held]
        finally:
            for one in held:
                self._release(one)

    def _hold(self, read: Read, namespace: str) -> _Followed:
        key = read, namespace if read.kind.namespaced else ""
        if key not in self._followed:
            if len(self._followed) >= MOST_WATCHES:
                what = f"more than {MOST_WATCHES} kinds and namespaces are open"
                raise TooMuch(what, hint="close some pages, and wait half a minute")
            self._followed[key] = _Followed(Store(self.client, *key))
        one = self._followed[key]
        one.users += 1
        if one.ending is not None:
            one.ending.cancel()
            one.ending = None
        return one

    def _release(self, one: _Followed) -> None:
        one.users -= 1
        if not one.users:
            one.ending = asyncio.get_running_loop().call_later(LINGER, self._end, one)

    def _end(self, one: _Followed) -> None:
        if one.users:
            return
        one.task.cancel()
        self._followed = {key: each for key, each in self._followed.items() if each is not one}

    @contextlib.contextmanager
    def streaming(self) -> Any:
        """Count an open stream; raises TooMuch."""
        if self.streams >= MOST_STREAMS:
            raise TooMuch(f"more than {MOST_STREAMS} pages are open", hint="close some of them")
        self.streams += 1
        try:
            yield
        finally:
            self.streams -= 1

    async def name(self) -> str:
        """As whom the API server knows the viewer; empty if it does not say. Raises Unauthorized
        for credentials that it does not know."""
        if self._name is None:
            review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
            options = {"body": orjson.dumps(review), "content_type": "application/json"}
            try:
                answer = await self.client.request("POST", _SELF, **options)
                self._name = str(answer["status"]["userInfo"]["username"])
            except Unauthorized:
                raise
            except (ApiError, KeyError, TypeError) as error:
                if isinstance(error, Unreachable):
                    return ""  # it may answer the next time
                self._name = ""
        return self._name

    async def close(self) -> None:
        """End all watches and connections."""
        tasks = [one.task for one in self._followed.values()]
        for one in self._followed.values():
            if one.ending is not None:
                one.ending.cancel()
        self._followed = {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.client.__aexit__(None, None, None)


class Viewers:
    """All viewers, by their tokens; `connect` makes a client for a token, or for none."""

    def __init__(self, connect: Callable[[str], Client]) -> None:
        self._connect = connect
        self._known: dict[bytes, Viewer] = {}
        self._closing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def of(self, token: str) -> AsyncIterator[Viewer]:
        """The viewer with this token; raises TooMuch."""
        key = hashlib.sha256(token.encode()).digest()
        viewer = self._known.get(key)
        if viewer is None:
            if len(self._known) >= MOST_VIEWERS:
                raise TooMuch(f"more than {MOST_VIEWERS} people use this console", hint="wait")
            viewer = self._known[key] = Viewer(await self._connect(token).__aenter__())
        viewer.users += 1
        if viewer.ending is not None:
            viewer.ending.cancel()
            viewer.ending = None
        try:
            yield viewer
        finally:
            viewer.users -= 1
            if not viewer.users:
                loop = asyncio.get_running_loop()
                viewer.ending = loop.call_later(2 * LINGER, self._end, key, viewer)

    def _end(self, key: bytes, viewer: Viewer) -> None:
        if not viewer.users and self._known.get(key) is viewer:
            del self._known[key]
            task = asyncio.create_task(viewer.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def check(self, token: str) -> None:
        """Raise Unauthorized if the API server does not know a token; it is not kept."""
        async with self._connect(token) as client:
            await Viewer(client).name()

    async def close(self) -> None:
        """End everything, with the process."""
        known, self._known = list(self._known.values()), {}
        for viewer in known:
            if viewer.ending is not None:
                viewer.ending.cancel()
            await viewer.close()
        await asyncio.gather(*self._closing, return_exceptions=True)
