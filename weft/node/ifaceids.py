"""Finds the OVS interfaces with one iface-id: a second one diverts a logical port's traffic.

An index that follows the replica's changes, so that a lookup costs O(1). `repair.py` decides what
happens to a rival.
"""

from __future__ import annotations

from collections.abc import Set

from weft import names, rows
from weft.nic import port


class IfaceIds:
    """Devices by iface-id; pass `note` each change of an Interface row."""

    def __init__(self) -> None:
        self._devices: dict[str, set[str]] = {}

    def note(self, old: rows.Columns | None, new: rows.Columns | None) -> None:
        for columns, change in ((old, set.discard), (new, set.add)):
            claimed = claim(columns)
            if columns is not None and claimed:
                devices = self._devices.setdefault(claimed, set())
                change(devices, str(columns["name"]))
                if not devices:
                    del self._devices[claimed]

    def of(self, logical_port: str) -> Set[str]:
        return self._devices.get(logical_port, frozenset())


def claim(columns: rows.Columns | None) -> str:
    """Returns the logical port that an Interface row claims; empty for none."""
    return str(port.external_ids(columns).get(names.IFACE_ID, "")) if columns is not None else ""


def disclaimed(device: str) -> rows.Row:
    """Returns a row that removes a rival's iface-id. The port stays: somebody may use it."""
    ids = rows.MapEntries(absent=frozenset({names.IFACE_ID}))
    return rows.Row("Interface", device, {"external_ids": ids}, is_part=True)
