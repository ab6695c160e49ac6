"""Keeps the MACs of other nodes' tunnel endpoints known to a userspace switch.

The kernel's datapath holds packets back until the next hop's MAC is known; Open vSwitch in
userspace drops them. It learns a MAC from any answer that its underlay bridge receives, and forgets
it when no packet used it for 15 minutes. So the node asks when a node appears, and again before
that time is over.
"""

from __future__ import annotations

import asyncio
import logging

from weft import model, rows
from weft.host import neighbours
from weft.kube import queue
from weft.nic import switchsettings
from weft.ovsdb.replica import Replica

log = logging.getLogger(__name__)

PATIENCE = 4.0  # seconds for an answer: the kernel asks three times, a second apart
AGAIN, LONGEST = 1.0, 30.0  # seconds until silent endpoints are asked again, at first and later
REFRESH = 300.0  # seconds until all are: a third of the time after which the switch forgets
MAX_NAMED = 5  # endpoints that a message names
_SILENT, _ALL = "that have not answered", "all"


class TunnelPeers:
    """One task of the agent; it does nothing where the switch has no underlay bridge of weft's."""

    def __init__(self, own: str, ovs: Replica) -> None:
        self._own, self._ovs = own, ovs
        self._endpoints: dict[str, tuple[str, ...]] = {}
        self._asked: frozenset[str] = frozenset()
        self._answered: frozenset[str] = frozenset()
        self._pause = AGAIN
        self._queue = queue.Queue[str]("tunnel endpoints", longest_pause=5.0)

    @property
    def trouble(self) -> str:
        """Which endpoints have not been asked yet; else empty. One that does not answer does not
        count: a node that is down makes no other one unready."""
        if not self._is_userspace:
            return ""
        return self._queue.trouble or _listed("not asked yet", self._all() - self._asked)

    def set_node(self, name: str, info: model.NodeInfo | None) -> None:
        """Sets the endpoints of a node; None: it is gone."""
        found = info.encap_ips if info is not None and name != self._own else ()
        if found == self._endpoints.get(name, ()):
            return
        self._endpoints[name] = found
        if not found:
            del self._endpoints[name]
        if self._all() - self._asked:
            self._pause = AGAIN
            self._queue.add(_SILENT)

    async def run(self) -> None:
        """Asks until cancelled."""
        end = self._ovs.subscribe("Interface", self._changed)
        self._queue.add(_ALL, REFRESH)
        try:
            await self._queue.run(self._ask)
        finally:
            end()

    def _changed(self, _: str, __: rows.Columns | None, new: rows.Columns | None) -> None:
        """A switch that starts again has forgotten everything."""
        if new is not None and new.get("name") == switchsettings.UNDERLAY_BRIDGE:
            self._asked = self._answered = frozenset()
            self._queue.add(_ALL)

    @property
    def _is_userspace(self) -> bool:
        return self._ovs.get("Bridge", switchsettings.UNDERLAY_BRIDGE) is not None

    def _all(self) -> frozenset[str]:
        return frozenset(each for found in self._endpoints.values() for each in found)

    async def _ask(self, which: str) -> None:
        if not self._is_userspace:
            return
        addresses = self._all() - (self._answered if which == _SILENT else frozenset())
        answered = await asyncio.to_thread(
            neighbours.resolve, switchsettings.UNDERLAY_BRIDGE, addresses, PATIENCE
        )
        silent = addresses - answered
        if new := silent - self._asked:
            log.warning("%s", _listed("silent", new))
        self._asked |= addresses
        self._answered = (self._answered | answered) - silent
        if silent:
            self._queue.add(_SILENT, self._pause)
            self._pause = min(self._pause * 2, LONGEST)
        if which == _ALL:
            self._queue.add(_ALL, REFRESH)


def _listed(what: str, endpoints: frozenset[str]) -> str:
    if not endpoints:
        return ""
    more = ", ..." if len(endpoints) > MAX_NAMED else ""
    shown = ", ".join(sorted(endpoints)[:MAX_NAMED])
    return f"tunnel endpoints of other nodes, {len(endpoints)} of them {what}: {shown}{more}"
