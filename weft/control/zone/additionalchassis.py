"""Has OVN copy what is sent to a machine that migrates to the node where it will run.

In the zone of that node ovn-controller does so itself, as the port's row names both chassis. In
other zones no ovn-controller would, so there the agent writes the second chassis to the port's
Southbound binding. It removes it once the port is bound to that chassis: every packet would arrive
twice. northd does not touch the column (ADR 0113).

A port that is bound to a chassis, and has it as second chassis too, gets every packet twice. northd
binds another zone's port without that column, so weft binds it first, by one change of both, before
it writes the port's row: northd then finds nothing to change.

Once the guest has announced itself, ovn-controller notes so in the binding, and nobody removes the
note. With it, the port would not wait at the next migration to this node.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from weft import errors, names, rows
from weft.kube import queue
from weft.ovn import interconnect, ports, tables
from weft.ovsdb import contents, replica

log = logging.getLogger(__name__)

BINDING = "Port_Binding"
STRATEGY = "activation-strategy"
REQUESTED = "requested-chassis"

_Row = Mapping[str, rows.DesiredValue]  # as it is, or as it is to be


class AdditionalChassis:
    """Keeps the additional chassis in `sb` as the rows of ports in `nb` have them."""

    def __init__(self, nb: replica.Replica, sb: replica.Replica) -> None:
        self._nb, self._sb = nb, sb
        self._queue = queue.Queue[str]("additional chassis")
        self._followed: set[str] = set()  # ports whose bindings are looked at when any changes
        self._entering: set[str] = set()  # ports that wait from now on: an older note is stale
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

    async def switch(self, desired: Iterable[rows.Row]) -> None:
        """Binds the ports among these rows whose machines have moved; call before they are written.

        Where it fails, northd binds them, and what was their second chassis is removed after that.
        """
        known = self._sb.rows(BINDING).values()
        moving = {str(each["logical_port"]) for each in known if each["additional_chassis"]}
        for row in desired if moving else ():
            if row.table == ports.PORT and row.key in moving:
                with contextlib.suppress(errors.WeftError):
                    await self._switch(row)

    async def _switch(self, row: rows.Row) -> None:
        """Binds a port as its row will have it, if that is where its machine went."""
        before, chassis = self._nb.get(ports.PORT, row.key), _requested(row.columns)
        arrived = _meant(before[1])[0] if before is not None else ""
        main = self._sb.get(interconnect.CHASSIS, chassis)
        if not arrived or arrived != chassis or _meant(row.columns)[0] or main is None:
            return
        where = [["logical_port", "==", row.key]]
        bound = {"chassis": ["uuid", main[0]], "additional_chassis": ["set", []]}
        # Or ovn-controller, where the machine was, would take the port back.
        bound["requested_chassis"] = bound["chassis"]
        options = ["map", [[REQUESTED, _option(row.columns)]]]
        mutations = [["options", "delete", ["set", [REQUESTED]]], ["options", "insert", options]]
        of_binding = {"table": BINDING, "where": where}
        await self._sb.transact(
            [
                {"op": "update", **of_binding, "row": bound},
                {"op": "mutate", **of_binding, "mutations": mutations},
            ]
        )

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


def _meant(columns: _Row | None) -> tuple[str, bool]:
    """Returns the second chassis of a port's row, and whether the port waits for its guest."""
    if columns is None or not tables.owner(columns):
        return "", False
    options = columns.get("options")
    waits = isinstance(options, Mapping) and STRATEGY in options
    return tables.external_id(columns, names.ALSO_ON), waits


def _requested(columns: _Row) -> str:
    """Returns the chassis to which a port's row binds it."""
    return _option(columns).partition(",")[0]


def _option(columns: _Row) -> str:
    options = columns.get("options")
    return str(options.get(REQUESTED, "")) if isinstance(options, Mapping) else ""


def uuids(raw: Any) -> frozenset[str]:
    """Parses a column of references in OVSDB's JSON notation (RFC 7047, section 5.1)."""
    kind, value = raw
    return frozenset((value,)) if kind == "uuid" else frozenset(uuid for _, uuid in value)
