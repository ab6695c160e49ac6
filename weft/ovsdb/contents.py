"""Holds the monitored rows of a database, found by UUID and by key.

It takes update2 messages and returns changes. It answers each query of `rows.plan` in O(1), from an
index by key and, for each row, the sets that refer to it.

A change replaces a row's columns by a new mapping, so what a reader keeps does not change; only
large sets and maps (`schema.LARGE`) change in place.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterable, Iterator, Mapping, Set
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import uuid4

from weft import rows
from weft.ovsdb import schema

Json = Any
Columns = dict[str, Any]


class RowChange(NamedTuple):
    """A row before and after a change; None if it does not exist.

    For a set that changed in place, `old` has a `rows.PreviousSet`; for such a map, nothing.
    """

    table: str
    uuid: str
    key: str | None
    old: rows.Columns | None
    new: rows.Columns | None


class _Table:
    """One monitored table: its compiled columns, rows and index."""

    def __init__(self, table: rows.Table, scheme: schema.Schema) -> None:
        self.name = table.name
        self.key = table.key
        self.report_inserts = table.report_inserts
        known = scheme.tables.get(table.name, {})
        blank = [name for name in table.kept_empty if name in known]
        self.columns = scheme.columns(table.name, (*table.columns, *blank))
        self.where = table.where
        self.decode = {name: column.decode for name, column in self.columns.items()}
        self.keep = {name: column.keep for name, column in self.columns.items()}
        self.kept = {name: column.kept for name, column in self.columns.items()}
        self.kept_empty = {name: self.columns[name].default for name in blank}
        # `blank` columns; a row has them only while somebody has filled them.
        self.spare = frozenset(blank) - {*table.columns}
        full = {n: column for n, column in self.columns.items() if n not in self.spare}
        self.defaults = {name: column.default for name, column in full.items()}
        self.referring = tuple(name for name, column in full.items() if column.holds)
        self.weak = {name: column.weak for name, column in full.items() if column.weak}
        self.root = table.name in scheme.roots
        self.unique = frozenset(table.key.columns) in scheme.unique[table.name]
        self.rows: dict[str, Columns] = {}
        self.index: dict[str, str] = {}
        # Further rows with a key that is in the index already: another writer made duplicates.
        self.duplicates: dict[str, list[str]] = {}

    def note(self, key: str | None, uuid: str) -> None:
        if key is not None and self.index.setdefault(key, uuid) != uuid:
            self.duplicates.setdefault(key, []).append(uuid)

    def forget(self, key: str | None, uuid: str) -> None:
        if key is None:
            return
        duplicates = self.duplicates.get(key)
        if self.index[key] != uuid:
            self.duplicates[key].remove(uuid)
        elif duplicates:
            self.index[key] = duplicates.pop(0)
        else:
            del self.index[key]
        if duplicates is not None and not duplicates:
            del self.duplicates[key]


class _Tables(dict[str, _Table]):
    def __missing__(self, name: str) -> _Table:
        raise ValueError(f"table {name} is not monitored")


class _Encoders(dict[str, schema.Encode]):
    """The encoder of each column of a table; only monitored columns can be desired."""

    def __init__(self, table: _Table) -> None:
        super().__init__({name: column.encode for name, column in table.columns.items()})
        self._table = table.name

    def __missing__(self, column: str) -> schema.Encode:
        raise ValueError(f"{self._table}.{column} is desired but not monitored")


class Contents:
    """The monitored rows of one database; implements `rows.Snapshot`."""

    def __init__(self, tables: Iterable[rows.Table], scheme: schema.Schema) -> None:
        self._tables = _Tables({table.name: _Table(table, scheme) for table in tables})
        self._referrers: dict[str, tuple[rows.Referrer, ...]] = {}
        # Rows that weft has inserted, by UUID, until the server confirms them.
        self._expected: dict[str, Columns] = {}
        # New rows of which only table and UUID are known, to be read with `selects`.
        self._unread: dict[str, _Table] = {}
        # The server hashes a UUID by its first 32 bits only, so a counter makes those.
        self._serial = itertools.count(secrets.randbits(32))
        self._tail = str(uuid4())[8:]
        self.encoders = {name: _Encoders(table) for name, table in self._tables.items()}

    # Queries of a plan (rows.Snapshot).

    def get(self, table: str, key: str, /) -> rows.ActualRow | None:
        this = self._tables[table]
        uuid = this.index.get(key)
        return None if uuid is None else (uuid, this.rows[uuid])

    def referrers(self, table: str, uuid: str, /) -> tuple[rows.Referrer, ...] | None:
        return None if self._tables[table].root else self._referrers.get(uuid, ())

    def absence_conditions(self, table: str, key: str, /) -> tuple[rows.Condition, ...] | None:
        this = self._tables[table]
        return None if this.unique else this.key.conditions(key)

    def new_uuid(self) -> str:
        return f"{next(self._serial) & 0xFFFFFFFF:08x}{self._tail}"

    def kept_empty(self, table: str, /) -> Mapping[str, rows.Value]:
        return self._tables[table].kept_empty

    # Other queries.

    def every(self, table: str) -> Mapping[str, rows.Columns]:
        """All monitored rows of a table by UUID: a live view."""
        return MappingProxyType(self._tables[table].rows)

    def requests(self) -> Json:
        """The <monitor-cond-requests> (ovsdb-server(7)) for all tables."""
        return {name: _request(table) for name, table in self._tables.items()}

    # Changes.

    def expect(self, plan: Iterable[rows.Operation]) -> None:
        """Note that these operations are about to be sent."""
        for op in plan:
            if type(op) is rows.Insert and not self._tables[op.table].report_inserts:
                self._expected[op.uuid] = op.columns

    def settle(self, plan: Iterable[rows.Operation]) -> None:
        """Note the reply to these operations: rows that they did not insert will not appear."""
        if self._expected:
            for op in plan:
                if type(op) is rows.Insert:
                    self._expected.pop(op.uuid, None)

    def selects(self) -> list[Json]:
        """Operations that read the unread rows; call it once, and `take_in` with their results."""
        unread, self._unread = self._unread, {}
        return [
            {
                "op": "select",
                "table": table.name,
                "where": [["_uuid", "==", ["uuid", uuid]]],
                "columns": ["_uuid", *table.columns],
            }
            for uuid, table in unread.items()
        ]

    def take_in(self, selects: Iterable[Json], results: Iterable[Json]) -> list[RowChange]:
        """Take in the selected rows; rows deleted since are skipped."""
        return [
            self._read(self._tables[select["table"]], row.pop("_uuid")[1], row)
            for select, result in zip(selects, results, strict=True)
            for row in result["rows"]
        ]

    def patch(self, updates: Json) -> list[RowChange]:
        """Take in the <table-updates2> of a notification or of the initial reply."""
        changes: list[RowChange] = []
        referring: list[tuple[_Table, str]] = []
        for name, updated in updates.items():
            table = self._tables[name]
            for uuid, row in updated.items():
                ((kind, raw),) = row.items()
                if kind == "initial" or (kind == "insert" and table.report_inserts):
                    changes.append(self._read(table, uuid, raw))
                elif kind == "insert":
                    if (own := self._own(table, uuid)) is not None:
                        changes.append(self._insert(table, uuid, own))
                        if table.weak:
                            referring.append((table, uuid))
                    else:
                        self._unread[uuid] = table
                elif uuid not in table.rows:
                    continue  # not read yet; the select will return this change too
                elif kind == "modify":
                    changes.append(self._modify(table, uuid, raw))
                else:
                    changes.append(self._delete(table, uuid))
        # Only after the whole message is it known which rows it deleted.
        for table, uuid in referring:
            if (change := self._drop_dangling(table, uuid)) is not None:
                changes.append(change)
        return changes

    def _read(self, table: _Table, uuid: str, raw: Json) -> RowChange:
        """A new row from the server, which leaves out columns with their default value."""
        columns = table.defaults.copy()
        decode = table.decode
        for name, value in raw.items():
            columns[name] = decode[name](value)
        for name in table.spare & raw.keys():
            if columns[name] == table.kept_empty[name]:
                del columns[name]
        return self._insert(table, uuid, columns)

    def _own(self, table: _Table, uuid: str) -> Columns | None:
        """A new row as weft wrote it; None if it is another writer's, or cannot be known."""
        columns = self._expected.pop(uuid, None)
        if columns is None:
            return None
        # The plan made this mapping for this row only: it becomes the stored row.
        kept = table.kept
        for name, value in columns.items():
            if type(value) is not kept[name]:
                columns[name] = table.keep[name](value)
        if len(columns) < len(table.defaults):
            columns = {**table.defaults, **columns}
        for name, target in table.weak.items():
            if target not in self._tables and _members(columns[name]):
                return None
        return columns

    def _drop_dangling(self, table: _Table, uuid: str) -> RowChange | None:
        """The change that the server made to a row of weft's on insert, if any.

        The server can only drop weak references to rows that are deleted. It sends no update for
        this, since the row never had another state; readers get it as a change.
        """
        old = table.rows.get(uuid)
        if old is None:
            return None
        left: Columns = {}
        for name, target in table.weak.items():
            held = _members(old[name])
            if held and not (held <= self._tables[target].rows.keys()):
                rest = frozenset(held) & self._tables[target].rows.keys()
                left[name] = rest if isinstance(old[name], Set) else schema.EMPTY
        if not left:
            return None
        columns = table.rows[uuid] = {**old, **left}
        return RowChange(table.name, uuid, table.key(columns), old, columns)

    def _insert(self, table: _Table, uuid: str, columns: Columns) -> RowChange:
        key = table.key(columns)
        table.rows[uuid] = columns
        table.note(key, uuid)
        for name in table.referring:
            if columns[name]:
                self._hold(rows.Referrer(table.name, uuid, name), _members(columns[name]))
        return RowChange(table.name, uuid, key, None, columns)

    def _modify(self, table: _Table, uuid: str, raw: Json) -> RowChange:
        old = table.rows[uuid]
        columns = dict(old)
        before: Columns = old
        for name, encoded in raw.items():
            column = table.columns[name]
            diff = column.decode(encoded)
            if name in table.spare:
                columns[name] = column.merge(old.get(name, column.default), diff)
                if columns[name] == column.default:
                    del columns[name]
                continue
            columns[name] = new = column.merge(old[name], diff)
            if new is old[name]:
                before = {n: value for n, value in before.items() if n != name}
                if isinstance(new, Set):
                    before[name] = rows.PreviousSet(new, diff)
            if column.holds:
                # In a set the difference's members changed; a single reference changed wholly.
                touched = diff if isinstance(new, Set) else {*_members(old[name]), *_members(new)}
                self._toggle(rows.Referrer(table.name, uuid, name), touched, _members(new))
        table.rows[uuid] = columns
        key, was = table.key(columns), table.key(old)
        if key != was:
            table.forget(was, uuid)
            table.note(key, uuid)
        return RowChange(table.name, uuid, key, before, columns)

    def _delete(self, table: _Table, uuid: str) -> RowChange:
        old = table.rows.pop(uuid)
        key = table.key(old)
        table.forget(key, uuid)
        for name in table.referring:
            self._release(rows.Referrer(table.name, uuid, name), _members(old[name]))
        return RowChange(table.name, uuid, key, old, None)

    def _toggle(self, referrer: rows.Referrer, touched: Set[str], held: Set[str]) -> None:
        """Update the references after a change, at the cost of the difference only."""
        added = touched & held
        self._hold(referrer, added)
        if len(added) < len(touched):
            self._release(referrer, touched - added)

    def _hold(self, referrer: rows.Referrer, uuids: Iterable[str]) -> None:
        new: dict[str, tuple[rows.Referrer, ...]] = dict.fromkeys(uuids, (referrer,))
        for uuid in self._referrers.keys() & new.keys():
            new[uuid] += self._referrers[uuid]
        self._referrers.update(new)

    def _release(self, referrer: rows.Referrer, uuids: Iterable[str]) -> None:
        for uuid in uuids:
            rest = tuple(h for h in self._referrers.get(uuid, ()) if h != referrer)
            if rest:
                self._referrers[uuid] = rest
            else:
                self._referrers.pop(uuid, None)


