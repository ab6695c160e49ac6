"""Watches the links of running pods: restores routes that the kernel dropped, reports lost devices.

The kernel drops a link's routes when it goes down, and does not restore them. When a device is
deleted, it drops all of an IPv4 route with several next hops: also those of the pod's other
interfaces on the network, whose links were never down. One socket of link events watches each
namespace, however many interfaces it has; a starting agent checks each once. A route that a pod
deletes itself stays deleted until its link goes down or a device of its network is replaced.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from weft import errors, rows
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
class _Interface:
    """An interface of weft's in a pod; `name` is that in the pod.

    `downs`: indexes of the links that went down or away since it was checked, or _ANY or _LOOK.
    `gone`: since when (loop time) its device is missing.
    """

    name: str
    network: str
    downs: set[int] = field(default_factory=set)
    gone: float | None = None


@dataclass(slots=True)
class _Namespace:
    """The interfaces of one sandbox, by device.

    `links`: network and last known index (0: gone) of each interface by its name, also of one that
    left, until its link is gone. `is_stale`: these may have changed.
    """

    path: str
    events: socket.socket | None = None
    interfaces: dict[str, _Interface] = field(default_factory=dict)
    links: dict[str, tuple[str, int]] = field(default_factory=dict)
    is_stale: bool = True

    def names(self) -> set[str]:
        return {each.name for each in self.interfaces.values()}

    def note_down(self, seen: set[int]) -> None:
        """Notes links that went down or away."""
        self.is_stale = self.is_stale or bool(seen)
        for each in self.interfaces.values():
            each.downs |= seen
            if len(each.downs) > _MANY:
                each.downs = {_ANY}

    def note_links(self, indexes: Mapping[str, int]) -> None:
        """Makes all interfaces of a network due if one of its devices was replaced or is gone."""
        hit = {
            network
            for name, (network, index) in self.links.items()
            if indexes.get(name, index) != index
        }
        for each in self.interfaces.values():
            if each.network in hit:
                each.downs.add(_ANY)
        networks = {each.name: each.network for each in self.interfaces.values()}
        known = {name: network for name, (network, _) in self.links.items()} | networks
        self.links = {
            name: (known[name], index)
            for name, index in indexes.items()
            if index or (name in self.links and name in networks)
        }


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
                self._followed[_Place.of(bound)].interfaces[bound.device].downs = {_ANY}
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
        if after.device not in found.interfaces or found.events is None:
            # The row of a device that has a record is made again, and the device with it.
            downs = set() if self._deps.records.get(after.device) is None else {_ANY}
            each = _Interface(after.interface, after.network, downs)
            found.interfaces.setdefault(after.device, each)
            found.is_stale = True
            self._queue.add(_Place.of(after))

    def _leave(self, bound: port.Bound) -> None:
        """Closes the socket with the last device: it would keep the namespace alive."""
        found = self._followed.get(_Place.of(bound))
        if found is not None:
            found.interfaces.pop(bound.device, None)
            if not found.interfaces:
                self._unfollow(_Place.of(bound))

    async def _reconcile(self, key: _Place) -> None:
        found = self._followed.get(key)
        try:
            if found is None or (found.events is None and not await self._follow(key, found)):
                return
            assert found.events is not None
            found.note_down(set(linkevents.links_down(found.events)))
            await self._read_links(found)
            await self._look_at_each(key, found)
        except netns.Gone:
            if self._followed.get(key) is found:
                self._unfollow(key)
        finally:
            asyncio.get_running_loop().call_later(_PAUSE, self._listen, key)

    async def _read_links(self, found: _Namespace) -> None:
        if not found.is_stale:
            return
        found.is_stale = False
        try:
            names = found.names() | found.links.keys()
            found.note_links(await asyncio.to_thread(indexes, found.path, names))
        except errors.WeftError:
            found.is_stale = True
            raise

    async def _look_at_each(self, key: _Place, found: _Namespace) -> None:
        """Checks all interfaces; what the kernel refuses for one is raised after the others."""
        failure: errors.WeftError | None = None
        for device in [*found.interfaces]:
            try:
                await self._look(key, found, device)
            except netlink.Failed as error:
                failure = error
        if failure is not None:
            raise failure

    async def _look(self, key: _Place, found: _Namespace, device: str) -> None:
        """Checks one interface that was down, or is missing."""
        each = found.interfaces.get(device)
        if each is None:
            return
        if self._is_busy(device):
            if self._deps.records.get(device) is None:  # an ADD brings the link up, with its routes
                each.downs &= {_ANY}
            each.downs.add(_LOOK)  # a deletion meanwhile has no further event
            each.gone = None
            self._queue.add(key, after=_PAUSE)
            return
        row = self._deps.ovs.get("Interface", device)
        bound = port.bound(row[1]) if row else None
        nic = self._nic(bound) if bound else None
        if bound is None or nic is None or not each.downs:
            return
        outcome = await asyncio.to_thread(restore, found.path, nic, each.downs)
        if outcome is Outcome.GONE:
            self._miss(key, each, device)
            return
        each.gone = None
        if outcome is Outcome.RESTORED:
            message = "routes of interface %s of Pod %s were given back"
            log.warning(message, bound.interface, bound.pod.key)

    def _nic(self, bound: port.Bound) -> plan.Nic | None:
        """Returns the plan as pod and network are now, else as the ADD made it."""
        known = self._deps.records.get(bound.device)
        return addplan.nic_of(bound, self._deps) or (known.nic if known else None)

    def _miss(self, key: _Place, each: _Interface, device: str) -> None:
        """Reports a missing device if it does not come back within _GRACE."""
        now = asyncio.get_running_loop().time()
        since = each.gone = now if each.gone is None else each.gone
        if now - since < _GRACE:
            self._queue.add(key, after=_GRACE - (now - since))
            return
        each.gone = None
        each.downs.clear()
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


def indexes(namespace: str, names: Iterable[str]) -> dict[str, int]:
    """Returns the indexes of the links with these names; 0 for one that does not exist."""
    with netns.entered(namespace), netlink.opened(f"netns {namespace}") as handle:
        return {name: netlink.find(handle, name) for name in names}


def restore(namespace: str, nic: plan.Nic, downs: set[int]) -> Outcome:
    """Restores the routes of an interface if it is due; clears `downs` when that is done.

    It is due if its link was down, or a device of its network was replaced. All other routes stay
    as others made them: a meta-plugin may move the default route to another interface. A link
    without the interface's addresses is a virtual machine's, and gets no routes.
    """
    with netns.entered(namespace):
        link = netlink.read(nic.interface)
        if link is None:
            return Outcome.GONE
        if not link.up:
            return Outcome.NOTHING
        is_due = bool(downs & {_ANY, link.index}) and not set(nic.addresses).isdisjoint(
            link.addresses
        )
        restored = is_due and routing.ensure(nic.interface, links.routing_of(nic))
        downs.clear()
        return Outcome.RESTORED if restored else Outcome.NOTHING
