"""Watches the links of running pods: restores routes that the kernel dropped, reports lost devices.

The kernel drops a link's routes when it goes down, and does not restore them. One socket of link
events watches each namespace, however many interfaces it has; a starting agent checks each once. A
route that a pod deletes itself stays deleted until its link goes down.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from weft import rows
from weft.host import linkevents, netlink, netns, routing
from weft.kube import queue
from weft.nic import plan, port
from weft.node import addplan, links
from weft.node.dependencies import Dependencies

log = logging.getLogger(__name__)

_ANY = 0  # no link has this index
_LOOK = -2  # no link has this index: the interface may be gone, but its routes are not checked
_MANY = 64  # links that are distinguished: a pod may make any number
_PAUSE = 0.1  # seconds between two checks of one namespace: a pod may flap its links without end
_GRACE = 2.0  # seconds for a device to come back: OVS may be making it again


class _Place(NamedTuple):
    """A sandbox and the path of its namespace, which another sandbox may use later."""

    sandbox: str
    netns: str

    @classmethod
    def of(cls, bound: port.Bound) -> _Place:
        return cls(bound.sandbox, bound.netns)


@dataclass(slots=True)
class _Namespace:
    """The interfaces of one sandbox, by device.

    `downs`: indexes of the links that went down or away since a device was checked, or _ANY or
    _LOOK. `gone`: since when (loop time) a device is missing.
    """

    path: str
    events: socket.socket | None = None
    downs: dict[str, set[int]] = field(default_factory=dict)
    gone: dict[str, float] = field(default_factory=dict)


class RouteReconciler:
    """One task of the agent. `is_busy` says whether a call or repair works on a device now; `lost`
    is called with a device that is gone from its pod while nothing works on it."""

    def __init__(
        self, deps: Dependencies, is_busy: Callable[[str], bool], lost: Callable[[str], None]
    ) -> None:
        self._deps = deps
        self._is_busy, self._lost = is_busy, lost
        self._followed: dict[_Place, _Namespace] = {}
        self._queue = queue.Queue[_Place]("routes")

    async def run(self) -> None:
        """Watches until cancelled; checks each interface first."""
        end = self._deps.ovs.subscribe("Interface", self._changed)
        for columns in self._deps.ovs.rows("Interface").values():
            self._changed("", None, columns)
            if (bound := port.bound(columns)) is not None and bound.netns:
                # The link may have been down while no agent ran.
                self._followed[_Place.of(bound)].downs[bound.device] = {_ANY}
        try:
            await self._queue.run(self._reconcile, workers=4)
        finally:
            end()
            for key in list(self._followed):
                self._unfollow(key)

    def _changed(self, _: str, old: rows.Columns | None, new: rows.Columns | None) -> None:
        before = port.bound(old) if old else None
        after = port.bound(new) if new else None
        if before is not None and (after is None or _Place.of(after) != _Place.of(before)):
            self._leave(before)
        if after is None or not after.netns:
            return
        found = self._followed.setdefault(_Place.of(after), _Namespace(after.netns))
        if after.device not in found.downs or found.events is None:
            found.downs.setdefault(after.device, set())
            self._queue.add(_Place.of(after))

    def _leave(self, bound: port.Bound) -> None:
        """Closes the socket with the last device: it would keep the namespace alive."""
        found = self._followed.get(_Place.of(bound))
        if found is not None:
            found.downs.pop(bound.device, None)
            found.gone.pop(bound.device, None)
            if not found.downs:
                self._unfollow(_Place.of(bound))

    async def _reconcile(self, key: _Place) -> None:
        found = self._followed.get(key)
        try:
            if found is None or (found.events is None and not await self._follow(key, found)):
                return
            assert found.events is not None
            seen = set(linkevents.links_down(found.events))
            for device, downs in [*found.downs.items()]:
                downs |= seen
                if len(downs) > _MANY:
                    downs.clear()
                    downs.add(_ANY)
                await self._look(key, found, device, downs)
        except netns.Gone:
            if self._followed.get(key) is found:
                self._unfollow(key)
            return
        asyncio.get_running_loop().call_later(_PAUSE, self._listen, key)

    async def _look(self, key: _Place, found: _Namespace, device: str, downs: set[int]) -> None:
        """Checks one interface that was down, or is missing."""
        if self._is_busy(device):  # a call or a repair brings the link up, with its routes
            downs.clear()
            downs.add(_LOOK)  # a deletion meanwhile has no further event
            found.gone.pop(device, None)
            self._queue.add(key, after=_PAUSE)
            return
        row = self._deps.ovs.get("Interface", device)
        bound = port.bound(row[1]) if row else None
        nic = addplan.nic_of(bound, self._deps) if bound else None
        if bound is None or nic is None or not downs:
            return
        outcome = await asyncio.to_thread(restore, found.path, nic, downs)
        if outcome is Outcome.GONE:
            self._miss(key, found, device)
        else:
            found.gone.pop(device, None)
        if outcome is Outcome.RESTORED:
            message = "routes of interface %s of Pod %s were given back after its link was down"
            log.warning(message, bound.interface, bound.pod.key)

    def _miss(self, key: _Place, found: _Namespace, device: str) -> None:
        """Reports a missing device if it does not come back within _GRACE."""
        now = asyncio.get_running_loop().time()
        since = found.gone.setdefault(device, now)
        if now - since < _GRACE:
            self._queue.add(key, after=_GRACE - (now - since))
            return
        del found.gone[device]
        if device in found.downs:
            found.downs[device].clear()
            self._lost(device)

    async def _follow(self, key: _Place, found: _Namespace) -> bool:
        """Opens the socket of link events; returns whether the namespace still has our ports."""
        events = await asyncio.to_thread(linkevents.opened, found.path)
        if self._followed.get(key) is not found:
            events.close()
            return False
        found.events = events
        return True

    def _listen(self, key: _Place) -> None:
        found = self._followed.get(key)
        if found is not None and found.events is not None:
            asyncio.get_running_loop().add_reader(found.events, self._on_event, key, found.events)

    def _on_event(self, key: _Place, events: socket.socket) -> None:
        asyncio.get_running_loop().remove_reader(events)
        self._queue.add(key)

    def _unfollow(self, key: _Place) -> None:
        found = self._followed.pop(key)
        if found.events is not None:
            asyncio.get_running_loop().remove_reader(found.events)
            found.events.close()


class Outcome(Enum):
    """The result of checking an interface."""

    NOTHING = "nothing"
    RESTORED = "restored"
    GONE = "gone"


def restore(namespace: str, nic: plan.Nic, downs: set[int]) -> Outcome:
    """Restores the routes of an interface if it was down; clears `downs` once it is up.

    Routes of an interface that was not down stay as others made them: a meta-plugin may move the
    default route to another interface.
    """
    with netns.entered(namespace):
        link = netlink.read(nic.interface)
        if link is None:
            return Outcome.GONE
        if not link.up:
            return Outcome.NOTHING
        was_down = bool(downs & {_ANY, link.index})
        downs.clear()
        is_due = was_down and bool(nic.routes)
        if is_due and routing.ensure(nic.interface, links.routing_of(nic)):
            return Outcome.RESTORED
        return Outcome.NOTHING
