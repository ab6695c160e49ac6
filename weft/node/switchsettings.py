"""Writes this node's name, tunnel endpoint and datapath to Open vSwitch, if asked to."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from pathlib import Path

from weft import errors, rows
from weft.host import linkconfig, linkevents, netlink
from weft.kube import queue
from weft.nic import port, switchsettings
from weft.node import uplink
from weft.ovn import daemons
from weft.ovsdb.replica import Replica

log = logging.getLogger(__name__)

_KEY = "settings"
_OWN_NAMESPACE = "/proc/self/ns/net"
_PAUSE = 0.2  # seconds between two writes, in case somebody else keeps writing too


def datapath(kind: str) -> str:
    """Returns OVS's datapath type for `kernel`, `userspace` or `auto` (the kernel's if present)."""
    if kind != "auto":
        return switchsettings.KERNEL if kind == "kernel" else switchsettings.USERSPACE
    has_one = netlink.has_family("ovs_datapath")
    return switchsettings.KERNEL if has_one else switchsettings.USERSPACE


class SettingsReconciler:
    """One task of the agent. `interface`: the one that tunnels use; empty: that of `encap_ip`.

    `kind`: see `datapath`; `memory`: the file in which `uplink` stores the interface's addresses.
    """

    def __init__(
        self, ovs: Replica, node: str, *, encap_ip: str, interface: str, kind: str, memory: Path
    ) -> None:
        self._ovs, self._node, self._kind = ovs, node, kind
        self._encap_ip, self._interface, self._memory = encap_ip, interface, memory
        self._queue = queue.Queue[str]("Open vSwitch", longest_pause=5.0)
        self._uplink: linkconfig.Device | None = None
        self._bridge = 0  # the index of the bridge that has the uplink's addresses
        self._conflict = ""

    @property
    def trouble(self) -> str:
        """Why the settings are not in Open vSwitch; else empty."""
        return self._conflict or self._queue.trouble

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keeps the settings for as long as the scope lasts; what is written stays."""
        tables = ("Open_vSwitch", "Bridge", "Port", "Interface")
        ends = [self._ovs.subscribe(table, self._changed) for table in tables]
        events = await asyncio.to_thread(linkevents.opened, _OWN_NAMESPACE, addresses=True)
        loop = asyncio.get_running_loop()
        loop.add_reader(events, self._links_changed, events)
        self._queue.add(_KEY)
        task = asyncio.create_task(self._queue.run(self._write), name="switch settings")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            loop.remove_reader(events)
            events.close()
            for end in ends:
                end()

    def _links_changed(self, events: socket.socket) -> None:
        """Configures the bridge again that somebody set down or took an address from.

        The switch does, too: it sets the bridge down to change its MAC, and restores what it read
        before.
        """
        lost = {*linkevents.links_down(events)}
        if self._bridge and lost & {self._bridge, 0}:
            self._queue.add(_KEY)

    def _changed(self, _: str, __: rows.Columns | None, new: rows.Columns | None) -> None:
        """Ignores the ports of pods, which change all the time."""
        mine = ("", switchsettings.UNDERLAY_BRIDGE, self._interface)
        if new is None or str(new.get("name", "")) in mine:
            self._queue.add(_KEY)

    async def _write(self, _: str) -> None:
        settings = await asyncio.to_thread(self._settings)
        found = self._ovs.get("Open_vSwitch", "")
        ids = port.external_ids(found[1]) if found is not None else {}
        try:
            desired = switchsettings.desired(settings, ids)
        except errors.Conflict as error:
            self._conflict = error.in_full()
            raise
        self._conflict = ""
        if await self._ovs.apply(desired):
            log.info("wrote the settings of node %s to Open vSwitch", self._node)
            await asyncio.sleep(_PAUSE)
        if self._uplink is not None:
            self._bridge = await asyncio.to_thread(uplink.hand_over, self._uplink)

    def _settings(self) -> switchsettings.Settings:
        kind = datapath(self._kind)
        encap_ip, taken = self._encap_ip, None
        if self._interface:
            device = uplink.remembered(self._interface, self._memory)
            encap_ip = uplink.address(device)
            if kind == switchsettings.USERSPACE:
                self._uplink = device
                taken = switchsettings.Uplink(device.name, device.mac, device.mtu)
        elif kind == switchsettings.USERSPACE:
            raise errors.Unavailable(
                "has no Open vSwitch in its kernel, and no interface for one beside it is named",
                where=f"node {self._node}",
                hint="load the module openvswitch, or set --tunnel-interface"
                " (in the chart: node.tunnelInterface)",
            )
        return switchsettings.Settings(self._node, encap_ip, daemons.SB, kind, taken)
