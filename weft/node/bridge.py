"""Keeps the integration bridge as OVN and weft need it, whoever changes it (ADR 0082).

ovn-controller makes the bridge and does not check most of it again. Settings of the administrator,
such as the tunnel endpoint, are only checked: see `weft.app.identity`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Set

from weft import rows
from weft.kube import queue
from weft.nic import port
from weft.ovsdb.replica import Replica

log = logging.getLogger(__name__)

_KEY = "bridge"
_PAUSE = 0.2  # seconds between two writes, in case somebody else keeps writing too
_OPENFLOW = "OpenFlow15"  # the version that ovn-controller and weft use


def desired(bridge: str, protocols: rows.Value) -> tuple[rows.Row, ...]:
    """Returns the columns that weft sets; `protocols` are the bridge's now, empty for all.

    ovn-architecture(7), "Chassis Setup": fail_mode secure, no in-band flows. Spanning tree
    protocols would block ports. Without ovn-is-interconn there are no tunnels to other zones.
    """
    columns: dict[str, rows.DesiredValue] = {
        "fail_mode": "secure",
        "controller": port.NOTHING,
        "stp_enable": False,
        "rstp_enable": False,
        "other_config": rows.MapEntries({"disable-in-band": "true"}),
    }
    if not allows_openflow(protocols):
        columns["protocols"] = port.NOTHING
    ids = rows.MapEntries({"ovn-is-interconn": "true"})
    return (
        rows.Row("Bridge", bridge, columns, is_part=True),
        rows.Row("Open_vSwitch", "", {"external_ids": ids}, is_part=True),
    )


def allows_openflow(protocols: rows.Value) -> bool:
    """Whether a bridge with these protocols allows ovn-controller's OpenFlow version."""
    versions = protocols if isinstance(protocols, Set) else frozenset((str(protocols),))
    return not versions or _OPENFLOW in versions


class BridgeReconciler:
    """Writes changed columns again; one task of the agent."""

    def __init__(self, ovs: Replica, bridge: str = port.BRIDGE) -> None:
        self._ovs, self._bridge = ovs, bridge
        self._queue = queue.Queue[str](f"OVS bridge {bridge}", longest_pause=5.0)

    @property
    def trouble(self) -> str:
        """Which columns differ now; others report a missing bridge."""
        different = self._different()
        if not different:
            return ""
        why = self._queue.trouble
        return f"{', '.join(different)}: changed by somebody" + (f"; {why}" if why else "")

    async def run(self) -> None:
        """Watches and writes until cancelled."""
        ends = [self._ovs.subscribe(table, self._changed) for table in ("Bridge", "Open_vSwitch")]
        self._queue.add(_KEY)
        try:
            await self._queue.run(self._write)
        finally:
            for end in ends:
                end()

    def _changed(self, _: str, __: rows.Columns | None, new: rows.Columns | None) -> None:
        """Compares all rows: there are few bridges, and one row of Open_vSwitch."""
        if new is not None and self._different():
            self._queue.add(_KEY)

    def _desired(self) -> tuple[rows.Row, ...]:
        found = self._ovs.get("Bridge", self._bridge)
        if found is None or self._ovs.get("Open_vSwitch", "") is None:
            return ()
        return desired(self._bridge, found[1]["protocols"])

    def _different(self) -> list[str]:
        different: list[str] = []
        for row in self._desired():
            found = self._ovs.get(row.table, row.key)
            different += rows.differing(row, found and found[1])
        return different

    async def _write(self, _: str) -> None:
        what = ", ".join(self._different())
        if what and await self._ovs.apply(self._desired()):
            log.warning("%s: changed by somebody, written again", what)
            await asyncio.sleep(_PAUSE)
