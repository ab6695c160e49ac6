"""Finds the OVS interfaces that have one iface-id: two of them divert a logical port's traffic.

Kept up to date by the replica's changes, so that an answer costs O(1) however many ports there
are. What becomes of a rival is decided in `repair.py`.
"""

from __future__ import annotations

from collections.abc import Set

from weft import names, rows
from weft.nic import port


class IfaceIds:
    """By iface-id; `note` each change of an Interface row."""

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
    """The logical port that a row claims; empty for none."""
    return str(port.external_ids(columns).get(names.IFACE_ID, "")) if columns is not None else ""


def disclaimed(device: str) -> rows.Row:
    """The row of a rival, without its claim. The port itself may be of use to somebody."""
    ids = rows.MapEntries(absent=frozenset({names.IFACE_ID}))
    return rows.Row("Interface", device, {"external_ids": ids}, is_part=True)
