"""Follows the API server for those who look at pages: with each viewer's own credentials.

Viewers with the same token share their watches; nobody else does. A watch ends some seconds after
the last page that shows its objects was left, or when room is needed: the one first that was left
longest ago.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import orjson

from weft import errors
from weft.console.budget import Budget
from weft.console.computing import Computing
from weft.console.page import Read
from weft.console.stores import Store
from weft.console.views import Views
from weft.kube.client import ApiError, Client, Unauthorized, Unreachable

LINGER = 30.0  # seconds that a watch goes on after its last page was left
PATIENCE = 8.0  # seconds in which the first list should be there; the page is shown without it else
MOST_VIEWERS = 64
MOST_WATCHES = 64  # of a viewer
MOST_OBJECTS = 40_000  # of a viewer; a pod takes some 6 KiB
MOST_OBJECTS_OF_ALL = 100_000
MOST_STREAMS = 16  # of a viewer: open pages, consoles and jobs
MOST_ACTIONS = 4  # of a viewer, at once: a preview reads the whole cluster
MOST_ASKED = 4  # nodes, at once, for a viewer: what they answer is kept until it is shown
MOST_ASKED_OF_ALL = 16
_SELF = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


class TooMuch(errors.WeftError):
    """A bound on what one viewer, or all of them, may hold open."""


class _Followed:
    def __init__(self, store: Store) -> None:
        self.store, self.users = store, 0
        self.task = asyncio.create_task(store.run())
        self.ending: asyncio.TimerHandle | None = None
        self.left = 0.0  # when its last user left it


class Viewer:
    """A client with one viewer's credentials, and what is followed with it."""

    def __init__(
        self,
        client: Client,
        all_budget: Budget | None = None,
        all_asking: asyncio.Semaphore | None = None,
    ) -> None:
        self.client, self.computing, self.views = client, Computing(), Views()
        self._asking = asyncio.Semaphore(MOST_ASKED)
        self._all_asking = all_asking or asyncio.Semaphore(MOST_ASKED_OF_ALL)
        self.budget = Budget(MOST_OBJECTS, all_budget, self.drop_unused)
        self.left = 0.0
        self.users = self.streams = self.actions = 0
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
        key = replace(read, is_aside=False), namespace if read.kind.namespaced else ""
        if key not in self._followed:
            if len(self._followed) >= MOST_WATCHES and not self.drop_unused():
                what = f"more than {MOST_WATCHES} kinds and namespaces are open"
                raise TooMuch(what, hint="close some pages, and wait half a minute")
            self._followed[key] = _Followed(Store(self.client, *key, self.budget))
        one = self._followed[key]
        one.users += 1
        if one.ending is not None:
            one.ending.cancel()
            one.ending = None
        return one

    def _release(self, one: _Followed) -> None:
        one.users -= 1
        if not one.users:
            one.left = asyncio.get_running_loop().time()
            one.ending = asyncio.get_running_loop().call_later(LINGER, self._end, one)

    def _end(self, one: _Followed) -> None:
        if one.users:
            return
        one.task.cancel()
        one.store.close()
        self._followed = {key: each for key, each in self._followed.items() if each is not one}

    @property
    def unused_since(self) -> float | None:
        """When the watch that nobody needs any more for longest was left; None if all are used."""
        return min((one.left for one in self._followed.values() if not one.users), default=None)

    def drop_unused(self) -> bool:
        """End that watch; False if there is none."""
        unused = [one for one in self._followed.values() if not one.users]
        if not unused:
            return False
        one = min(unused, key=lambda each: each.left)
        if one.ending is not None:
            one.ending.cancel()
        self._end(one)
        return True

    @contextlib.contextmanager
    def streaming(self) -> Iterator[None]:
        """Count an open stream; raises TooMuch."""
        if self.streams >= MOST_STREAMS:
            raise TooMuch(f"more than {MOST_STREAMS} pages are open", hint="close some of them")
        self.streams += 1
        try:
            yield
        finally:
            self.streams -= 1

    @contextlib.contextmanager
    def acting(self) -> Iterator[None]:
        """Count an action under way; raises TooMuch."""
        if self.actions >= MOST_ACTIONS:
            what = f"more than {MOST_ACTIONS} actions are under way"
            raise TooMuch(what, hint="wait until one of them has ended")
        self.actions += 1
        try:
            yield
        finally:
            self.actions -= 1

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        """Wait until it is the viewer's turn to ask a node."""
        async with self._asking, self._all_asking:
            yield

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
            one.store.close()
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
        self._making = asyncio.Lock()
        self._budget = Budget(MOST_OBJECTS_OF_ALL, free=self._drop_unused)
        self._asking = asyncio.Semaphore(MOST_ASKED_OF_ALL)

    @asynccontextmanager
    async def of(self, token: str) -> AsyncIterator[Viewer]:
        """The viewer with this token; raises TooMuch."""
        key = hashlib.sha256(token.encode()).digest()
        viewer = self._known.get(key) or await self._made(key, token)
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
                viewer.left = loop.time()
                viewer.ending = loop.call_later(2 * LINGER, self._end, key, viewer)

    async def _made(self, key: bytes, token: str) -> Viewer:
        """A new viewer, one for all of the token's first requests."""
        async with self._making:
            if (viewer := self._known.get(key)) is not None:
                return viewer
            if len(self._known) >= MOST_VIEWERS and not self._evict():
                raise TooMuch(f"more than {MOST_VIEWERS} people use this console", hint="wait")
            client = await self._connect(token).__aenter__()
            viewer = self._known[key] = Viewer(client, self._budget, self._asking)
            return viewer

    def _evict(self) -> bool:
        """End the viewer who has had no page open for longest; False if all have one."""
        unused = [(one.left, key) for key, one in self._known.items() if not one.users]
        if not unused:
            return False
        _, key = min(unused)
        viewer = self._known[key]
        if viewer.ending is not None:
            viewer.ending.cancel()
        self._end(key, viewer)
        return True

    def _drop_unused(self) -> bool:
        """End the watch that was left longest ago, of any viewer; False if all are used."""
        dated = [(one.unused_since, one) for one in self._known.values()]
        unused = [(since, id(one), one) for since, one in dated if since is not None]
        return bool(unused) and min(unused)[2].drop_unused()

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
