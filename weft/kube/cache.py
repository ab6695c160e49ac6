"""Caches the objects of one kind by list and watch, and calls subscribers with changes.

`run` lists once and then watches until cancelled; reads never wait for the network. Nothing is
written to the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from weft import errors, listeners
from weft.kube import reflector, resources
from weft.kube.client import Client, Object
from weft.kube.resources import Resource
from weft.model import ObjectKey

T = TypeVar("T")
Subscriber = listeners.Listener[ObjectKey, T]
Index = Callable[[T], Iterable[Hashable]]
Predicate = Callable[[T], bool]
Version = tuple[str, str]  # uid and resourceVersion
_ANY = ObjectKey("", "")


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """A change of one object. `old` None: it is new. `new` None: it is deleted."""

    key: ObjectKey
    old: T | None
    new: T | None


def keep_all(obj: Object) -> Object:
    """Drop managedFields only: the largest part of most objects, and unused by weft."""
    obj["metadata"].pop("managedFields", None)
    return obj


def version(obj: Object) -> Version:
    """The object's uid and resourceVersion."""
    meta = obj["metadata"]
    return meta.get("uid", ""), meta.get("resourceVersion", "")


def steps(
    key: ObjectKey, old: T | None, new: T | None, version: Callable[[T], Version]
) -> tuple[Change[T], ...]:
    """One change, or two if a new object has taken the name: first the old one's deletion."""
    if old is None and new is None:
        return ()
    if old is not None and new is not None:
        before, after = version(old), version(new)
        if before[0] != after[0]:
            return Change(key, old, None), Change(key, None, new)
        if before == after:
            return ()
    return (Change(key, old, new),)


def differences(
    have: Mapping[ObjectKey, T], listed: Mapping[ObjectKey, T], version: Callable[[T], Version]
) -> Iterator[Change[T]]:
    """The changes from the objects that a reader has to a new list; deletions come first."""
    for key in [key for key in have if key not in listed]:
        yield Change(key, have[key], None)
    for key, new in listed.items():
        yield from steps(key, have.get(key), new, version)


