"""Finds the rows and set members that others put among weft's own, and plans their removal.

weft removes each foreign row that one of its rows refers to, each foreign member of its groups and
sets, and each row with weft's `external_ids` that weft does not desire (ADR 0070). Rows are
suspected when they change, and judged when the zone is written: what is right by then costs
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from weft import names, rows
from weft.control.zone import state
from weft.ovn import policy, ports, tables
from weft.ovsdb import replica


@dataclass(slots=True)
class Verdict:
    """`corrections` remove foreign members from weft's rows and put weft's own back.

    `gone` are keys of rows to delete; `operations` delete foreign rows that no row refers to.
    """

    corrections: list[rows.Row] = field(default_factory=list)
    gone: list[rows.RowKey] = field(default_factory=list)
    operations: list[Any] = field(default_factory=list)


class ForeignRows:
    """Judges the Northbound rows of `nb` by what `zone` desires."""

    def __init__(self, zone: state.Zone, nb: replica.Replica) -> None:
        self._zone, self._nb = zone, nb
        self._rows: set[tuple[str, str]] = set()  # suspected, by table and UUID
        self._robbed: set[tuple[str, str]] = set()  # ours that lost their external_ids
        self._members: dict[rows.RowKey, set[rows.Atom]] = {}  # suspected of a group or set

    def __len__(self) -> int:
        return len(self._rows) + len(self._members)

    def changed(
        self, table: rows.Table, uuid: str, old: rows.Columns | None, new: rows.Columns | None
    ) -> None:
        """Suspects what may be wrong with a changed row, at the cost of the change."""
        if new is None:
            return
        if self._is_strange(table, uuid, new):
            self._rows.add((table.name, uuid))
        if old is None:
            return
        if tables.owner(old) and not tables.owner(new):
            self._rows.add((table.name, uuid))
            self._robbed.add((table.name, uuid))
        if tables.owner(new):
            self._look_inside(table, old, new)

    def look_at_all(self) -> None:
        """Suspects each present row that is foreign."""
        for table in tables.NB:
            for uuid, columns in self._nb.rows(table.name).items():
                if self._is_strange(table, uuid, columns):
                    self._rows.add((table.name, uuid))

    def judge(self, desired: Iterable[rows.Row]) -> Verdict:
        """Returns what to do about everything that was suspected and is still wrong.

        `desired` is about to be written: it gives a row its lost `external_ids` back.
        """
        if not self:
            return Verdict()
        own = {(row.table, row.key) for row in desired if not row.is_part}
        suspected, self._rows = self._rows, set()
        robbed, self._robbed = self._robbed, set()
        members, self._members = self._members, {}
        verdict = Verdict()
        for name, uuid in sorted(suspected):
            columns = self._nb.rows(name).get(uuid)
            table = _NB[name]
            if columns is None:
                continue
            key = table.key(columns)
            found = self._nb.get(name, key) if key is not None else None
            if found is not None and found[0] == uuid and (name, key) in own:
                continue
            if self._is_strange(table, uuid, columns) or ((name, uuid) in robbed and key is None):
                self._expel(table, uuid, columns, verdict)
        for (name, key), atoms in members.items():
            verdict.corrections += self._corrected(name, key, atoms)
        return verdict

    def _is_strange(self, table: rows.Table, uuid: str, columns: rows.Columns) -> bool:
        """Whether a row has our external_ids and is not desired, or lacks them inside our rows."""
        owner = tables.owner(columns)
        if not owner:
            return any(map(self._is_own, self._nb.referrers(table.name, uuid)))
        key = table.key(columns)
        found = self._nb.get(table.name, key) if key is not None else None
        if found is None or found[0] != uuid or key is None:
            return True
        network = tables.external_id(columns, names.NETWORK)
        return not self._zone.is_desired(table.name, key, network, owner)

    def _is_own(self, referrer: rows.Referrer) -> bool:
        columns = self._nb.rows(referrer.table).get(referrer.uuid)
        return columns is not None and bool(tables.owner(columns))

    def _look_inside(self, table: rows.Table, old: rows.Columns, new: rows.Columns) -> None:
        """Suspects what came into the sets of one of our rows, and what left them."""
        for column in tables.CHILD_COLUMNS & new.keys():
            child = tables.CHILD_TABLES.get((table.name, column))
            if child is None or old[column] is new[column]:
                continue
            for uuid in map(str, rows.difference(old[column], new[column])):
                columns = self._nb.rows(child).get(uuid)
                if columns is not None and self._is_strange(_NB[child], uuid, columns):
                    self._rows.add((child, uuid))
        column = tables.MEMBER_COLUMNS.get(table.name, "")
        if column and old[column] is not new[column]:
            key = table.key(new)
            wrong = {
                atom
                for atom in rows.difference(old[column], new[column])
                if key is not None and self._is_wrong(table.name, key, new[column], atom)
            }
            if key is not None and wrong:
                self._members.setdefault((table.name, key), set()).update(wrong)

    def _is_wrong(self, table: str, key: str, members: rows.Value, atom: rows.Atom) -> bool:
        is_inside = atom in members  # type: ignore[operator]
        if table != policy.GROUP:
            return self._zone.policies.is_in_set(key, atom) != is_inside
        port = self._nb.rows(ports.PORT).get(str(atom))
        if port is None:
            return is_inside
        return self._zone.policies.is_member(key, str(port["name"])) != is_inside

    def _corrected(self, table: str, key: str, atoms: Iterable[rows.Atom]) -> Iterable[rows.Row]:
        found = self._nb.get(table, key)
        if found is None or not tables.owner(found[1]):
            return
        column = tables.MEMBER_COLUMNS[table]
        members = found[1][column]
        wrong = {atom for atom in atoms if self._is_wrong(table, key, members, atom)}
        strange = frozenset(atom for atom in wrong if atom in members)  # type: ignore[operator]
        value = rows.SetMembers(frozenset(wrong) - strange, strange)
        if wrong:
            yield rows.Row(table, key, {column: value}, is_part=True)

    def _expel(self, table: rows.Table, uuid: str, columns: rows.Columns, verdict: Verdict) -> None:
        key = table.key(columns)
        found = self._nb.get(table.name, key) if key is not None else None
        if tables.owner(columns) and key is not None and found is not None and found[0] == uuid:
            verdict.gone.append((table.name, key))
            return
        referrers = self._nb.referrers(table.name, uuid)
        for referrer in filter(self._is_own, referrers):
            home = _NB[referrer.table].key(self._nb.rows(referrer.table)[referrer.uuid])
            if home is not None:
                value = rows.SetMembers(absent=frozenset((uuid,)))
                row = rows.Row(referrer.table, home, {referrer.column: value}, is_part=True)
                verdict.corrections.append(row)
        if not referrers:
            where = [["_uuid", "==", ["uuid", uuid]]]
            verdict.operations.append({"op": "delete", "table": table.name, "where": where})


_NB = {table.name: table for table in tables.NB}