class ObservedChange(NamedTuple):
    """A change of a row in an observed table: "insert", "delete", or the changed columns."""

    table: str
    uuid: str
    kind: str
    columns: frozenset[str]


def observe_requests(tables: Iterable[rows.Table], scheme: schema.Schema) -> Json:
    """The <monitor-cond-requests> for observed tables: of a new row only its UUID, and nothing of
    the rows that exist already."""
    quiet = {"initial": False, "modify": False, "delete": False}
    return {
        table.name: [
            {"columns": [], "select": quiet},
            {
                "columns": [c for c in table.columns if c in scheme.tables[table.name]],
                "select": {"initial": False, "insert": False},
            },
        ]
        for table in tables
        if table.name in scheme.tables
    }


def observed_changes(updates: Json) -> list[ObservedChange]:
    """The changes in observed tables from a <table-updates2>."""
    return [
        ObservedChange(table, uuid, kind, frozenset(value or ()))
        for table, updated in updates.items()
        for uuid, row in updated.items()
        for kind, value in row.items()
    ]


def _request(table: _Table) -> Json:
    columns = list(table.columns)
    if table.where:
        where = [[name, how, table.columns[name].encode(value)] for name, how, value in table.where]
        return [{"columns": columns, "where": where}]
    if table.report_inserts:
        return [{"columns": columns}]
    rest = {"initial": False, "modify": False, "delete": False}
    return [{"columns": [], "select": rest}, {"columns": columns, "select": {"insert": False}}]


def _members(value: Any) -> Set[str]:
    return {value} if isinstance(value, str) else value


def differences(old: Contents, new: Contents) -> Iterator[RowChange]:
    """The changes from `old` to `new`: what a reader missed while disconnected."""
    for name, after in new._tables.items():
        before = old._tables[name]
        for uuid, columns in before.rows.items():
            if uuid not in after.rows:
                yield RowChange(name, uuid, before.key(columns), columns, None)
        for uuid, columns in after.rows.items():
            was = before.rows.get(uuid)
            if was != columns:
                yield RowChange(name, uuid, after.key(columns), was, columns)