class Informer(Generic[T]):
    """The objects of one kind, each parsed once: by key and by index.

    `read` converts an object to the value that is stored (it may change the object in place);
    `version` returns its uid and resourceVersion. If the stored value stays equal, subscribers get
    no change. `indexes` are computed from the stored value. A kind that `may_be_unknown` counts as
    synced, without objects, while the server does not have it; one that `may_be_denied` also while
    the right to list it is missing, which stays a trouble. `metadata_only`: the server sends
    nothing but the metadata of objects. `get` returns a shared value: do not change it.
    """

    def __init__(
        self,
        client: Client,
        res: Resource,
        read: Callable[[Object], T],
        version: Callable[[T], Version],
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        indexes: Mapping[str, Index[T]] | None = None,
        may_be_unknown: bool = False,
        may_be_denied: bool = False,
        metadata_only: bool = False,
    ) -> None:
        self.resource = res
        self.namespace = namespace
        self._selectors = ",".join(filter(None, (label_selector, field_selector)))
        self._functions = dict(indexes or {})
        self._indexes: dict[str, dict[Hashable, set[ObjectKey]]] = {
            name: {} for name in self._functions
        }
        self._read, self._version = read, version
        self._objects: dict[ObjectKey, T] = {}
        self._listed: dict[ObjectKey, T] = {}
        self._subscribers: listeners.Listeners[ObjectKey, T] = listeners.Listeners(
            res.plural, self._objects.get, self._pairs
        )
        self._waiting: dict[ObjectKey, set[asyncio.Future[T]]] = {}
        self._waiters: dict[asyncio.Future[T], Predicate[T]] = {}
        self._synced = asyncio.Event()
        self._reflector = reflector.Reflector(
            client,
            res,
            self,
            namespace=namespace,
            label_selector=label_selector,
            field_selector=field_selector,
            metadata_only=metadata_only,
            when_unknown=self._synced.set if may_be_unknown else None,
            when_denied=self._synced.set if may_be_denied else None,
        )

    @property
    def name(self) -> str:
        """What it follows, in words; unique in the process."""
        return " ".join(filter(None, (self.resource.plural, self.namespace, self._selectors)))

    def __len__(self) -> int:
        return len(self._objects)

    @property
    def is_synced(self) -> bool:
        """Whether the first list is stored."""
        return self._synced.is_set()

    @property
    def trouble(self) -> str:
        """Why the cache or a subscriber may be out of date; else empty."""
        return self._reflector.trouble or self._subscribers.trouble

    async def synced(self) -> None:
        """Wait until the first list is stored and its subscribers were called."""
        await self._synced.wait()

    def get(self, key: ObjectKey) -> T | None:
        """The object with this key; None if there is none."""
        return self._objects.get(key)

    def keys(self) -> Iterable[ObjectKey]:
        """The keys of all objects."""
        return self._objects.keys()

    def objects(self) -> Iterable[T]:
        """All objects."""
        return self._objects.values()

    def index(self, name: str, value: Hashable) -> set[ObjectKey]:
        """Keys of the objects with `value` in an index."""
        return set(self._indexes[name].get(value, ()))

    def subscribe(self, function: Subscriber[T]) -> None:
        """Call function(key, old, new) for each change, and at once for each object in the cache.

        The calls run in the cache's own task, so they must be short (`Queue.add`). After an
        exception the function is called again, with all changes since, until it succeeds.
        """
        self._subscribers.add(function)
        for key, obj in list(self._objects.items()):
            self._subscribers.notify_one(function, key, None, obj)

    async def wait_for(self, key: ObjectKey, predicate: Predicate[T], timeout: float | None) -> T:
        """The object, once it exists and `predicate` holds; NotReady after `timeout` seconds.

        An exception from the predicate ends the wait and reaches the caller.
        """
        obj = self._objects.get(key)
        if obj is not None and predicate(obj):
            return obj
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, set()).add(future)
        self._waiters[future] = predicate
        try:
            async with asyncio.timeout(timeout):
                return await future
        except TimeoutError:
            state = "not there" if key not in self._objects else "not yet as expected"
            raise errors.NotReady(
                f"still {state} after {timeout:g} s", where=f"{self.resource.kind} {key}"
            ) from None
        finally:
            del self._waiters[future]
            waiting = self._waiting.get(key)
            if waiting is not None:
                waiting.discard(future)
                if not waiting:
                    del self._waiting[key]

    def wake(self, key: ObjectKey) -> None:
        """Evaluate the predicates of waits for an object again, because something else changed."""
        if (obj := self._objects.get(key)) is not None and key in self._waiting:
            self._wake(key, obj)

    async def run(self) -> None:
        """Follow the server until cancelled."""
        await self._reflector.run()

    def begin(self) -> None:
        """Start a list of all objects; for the reflector."""
        self._listed = {}

    def add(self, raw: Object) -> None:
        """Add an object to the list; for the reflector."""
        self._listed[resources.key(raw)] = self._read(raw)

    def end(self) -> None:
        """Store the whole list in place of what is cached; for the reflector."""
        listed, self._listed = self._listed, {}
        for change in list(differences(self._objects, listed, self._version)):
            self._apply(change)
        self._synced.set()

    def change(self, kind: str, raw: Object) -> None:
        """Store one change: ADDED, MODIFIED or DELETED; for the reflector."""
        key, obj = resources.key(raw), self._read(raw)
        old = self._objects.get(key)
        new = None if kind == "DELETED" else obj
        if new is None and old is not None:
            # The last state counts: a pod may complete and be deleted in one event.
            old = obj if self._version(old)[0] == self._version(obj)[0] else old
        for change in steps(key, old, new, self._version):
            self._apply(change)

    def _pairs(self, old: T | None, new: T | None) -> Iterator[tuple[T | None, T | None]]:
        return ((change.old, change.new) for change in steps(_ANY, old, new, self._version))

    def _apply(self, change: Change[T]) -> None:
        stored = self._objects.get(change.key)
        for name, function in self._functions.items():
            index = self._indexes[name]
            before = set(function(stored)) if stored is not None else set()
            after = set(function(change.new)) if change.new is not None else set()
            for value in before - after:
                index[value].discard(change.key)
                if not index[value]:
                    del index[value]
            for value in after - before:
                index.setdefault(value, set()).add(change.key)
        if change.new is None:
            self._objects.pop(change.key, None)
        else:
            self._objects[change.key] = change.new
        if change.old is None or change.old != change.new:
            self._subscribers.notify(change.key, change.old, change.new)
        if change.new is not None and change.key in self._waiting:
            self._wake(change.key, change.new)

    def _wake(self, key: ObjectKey, obj: T) -> None:
        for future in self._waiting[key]:
            if future.done():
                continue
            try:
                if self._waiters[future](obj):
                    future.set_result(obj)
            except Exception as error:  # raised to the waiter
                future.set_exception(error)


class Cache(Informer[Object]):
    """Objects as dicts, for readers of few fields.

    `keep` reduces an object before it is stored (it may change it in place); it must keep name,
    namespace, uid and resourceVersion of the metadata.
    """

    def __init__(
        self,
        client: Client,
        res: Resource,
        *,
        keep: Callable[[Object], Object] = keep_all,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        indexes: Mapping[str, Index[Object]] | None = None,
        may_be_unknown: bool = False,
    ) -> None:
        def slim(obj: Object) -> Object:
            kind, api_version = obj["kind"], obj["apiVersion"]
            kept = keep(obj)
            kept["kind"], kept["apiVersion"] = kind, api_version
            return kept

        super().__init__(
            client,
            res,
            slim,
            version,
            namespace=namespace,
            label_selector=label_selector,
            field_selector=field_selector,
            indexes=indexes,
            may_be_unknown=may_be_unknown,
        )
