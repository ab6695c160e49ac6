"""Holds the monitored rows of a database, found by UUID and by key.

Pure: update2 messages in, changes out. It answers everything that `rows.plan` asks in O(1), which
is why it keeps, beside the rows, an index by key and one from each row to the sets that hold it.

A row's columns are a new mapping after each change, so what a reader holds stays as it was; only
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


class Change(NamedTuple):
    """A row before and after; None where it did not or does not exist.

    `old` has a `rows.Former` for a set that changed in place, and lacks a map that did.
    """

    table: str
    uuid: str
    key: str | None
    old: rows.Columns | None
    new: rows.Columns | None


class _Table:
    """One monitored table: its compiled columns, its rows and its index."""

    def __init__(self, table: rows.Table, scheme: schema.Schema) -> None:
        self.name = table.name
        self.key = table.key
        self.echo = table.echo
        known = scheme.tables.get(table.name, {})
        blank = [name for name in table.blank if name in known]
        self.columns = scheme.columns(table.name, (*table.columns, *blank))
        self.where = table.where
        self.decode = {name: column.decode for name, column in self.columns.items()}
        self.keep = {name: column.keep for name, column in self.columns.items()}
        self.kept = {name: column.kept for name, column in self.columns.items()}
        self.blank = {name: self.columns[name].default for name in blank}
        # Kept only where somebody has filled them, so that they cost nothing.
        self.spare = frozenset(blank) - {*table.columns}
        full = {n: column for n, column in self.columns.items() if n not in self.spare}
        self.defaults = {name: column.default for name, column in full.items()}
        self.holding = tuple(name for name, column in full.items() if column.holds)
        self.weak = {name: column.weak for name, column in full.items() if column.weak}
        self.root = table.name in scheme.roots
        self.unique = frozenset(table.key.columns) in scheme.unique[table.name]
        self.rows: dict[str, Columns] = {}
        self.index: dict[str, str] = {}
        # Further rows of a key that the index knows already: somebody made twins.
        self.twins: dict[str, list[str]] = {}

    def note(self, key: str | None, uuid: str) -> None:
        if key is not None and self.index.setdefault(key, uuid) != uuid:
            self.twins.setdefault(key, []).append(uuid)

    def forget(self, key: str | None, uuid: str) -> None:
        if key is None:
            return
        twins = self.twins.get(key)
        if self.index[key] != uuid:
            self.twins[key].remove(uuid)
        elif twins:
            self.index[key] = twins.pop(0)
        else:
            del self.index[key]
        if twins is not None and not twins:
            del self.twins[key]


class _Tables(dict[str, _Table]):
    def __missing__(self, name: str) -> _Table:
        raise ValueError(f"table {name} is not monitored")


class _Encoders(dict[str, schema.Encode]):
    """How each column of a table is written; only what is monitored can be compared, so desired."""

    def __init__(self, table: _Table) -> None:
        super().__init__({name: column.encode for name, column in table.columns.items()})
        self._table = table.name

    def __missing__(self, column: str) -> schema.Encode:
        raise ValueError(f"{self._table}.{column} is desired but not monitored")


class Contents:
    """The monitored rows of one database; a `rows.Snapshot`."""

    def __init__(self, tables: Iterable[rows.Table], scheme: schema.Schema) -> None:
        self._tables = _Tables({table.name: _Table(table, scheme) for table in tables})
        self._holders: dict[str, tuple[rows.Referrer, ...]] = {}
        # What rows of weft's own making will be, by UUID, until the server says that they are.
        self._expected: dict[str, Columns] = {}
        # New rows, by UUID, of which nothing is known but their table: to be read by `selects`.
        self._unread: dict[str, _Table] = {}
        # The server hashes a UUID by its first 32 bits alone: those are counted.
        self._serial = itertools.count(secrets.randbits(32))
        self._tail = str(uuid4())[8:]
        self.encoders = {name: _Encoders(table) for name, table in self._tables.items()}

    # What the plan asks.

    def get(self, table: str, key: str, /) -> rows.Found | None:
        this = self._tables[table]
        uuid = this.index.get(key)
        return None if uuid is None else (uuid, this.rows[uuid])

    def holders(self, table: str, uuid: str, /) -> tuple[rows.Referrer, ...] | None:
        return None if self._tables[table].root else self._holders.get(uuid, ())

    def guard(self, table: str, key: str, /) -> tuple[rows.Condition, ...] | None:
        this = self._tables[table]
        return None if this.unique else this.key.conditions(key)

    def fresh(self) -> str:
        return f"{next(self._serial) & 0xFFFFFFFF:08x}{self._tail}"

    def blank(self, table: str, /) -> Mapping[str, rows.Value]:
        return self._tables[table].blank

    # What others ask.

    def every(self, table: str) -> Mapping[str, rows.Columns]:
        return MappingProxyType(self._tables[table].rows)

    def requests(self) -> Json:
        """The <monitor-cond-requests> by which the server tells what this needs to know."""
        return {name: _request(table) for name, table in self._tables.items()}

    # How it changes.

    def expect(self, plan: Iterable[rows.Operation]) -> None:
        """These operations are about to be sent."""
        for op in plan:
            if type(op) is rows.Insert and not self._tables[op.table].echo:
                self._expected[op.uuid] = op.columns

    def settle(self, plan: Iterable[rows.Operation]) -> None:
        """These operations have been answered: what did not come of them will not come."""
        if self._expected:
            for op in plan:
                if type(op) is rows.Insert:
                    self._expected.pop(op.uuid, None)

    def selects(self) -> list[Json]:
        """Operations that read what is unread; call it once, and `take_in` their results."""
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

    def take_in(self, selects: Iterable[Json], results: Iterable[Json]) -> list[Change]:
        """The rows that were selected; those that went meanwhile are no matter."""
        return [
            self._read(self._tables[select["table"]], row.pop("_uuid")[1], row)
            for select, result in zip(selects, results, strict=True)
            for row in result["rows"]
        ]

    def patch(self, updates: Json) -> list[Change]:
        """Take in the <table-updates2> of a notification or of the first reply."""
        changes: list[Change] = []
        referring: list[tuple[_Table, str]] = []
        for name, updated in updates.items():
            table = self._tables[name]
            for uuid, row in updated.items():
                ((kind, raw),) = row.items()
                if kind == "initial" or (kind == "insert" and table.echo):
                    changes.append(self._read(table, uuid, raw))
                elif kind == "insert":
                    if (own := self._own(table, uuid)) is not None:
                        changes.append(self._insert(table, uuid, own))
                        if table.weak:
                            referring.append((table, uuid))
                    else:
                        self._unread[uuid] = table
                elif uuid not in table.rows:
                    continue  # not read yet, and what will be read has this already
                elif kind == "modify":
                    changes.append(self._modify(table, uuid, raw))
                else:
                    changes.append(self._delete(table, uuid))
        # Only now is it known which rows went in the same message.
        for table, uuid in referring:
            if (change := self._drop_dangling(table, uuid)) is not None:
                changes.append(change)
        return changes

    def _read(self, table: _Table, uuid: str, raw: Json) -> Change:
        """A new row as the server says it: without the columns that have their defaults."""
        columns = table.defaults.copy()
        decode = table.decode
        for name, value in raw.items():
            columns[name] = decode[name](value)
        for name in table.spare & raw.keys():
            if columns[name] == table.blank[name]:
                del columns[name]
        return self._insert(table, uuid, columns)

    def _own(self, table: _Table, uuid: str) -> Columns | None:
        """A new row as weft wrote it; None if another did, or if it cannot be known so."""
        columns = self._expected.pop(uuid, None)
        if columns is None:
            return None
        # The plan made this mapping for this row alone: it becomes the row.
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

    def _drop_dangling(self, table: _Table, uuid: str) -> Change | None:
        """What the server made of a row of weft's own, if it is not what weft wrote.

        There is one way: weak references to what went before are dropped. Nobody tells of it, since
        the row has never been otherwise; who reads is told of it as of a change.
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
        return Change(table.name, uuid, table.key(columns), old, columns)

    def _insert(self, table: _Table, uuid: str, columns: Columns) -> Change:
        key = table.key(columns)
        table.rows[uuid] = columns
        table.note(key, uuid)
        for name in table.holding:
            if columns[name]:
                self._hold(rows.Referrer(table.name, uuid, name), _members(columns[name]))
        return Change(table.name, uuid, key, None, columns)

    def _modify(self, table: _Table, uuid: str, raw: Json) -> Change:
        old = table.rows[uuid]
        columns = dict(old)
        before: Columns = old
        for name, said in raw.items():
            column = table.columns[name]
            diff = column.decode(said)
            if name in table.spare:
                columns[name] = column.merge(old.get(name, column.default), diff)
                if columns[name] == column.default:
                    del columns[name]
                continue
            columns[name] = new = column.merge(old[name], diff)
            if new is old[name]:
                before = {n: value for n, value in before.items() if n != name}
                if isinstance(new, Set):
                    before[name] = rows.FormerSet(new, diff)
            if column.holds:
                # A set differs in what the difference says, a single reference wholly.
                touched = diff if isinstance(new, Set) else {*_members(old[name]), *_members(new)}
                self._toggle(rows.Referrer(table.name, uuid, name), touched, _members(new))
        table.rows[uuid] = columns
        key, was = table.key(columns), table.key(old)
        if key != was:
            table.forget(was, uuid)
            table.note(key, uuid)
        return Change(table.name, uuid, key, before, columns)

    def _delete(self, table: _Table, uuid: str) -> Change:
        old = table.rows.pop(uuid)
        key = table.key(old)
        table.forget(key, uuid)
        for name in table.holding:
            self._release(rows.Referrer(table.name, uuid, name), _members(old[name]))
        return Change(table.name, uuid, key, old, None)

    def _toggle(self, holder: rows.Referrer, touched: Set[str], held: Set[str]) -> None:
        """Follow a change at the cost of the difference alone."""
        added = touched & held
        self._hold(holder, added)
        if len(added) < len(touched):
            self._release(holder, touched - added)

    def _hold(self, holder: rows.Referrer, uuids: Iterable[str]) -> None:
        new: dict[str, tuple[rows.Referrer, ...]] = dict.fromkeys(uuids, (holder,))
        for uuid in self._holders.keys() & new.keys():
            new[uuid] += self._holders[uuid]
        self._holders.update(new)

    def _release(self, holder: rows.Referrer, uuids: Iterable[str]) -> None:
        for uuid in uuids:
            rest = tuple(h for h in self._holders.get(uuid, ()) if h != holder)
            if rest:
                self._holders[uuid] = rest
            else:
                self._holders.pop(uuid, None)


