"""Keeps the objects of one kind as one viewer may read them, for pages that show them.

While the API server refuses a kind, its objects are not shown. Where a viewer's budget is spent,
further objects are counted, and pages say how many are left out.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Callable, Mapping, Sequence

from weft.console.budget import Budget
from weft.console.page import Object, Read, Reading
from weft.console.trimming import trimmed
from weft.kube import reflector, resources
from weft.kube.client import ApiError, Client, Expired, Forbidden, Unauthorized
from weft.kube.client import Object as Raw
from weft.kube.resources import Resource
from weft.model import ObjectKey
from weft.observe import details, members
from weft.observe.remembered import Kept

_PREPARED: Mapping[Resource, Callable[[Kept], object]] = {
    resources.PODS: details.prepare,
    resources.NADS: details.prepare_nad,
    resources.MULTINETWORKPOLICIES: members.prepare_policy,
}
_VERSIONS = itertools.count(1)  # of all stores


class Store:
    """The objects of one kind in one namespace, or in all; the reader of a reflector."""

    def __init__(
        self, client: Client, read: Read, namespace: str = "", budget: Budget | None = None
    ) -> None:
        self.kind = read.kind
        self._budget = budget or Budget(sys.maxsize)
        self.left_out = self._unlisted = self.version = self._held = 0
        self._is_closed = False
        self._objects: dict[ObjectKey, Raw] = {}
        self._listed: dict[ObjectKey, Raw] = {}
        self._sorted: Sequence[Object] | None = None
        self.denied = ""
        self.trouble = "has not been read yet"
        self.is_absent = self._is_listed = False
        self.changed: set[asyncio.Event] = set()  # of who looks at it
        self.settled = asyncio.Event()  # it was read, or refused
        self._reflector = reflector.Reflector(
            *(client, read.kind, self),
            namespace=namespace if read.kind.namespaced else "",
            field_selector=read.field_selector,
            when_unknown=self._is_unknown,
            on_outcome=self._note,
        )

    async def run(self) -> None:
        """Follow the server until cancelled."""
        await self._reflector.run()

    def objects(self) -> Sequence[Object]:
        """All objects, sorted by namespace and name; none while the viewer may not list them."""
        if self.denied or self.is_absent:
            return ()
        if self._sorted is None:
            self._sorted = tuple(self._objects[key] for key in sorted(self._objects))
        return self._sorted

    def begin(self) -> None:
        """Start a list of all objects; for the reflector."""
        self._listed, self._unlisted = {}, 0
        self._hold(len(self._objects))

    def add(self, obj: Raw) -> None:
        """Add an object to the list; for the reflector."""
        # Room is taken here, not at the end: several kinds are listed at once.
        if len(self._listed) < self._held or self._budget.has_room():
            self._listed[resources.key(obj)] = self._keep(obj)
            self._hold(max(self._held, len(self._listed)))
        else:
            self._unlisted += 1

    def end(self) -> None:
        """Store the whole list; for the reflector."""
        self._objects, self._listed = self._listed, {}
        self._hold(len(self._objects))
        self.left_out = self._unlisted
        self.trouble = self.denied = ""
        self.is_absent, self._is_listed = False, True
        self._notify()

    def change(self, kind: str, obj: Raw) -> None:
        """Store one change; for the reflector."""
        key = resources.key(obj)
        is_gone, is_kept = kind == "DELETED", key in self._objects
        if not is_kept:
            # Whatever is changed or deleted and is not here was left out.
            self.left_out = max(0, self.left_out - (kind != "ADDED"))
        if is_gone and is_kept:
            del self._objects[key]
        elif not is_gone and (is_kept or self._budget.has_room()):
            kept = self._keep(obj)
            if kept == self._objects.get(key):
                return
            self._objects[key] = kept
        elif not is_gone:
            self.left_out += 1
        self._hold(len(self._objects))
        self._notify()

    def _keep(self, obj: Raw) -> Kept:
        """What is kept of an object: what takes long is made of it now, and not while somebody
        waits for a page."""
        kept = Kept(trimmed(self.kind, obj))
        if prepare := _PREPARED.get(self.kind):
            prepare(kept)
        return kept

    def close(self) -> None:
        """Give up all objects: nobody looks at them any more.

        This may come in the midst of a list, whose rest counts no more.
        """
        self._hold(0)
        self._is_closed = True
        self._objects, self._listed, self._sorted = {}, {}, None

    def _hold(self, number: int) -> None:
        """So many of the budget's objects are this store's."""
        if not self._is_closed:
            self._budget.hold(number - self._held)
            self._held = number

    def _is_unknown(self) -> None:
        self._hold(0)
        self._objects, self.is_absent, self.left_out = {}, True, 0

    def _note(self, error: ApiError | None) -> None:
        """How a request ended. The objects stay, hidden: a right that is given back costs no
        list."""
        before = self.denied, self.trouble, self.is_absent
        if error is None:
            self.denied = ""
            self.trouble = "" if self._is_listed else self.trouble
        elif isinstance(error, Forbidden | Unauthorized):
            self.denied, self.trouble = error.denial or error.message, ""
        elif self.is_absent:
            self.denied = self.trouble = ""
        elif not isinstance(error, Expired):
            self.trouble = error.message
        settles = bool(self.denied or self.is_absent)
        if settles or (self.denied, self.trouble, self.is_absent) != before:
            self._notify(settles=settles)

    def _notify(self, *, settles: bool = True) -> None:
        self._sorted, self.version = None, next(_VERSIONS)
        if settles:
            self.settled.set()
        for event in self.changed:
            event.set()


def reading(stores: Sequence[Store]) -> Reading:
    """What the stores hold now."""
    objects: Mapping[Resource, Sequence[Object]] = {one.kind: one.objects() for one in stores}
    return Reading(
        objects,
        denied={one.kind: one.denied for one in stores if one.denied},
        absent=frozenset(one.kind for one in stores if one.is_absent),
        stale={one.kind: one.trouble for one in stores if one.trouble},
        versions=tuple(one.version for one in stores),
        left_out={one.kind: one.left_out for one in stores if one.left_out},
    )
