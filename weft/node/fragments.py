"""Sets the userspace switch's minimum fragment size for networks with a small MTU.

By default, the userspace datapath drops a fragment of less than 1,200 bytes (IPv4) or 1,280 (IPv6)
that is not the last, on each network with a policy. weft serves MTUs from 576 bytes on (ADR 0065).
vswitchd forgets the setting when it ends.
"""

from __future__ import annotations

import logging
from pathlib import Path

from weft import errors
from weft.host import sockets, unixctl
from weft.kube import queue
from weft.nic import port
from weft.ovsdb.replica import Replica

log = logging.getLogger(__name__)

# Open vSwitch's own limits.
SMALLEST = 400  # bytes, of a fragment that is not the last
MOST = 5000  # fragments that wait for others; a datagram of 64 KiB has 119 where the MTU is 576

_KEY = "fragments"


class Fragments:
    """Call `switch_started` each time that vswitchd may have restarted.

    `trouble` says why small fragments may be lost, else it is empty.
    """

    def __init__(self, ovs: Replica, bridge: str = port.BRIDGE) -> None:
        self._ovs, self._bridge = ovs, bridge
        self._queue = queue.Queue[str](
            "settings of the switch", on_error=self._failed, longest_pause=5
        )
        self.trouble = ""

    async def run(self) -> None:
        """Sets the size after each `switch_started`, until cancelled."""
        await self._queue.run(self._configure)

    def switch_started(self) -> None:
        self._queue.add(_KEY)

    def _failed(self, _: str, error: errors.WeftError) -> None:
        self.trouble = f"small fragments may be lost: {error}"

    async def _configure(self, _: str) -> None:
        found = self._ovs.get("Bridge", self._bridge)
        switch_commands = commands(str(found[1]["datapath_type"])) if found is not None else ()
        folder = sockets.folder(self._ovs.address)
        for command in switch_commands:
            await self._call(sockets.control(folder), *command)
        self.trouble = ""

    async def _call(self, socket: Path, *command: str) -> None:
        try:
            await unixctl.call(socket, *command)
        except unixctl.Refused as error:  # another version of Open vSwitch, without this command
            log.warning("small fragments may be lost: %s", error)


def commands(datapath: str) -> tuple[tuple[str, ...], ...]:
    """Returns the commands for a datapath type; none for the kernel's, which has other rules."""
    if datapath != "netdev":
        return ()
    return (
        ("dpctl/ipf-set-min-frag", "v4", str(SMALLEST)),
        ("dpctl/ipf-set-min-frag", "v6", str(SMALLEST)),
        ("dpctl/ipf-set-max-nfrags", str(MOST)),
    )
