"""Restores routes of running pods' interfaces that the kernel has dropped.

A link that goes down takes its routes along, and they do not return with it. Each interface that
has routes is followed by the link events of its namespace, and looked at once when an agent starts.
A pod that deletes a route itself keeps it that way until its link changes.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

from weft import rows
from weft.host import linkevents, netlink, netns, routing
from weft.kube import queue
from weft.nic import plan, port
from weft.node import links, wanted
from weft.node.dependencies import Dependencies

log = logging.getLogger(__name__)

_ANY = 0  # no link has this index
_MANY = 64  # links that are told apart: a pod may make any number
_PAUSE = 0.1  # seconds between two looks at one interface: a pod may flap its links without end


class Keeper:
    """`is_busy` tells whether a device is being made or removed by a call right now."""

    def __init__(self, deps: Dependencies, is_busy: Callable[[str], bool]) -> None:
        self._deps = deps
        self._is_busy = is_busy
        self._events: dict[str, socket.socket] = {}  # by device
        # By device: indexes of links that were down since its routes were looked at, 0 for any.
        self._downs: dict[str, set[int]] = {}
        self._queue = queue.Queue("routes")

    async def run(self) -> None:
        end = self._deps.ovs.subscribe("Interface", self._changed)
        for columns in self._deps.ovs.rows("Interface").values():
            if (bound := port.bound(columns)) is not None:
                self._downs[bound.device] = {_ANY}  # nobody looked while no agent ran
            self._changed("", None, columns)
        try:
            await self._queue.run(self._reconcile, workers=4)
        finally:
            end()
            for device in list(self._events):
                self._unfollow(device)

    def _changed(self, _: str, old: rows.Columns | None, new: rows.Columns | None) -> None:
        before = port.bound(old) if old else None
        after = port.bound(new) if new else None
        if before is not None and (after is None or after.netns != before.netns):
            self._unfollow(before.device)
        if after is not None and after.device not in self._events:
            self._queue.add(after.device)

    async def _reconcile(self, device: str) -> None:
        bound = self._bound(device)
        nic = wanted.nic_of(bound, self._deps) if bound else None
        if bound is None or nic is None or not nic.routes or not bound.netns:
            return
        downs = self._downs.setdefault(device, set())
        try:
            if device not in self._events and not await self._follow(bound):
                return
            downs.update(linkevents.downs(self._events[device]))
            if len(downs) > _MANY:
                downs.clear()
                downs.add(_ANY)
            if self._is_busy(device):  # a call or a repair brings the link up, with its routes
                downs.clear()
                self._queue.add(device, after=_PAUSE)
                return
            had_lost = await asyncio.to_thread(restore, bound.netns, nic, downs)
            if had_lost:
                log.warning(
                    "routes of interface %s of Pod %s were given back after its link was down",
                    bound.interface,
                    bound.pod.key,
                )
        except netns.Gone:
            self._unfollow(device)
            return
        asyncio.get_running_loop().call_later(_PAUSE, self._listen, device)

    def _bound(self, device: str) -> port.Bound | None:
        found = self._deps.ovs.get("Interface", device)
        return port.bound(found[1]) if found else None

    async def _follow(self, bound: port.Bound) -> bool:
        """Whether the port is still there; a socket that outlives it would keep its namespace."""
        events = await asyncio.to_thread(linkevents.opened, bound.netns)
        if self._bound(bound.device) != bound:
            events.close()
            return False
        self._events[bound.device] = events
        return True

    def _listen(self, device: str) -> None:
        if events := self._events.get(device):
            asyncio.get_running_loop().add_reader(events, self._on_event, device)

    def _on_event(self, device: str) -> None:
        asyncio.get_running_loop().remove_reader(self._events[device])
        self._queue.add(device)

    def _unfollow(self, device: str) -> None:
        self._downs.pop(device, None)
        if events := self._events.pop(device, None):
            asyncio.get_running_loop().remove_reader(events)
            events.close()


def restore(namespace: str, nic: plan.Nic, downs: set[int]) -> bool:
    """Whether the interface lacked routes after it was down; takes note of what it has seen.

    An interface that was not down keeps what others made of its routes: a meta-plugin moves the
    default route to another one, and has none for a moment.
    """
    if not downs:
        return False
    with netns.entered(namespace):
        link = netlink.read(nic.interface)
        if link is None or not link.up:
            return False
        was_down = bool(downs & {_ANY, link.index})
        downs.clear()
        return was_down and routing.ensure(nic.interface, links.routing_of(nic))
