"""Has OVN copy what is sent to a machine that migrates to the node where it will run.

In the zone of that node ovn-controller does so itself, as the port's row names both chassis. In
other zones no ovn-controller would, so there the agent writes the second chassis to the port's
Southbound binding. It removes it once the port is bound to that chassis: every packet would arrive
twice. northd does not touch the column (ADR 0113).

ovn-controller must not see the new binding with the second chassis still there. The database
server itself waits for northd's transaction and has weft's follow at once, so that both come as one
change.

Once the guest has announced itself, ovn-controller notes so in the binding, and nobody removes the
note. With it, the port would not wait at the next migration to this node.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from typing import Any

from weft import errors, names, rows
from weft.kube import queue
from weft.ovn import interconnect, ports, tables
from weft.ovsdb import contents, replica

log = logging.getLogger(__name__)

BINDING = "Port_Binding"
STRATEGY = "activation-strategy"
BOUND = 1.0  # seconds that northd has for a change of a port's row


class AdditionalChassis:
    """Keeps the additional chassis in `sb` as the rows of ports in `nb` have them."""

    def __init__(self, nb: replica.Replica, sb: replica.Replica) -> None:
        self._nb, self._sb = nb, sb
        self._queue = queue.Queue[str]("additional chassis")
        self._followed: set[str] = set()  # ports whose bindings are looked at when any changes
        self._entering: set[str] = set()  # ports that wait from now on: an older note is stale
        self._arrived: dict[str, str] = {}  # ports that are now bound to what was their second
        self._began = False
        nb.subscribe(ports.PORT, self._row_changed)
        sb.subscribe(BINDING, self._binding_changed)
        sb.observe(self._seen)

    @property
    def trouble(self) -> str:
        """A port whose binding cannot be written, and why; else empty."""
        return self._queue.trouble

    async def run(self) -> None:
        """Writes bindings until cancelled; looks at all of them first."""
        self._began = True
        self.reset()
        await self._queue.run(self._reconcile)

    def reset(self) -> None:
        """Looks at all bindings again; for when changes may have been missed."""
        if self._began:
            self._queue.add("")

    def _row_changed(self, _: str, old: rows.Columns | None, new: rows.Columns | None) -> None:
        before, after = _meant(old), _meant(new)
        columns = new or old
        if before == after or columns is None:
            return
        port = str(columns["name"])
        (self._followed.add if any((*before, *after)) else self._followed.discard)(port)
        if after[1] and not before[1]:
            self._entering.add(port)
        if new is not None and before[0] and not after[0] and _requested(new) == before[0]:
            self._arrived[port] = before[0]
        self._queue.add(port)

    def _binding_changed(self, _: str, old: rows.Columns | None, new: rows.Columns | None) -> None:
        """A binding has, or had, a second chassis or none."""
        columns = new or old
        assert columns is not None
        self._queue.add(str(columns["logical_port"]))

    def _seen(self, seen: list[contents.ObservedChange]) -> None:
        """A binding is new or changed: perhaps that of a port that migrates."""
        if self._followed and any(each.table == BINDING for each in seen):
            for port in self._followed:
                self._queue.add(port)

    async def _reconcile(self, key: str) -> None:
        """Compares the binding of one port, or looks for all that differ ("")."""
        if not key:
            for columns in self._nb.rows(ports.PORT).values():
                if any(_meant(columns)):
                    self._queue.add(str(columns["name"]))
            for columns in self._sb.rows(BINDING).values():
                self._queue.add(str(columns["logical_port"]))
            return
        if arrived := self._arrived.pop(key, ""):
            await self._hand_over(key, arrived)
        found = self._nb.get(ports.PORT, key)
        if found is None or not tables.owner(found[1]):
            self._entering.discard(key)
            self._followed.discard(key)
            return
        also_on, waits = _meant(found[1])
        select = {
            "op": "select",
            "table": BINDING,
            "where": [["logical_port", "==", key]],
            "columns": ["chassis", "additional_chassis", "options"],
        }
        (answer,) = await self._sb.transact([select])
        for binding in answer["rows"]:
            updates = []
            # While northd has not followed the row yet, the note keeps the gate of before open.
            if key in self._entering or not (waits or STRATEGY in dict(binding["options"][1])):
                updates += _without_note(key, binding)
            if not waits:
                updates += self._with_chassis(key, binding, _requested(found[1]), also_on)
            if updates:
                await self._sb.transact(updates)
                log.info("port %s: additional chassis %s", key, also_on or "none")
            elif not (waits or also_on or STRATEGY in dict(binding["options"][1])):
                self._followed.discard(key)
        self._entering.discard(key)

    async def _hand_over(self, port: str, chassis: str) -> None:
        """Makes a port's second chassis its only one together with northd's binding to it."""
        main = self._sb.get(interconnect.CHASSIS, chassis)
        if main is None:
            return
        where = [["logical_port", "==", port]]
        wait = {
            "op": "wait",
            "timeout": int(1000 * BOUND),
            "table": BINDING,
            "where": where,
            "columns": ["chassis"],
            "until": "==",
            "rows": [{"chassis": ["uuid", main[0]]}],
        }
        row = {"additional_chassis": ["set", []]}
        update = {"op": "update", "table": BINDING, "where": where, "row": row}
        with contextlib.suppress(errors.Conflict):  # not bound in time, or gone
            await self._sb.transact([wait, update])

    def _with_chassis(
        self, port: str, binding: Mapping[str, Any], requested: str, also_on: str
    ) -> list[Any]:
        """Returns the write of the additional chassis of a port that is bound as requested.

        One that is not bound yet gets it, or loses it, when it is: until then each chassis that
        gets packets may be the right one.
        """
        main = self._sb.get(interconnect.CHASSIS, requested)
        if main is None or uuids(binding["chassis"]) != {main[0]}:
            return []
        meant: frozenset[str] = frozenset()
        if also_on:
            second = self._sb.get(interconnect.CHASSIS, also_on)
            if second is None:
                raise errors.NotReady("is not in the Southbound database yet", where=also_on)
            meant = frozenset({second[0]})
        if uuids(binding["additional_chassis"]) == meant:
            return []
        where = [["logical_port", "==", port], ["chassis", "==", ["uuid", main[0]]]]
        row = {"additional_chassis": ["set", [["uuid", each] for each in sorted(meant)]]}
        return [{"op": "update", "table": BINDING, "where": where, "row": row}]


def _without_note(port: str, binding: Mapping[str, Any]) -> list[Any]:
    if ports.ACTIVATED not in dict(binding["options"][1]):
        return []
    mutation = ["options", "delete", ["set", [ports.ACTIVATED]]]
    where = [["logical_port", "==", port]]
    return [{"op": "mutate", "table": BINDING, "where": where, "mutations": [mutation]}]


def _meant(columns: rows.Columns | None) -> tuple[str, bool]:
    """Returns the second chassis of a port's row, and whether the port waits for its guest."""
    if columns is None or not tables.owner(columns):
        return "", False
    options = columns["options"]
    waits = isinstance(options, Mapping) and STRATEGY in options
    return tables.external_id(columns, names.ALSO_ON), waits


def _requested(columns: rows.Columns) -> str:
    """Returns the chassis to which a port's row binds it."""
    options = columns["options"]
    chassis = options.get("requested-chassis", "") if isinstance(options, Mapping) else ""
    return str(chassis).partition(",")[0]


def uuids(raw: Any) -> frozenset[str]:
    """Parses a column of references in OVSDB's JSON notation (RFC 7047, section 5.1)."""
    kind, value = raw
    return frozenset((value,)) if kind == "uuid" else frozenset(uuid for _, uuid in value)
