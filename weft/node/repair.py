"""Interfaces of running pods after vswitchd was restarted.

The question answered here: how does a pod get its interface back? A port of kind `internal` is
vswitchd's own device: a vswitchd that starts anew makes another of that name in the node's
namespace, and the one in the pod is dead. The new one takes its place, with everything that the
pod had made of the old one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from weft import rows
from weft.host import netlink, netns, transplant
from weft.kube import queue
from weft.nic import port
from weft.node.dependencies import Dependencies

log = logging.getLogger(__name__)


class Repairer:
    """`is_busy` tells whether a device is being made or removed by a call right now."""

    def __init__(self, deps: Dependencies, is_busy: Callable[[str], bool]) -> None:
        self._deps = deps
        self._is_busy = is_busy
        self._queue = queue.Queue("interfaces")

    async def run(self) -> None:
        for columns in self._deps.ovs.rows("Interface").values():
            self._changed("", None, columns)
        end = self._deps.ovs.subscribe("Interface", self._changed)
        try:
            await self._queue.run(self._reconcile, workers=4)
        finally:
            end()

    def _changed(self, uuid: str, old: rows.Columns | None, new: rows.Columns | None) -> None:
        """A device with an index that OVS can see is in the node's namespace, or was just now."""
        if new is not None and new.get("type") == "internal" and new.get("ifindex"):
            bound = port.bound(new)
            if bound is not None and not self._is_busy(bound.device):
                self._queue.add(bound.device)

    async def _reconcile(self, device: str) -> None:
        found = self._deps.ovs.get("Interface", device)
        bound = port.bound(found[1]) if found else None
        if bound is None or not bound.netns or self._is_busy(device):
            return
        if await asyncio.to_thread(replace, bound):
            log.warning(
                "interface %s of Pod %s was given back after a restart of ovs-vswitchd",
                bound.interface,
                bound.pod.key,
            )


def replace(bound: port.Bound) -> bool:
    """Put the new device into the dead one's place; False when there is nothing to do."""
    if netlink.read(bound.device) is None or netns.identity(bound.netns) is None:
        return False
    with netns.entered(bound.netns):
        old = transplant.capture(bound.interface)
        if old is None or old.connected:
            return False  # no ADD ended well for it, or it is alive
        netlink.remove(bound.interface)
    with netns.opened(bound.netns) as target:
        netlink.move(bound.device, target, bound.interface)
    with netns.entered(bound.netns):
        transplant.restore(old)
    return True