class Seen(NamedTuple):
    """A row of an observed table came ("insert"), went ("delete") or changed in some columns."""

    table: str
    uuid: str
    kind: str
    columns: frozenset[str]


def observed(tables: Iterable[rows.Table], scheme: schema.Schema) -> Json:
    """The <monitor-cond-requests> by which the server tells that rows change, and not what they
    hold: of a new row its UUID alone, and nothing of what is there already."""
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


def seen(updates: Json) -> list[Seen]:
    """What a <table-updates2> says of observed tables."""
    return [
        Seen(table, uuid, kind, frozenset(said or ()))
        for table, updated in updates.items()
        for uuid, row in updated.items()
        for kind, said in row.items()
    ]


def _request(table: _Table) -> Json:
    columns = list(table.columns)
    if table.where:
        where = [[name, how, table.columns[name].encode(value)] for name, how, value in table.where]
        return [{"columns": columns, "where": where}]
    if table.echo:
        return [{"columns": columns}]
    rest = {"initial": False, "modify": False, "delete": False}
    return [{"columns": [], "select": rest}, {"columns": columns, "select": {"insert": False}}]


def _members(value: Any) -> Set[str]:
    return {value} if isinstance(value, str) else value


def differences(old: Contents, new: Contents) -> Iterator[Change]:
    """The changes that lead from one to the other: what a reader missed while disconnected."""
    for name, after in new._tables.items():
        before = old._tables[name]
        for uuid, columns in before.rows.items():
            if uuid not in after.rows:
                yield Change(name, uuid, before.key(columns), columns, None)
        for uuid, columns in after.rows.items():
            was = before.rows.get(uuid)
            if was != columns:
                yield Change(name, uuid, after.key(columns), was, columns)
