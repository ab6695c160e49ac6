"""A Northbound database as a dict, which does what OVSDB does with the rows of policies.

A port that goes leaves its groups, an ACL is nothing without its group, and a part of a row is none
without the row.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from weft import rows
from weft.ovn import policy as ovn
from weft.ovn import ports

Ident = rows.RowKey


class Database:
    """The Northbound rows; references are the key of what they refer to."""

    def __init__(self) -> None:
        self.rows: dict[Ident, dict[str, Any]] = {}
        self._parents: dict[Ident, Ident] = {}

    def apply(self, desired: Iterable[rows.Row], gone: Iterable[Ident] = ()) -> None:
        desired = list(desired)
        wanted = {(row.table, row.key) for row in desired}
        for ident in gone:
            if ident not in wanted:
                self.rows.pop(ident, None)
        for row in sorted(desired, key=lambda row: row.is_part):
            self._write(row)
        self._collect()

    def _write(self, row: rows.Row) -> None:
        ident = (row.table, row.key)
        assert not row.is_part or ident in self.rows, f"a part of {ident}, which is not there"
        columns = self.rows.setdefault(ident, {})
        for column, desired in row.columns.items():
            if isinstance(desired, rows.SetMembers):
                before = columns.get(column, frozenset())
                columns[column] = frozenset(
                    (before - _keys(desired.absent)) | _keys(desired.present)
                )
            else:
                columns[column] = desired
        if row.parent is not None:
            self._parents[ident] = (row.parent.table, row.parent.key)

    def _collect(self) -> None:
        for ident in list(self.rows):
            if ident in self._parents and self._parents[ident] not in self.rows:
                del self.rows[ident]
        there = {key for table, key in self.rows if table == ports.PORT}
        for (table, _), columns in self.rows.items():
            if table == ovn.GROUP:
                columns["ports"] = columns.get("ports", frozenset()) & there

    def group(self, group: ovn.Group) -> frozenset[str] | None:
        found = self.rows.get((ovn.GROUP, group.name))
        return None if found is None else found["ports"]

    def of(self, table: str) -> dict[str, dict[str, Any]]:
        return {key: columns for (kind, key), columns in self.rows.items() if kind == table}


class Replica:
    """It as a comparison of everything reads it: a row's key stands for its uuid."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def rows(self, table: str) -> dict[str, dict[str, Any]]:
        return self._database.of(table)

    def get(self, table: str, key: str) -> tuple[str, dict[str, Any]] | None:
        columns = self._database.rows.get((table, key))
        return None if columns is None else (key, columns)

    def uuid(self, table: str, key: str) -> str | None:
        return key if (table, key) in self._database.rows else None


def _keys(members: Iterable[Any]) -> frozenset[Any]:
    return frozenset(m.key if isinstance(m, rows.Ref) else m for m in members)
