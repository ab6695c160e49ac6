"""Plans the operations that turn actual rows into desired ones.

The cost of a plan depends on the number of changes, not on the number of rows in the database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any

from weft.rows import merging
from weft.rows.rowtypes import (
    ActualRow,
    ActualRows,
    AssertAbsent,
    Atom,
    Columns,
    Delete,
    Insert,
    MapEntries,
    MissingReference,
    Mutate,
    Operation,
    Ref,
    Referrer,
    Row,
    RowKey,
    SetMembers,
    Update,
    Value,
)  # fmt: skip


def plan(
    desired: Iterable[Row], actual: ActualRows, delete: Iterable[RowKey] = ()
) -> list[Operation]:
    """The operations after which all desired rows exist as desired and no deleted one exists.

    Empty if nothing differs. A row that is both desired and deleted stays. Several desired rows
    of one key are merged. Raises ValueError if they contradict each other, and
    MissingReference if a row refers to one that is neither in the database nor desired.
    """
    draft = _Draft(actual)
    merged = merging.merge(desired)
    old: list[tuple[Row, ActualRow]] = []
    new: list[tuple[Row, str]] = []
    for ident, row in merged.items():
        found = actual.get(*ident)
        if found is None:
            if row.is_part:
                raise MissingReference(Ref(*ident), row)
            uuid = draft.uuids[ident] = actual.new_uuid()
            new.append((row, uuid))
        else:
            old.append((row, found))
    gone = [
        (ident[0], found[0])
        for ident in delete
        if ident not in merged and (found := actual.get(*ident))
    ]
    draft.gone.update([uuid for _, uuid in gone])
    for row, uuid in new:
        draft.insert(row, uuid)
    for row, found in old:
        draft.change(row, *found)
    for table, uuid in gone:
        draft.remove(table, uuid)
    return draft.operations()


class _Draft:
    """A plan under construction, by row, so that no two operations write one column of a row."""

    def __init__(self, actual: ActualRows) -> None:
        self.actual = actual
        # Rows to insert.
        self.uuids: dict[RowKey, str] = {}
        self.gone: set[str] = set()
        self.guards: list[Operation] = []
        self.inserts: dict[str, Insert] = {}
        self.updates: dict[RowKey, dict[str, Value]] = {}
        self.deletes: list[Operation] = []
        # By row (table, UUID), then by column: the members to remove and to add.
        self.mutations: dict[RowKey, dict[str, tuple[set[Atom], dict[Atom, Atom | None]]]] = {}
        # By parent (table, key) and column: its new children, and one of them to name in errors.
        self.children: dict[tuple[str, str, str], tuple[Row, list[Atom]]] = {}

    def insert(self, row: Row, uuid: str) -> None:
        guard = self.actual.absence_conditions(row.table, row.key)
        if guard is not None:
            self.guards.append(AssertAbsent(row.table, guard))
        columns: dict[str, Value] = {}
        for column, desired in row.columns.items():
            resolve = _RESOLVE.get(type(desired), _ABSTRACT)
            columns[column] = resolve(self, desired, row) if resolve else desired  # type: ignore[assignment]
        self.inserts[uuid] = Insert(row.table, uuid, columns)
        if row.parent is not None:
            self.bear(row, row.parent, uuid)

    def change(self, row: Row, uuid: str, columns: Columns) -> None:
        for column, desired in row.columns.items():
            if column not in columns:
                raise ValueError(f"{row.table}.{column} is desired but not monitored")
            have = columns[column]
            if isinstance(desired, MapEntries):
                self.change_map(row, uuid, column, desired, have)
            elif isinstance(desired, SetMembers):
                take = self.resolve_all(desired.absent, row) & as_set(have)
                put = self.resolve_all(desired.present, row) - as_set(have)
                self.mutate(row.table, uuid, column, take, put)
            else:
                resolve = _RESOLVE.get(type(desired), _ABSTRACT)
                want: Value = resolve(self, desired, row) if resolve else desired
                if want != have and bare(want) != bare(have):
                    self.replace(row, uuid, column, want, have)
        if not row.is_part:
            for column, default in self.actual.kept_empty(row.table).items():
                have = columns.get(column, default)
                if have != default and column not in row.columns:
                    self.replace(row, uuid, column, default, have)
        if row.parent is not None:
            self.settle(row, row.parent, uuid)

    def change_map(
        self, row: Row, uuid: str, column: str, desired: MapEntries, have: Value
    ) -> None:
        assert isinstance(have, Mapping), f"{row.table}.{column} is no map"
        merged = self.resolve_map(desired.present, row)
        put = {key: value for key, value in merged.items() if have.get(key) != value}
        # An insert does not overwrite a map entry (RFC 7047, 5.1): a changed one is removed first.
        take = {key for key in (*desired.absent, *put) if key in have}
        self.mutate(row.table, uuid, column, take, put)

    def replace(self, row: Row, uuid: str, column: str, want: Value, have: Value) -> None:
        """Write a whole column that weft owns; as a mutation if that sends less."""
        if isinstance(want, Mapping) and isinstance(have, Mapping):
            put = {k: v for k, v in want.items() if k not in have or have[k] != v}
            take = {k for k in have if k not in want or k in put}
            if len(put) + len(take) < len(want):
                return self.mutate(row.table, uuid, column, take, put)
        elif isinstance(want, Set) and isinstance(have, Set):
            add, drop = want - have, have - want
            if len(add) + len(drop) < len(want):
                return self.mutate(row.table, uuid, column, drop, add)
        self.updates.setdefault((row.table, uuid), {})[column] = want
        return None

    def bear(self, row: Row, parent: Ref, child: Atom) -> None:
        """Add a reference to a new row to its parent's set."""
        family = (parent.table, parent.key, row.parent_column)
        if family in self.children:
            self.children[family][1].append(child)
        else:
            self.children[family] = (row, [child])

    def settle(self, row: Row, parent: Ref, uuid: str) -> None:
        """Make `parent`, and no other row of its table, refer to the row."""
        found = self.actual.get(parent.table, parent.key)
        home = found and Referrer(parent.table, found[0], row.parent_column)
        referrers = self.actual.referrers(row.table, uuid) or ()
        for referrer in referrers:
            # A parent that is deleted drops its references by itself.
            if referrer != home and referrer.column == row.parent_column:
                self.release(referrer, uuid)
        if home is None or home not in referrers:
            self.bear(row, parent, uuid)

    def remove(self, table: str, uuid: str) -> None:
        """Delete a row; a row in a non-root table vanishes when no set refers to it."""
        referrers = self.actual.referrers(table, uuid)
        if referrers is None:
            self.deletes.append(Delete(table, uuid))
        else:
            for referrer in referrers:
                self.release(referrer, uuid)

    def release(self, referrer: Referrer, uuid: str) -> None:
        """Remove a row from a set, unless the set's row is deleted in the same transaction."""
        if referrer.uuid not in self.gone:
            self.mutate(*referrer, (uuid,), ())

    def mutate(
        self,
        table: str,
        uuid: str,
        column: str,
        take: Iterable[Atom],
        put: Iterable[Atom] | Mapping[str, Atom],
    ) -> None:
        if not take and not put:
            return
        row = self.mutations.setdefault((table, uuid), {})
        taken, given = row.setdefault(column, (set(), {}))
        taken.update(take)
        given.update(put if isinstance(put, Mapping) else dict.fromkeys(put))

    def resolve(self, value: Any, row: Row) -> Any:
        """The value with every reference replaced by a UUID."""
        if isinstance(value, Set):
            return self.resolve_all(value, row)
        if isinstance(value, Mapping):
            return self.resolve_map(value, row)
        return value

    def resolve_part(self, desired: MapEntries | SetMembers, row: Row) -> Any:
        """A part of a column; in a new row, it is the whole column."""
        return self.resolve(desired.present, row)

    def resolve_all(self, atoms: Set[Atom], row: Row) -> Set[Atom]:
        if Ref not in map(type, atoms):
            return atoms
        return frozenset([self.locate(a, row) if isinstance(a, Ref) else a for a in atoms])

    def resolve_map(self, value: Mapping[str, Atom], row: Row) -> Mapping[str, Atom]:
        if Ref not in map(type, value.values()):
            return value
        return {k: self.locate(v, row) if isinstance(v, Ref) else v for k, v in value.items()}

    def locate(self, ref: Ref, row: Row) -> str:
        ident = (ref.table, ref.key)
        if ident in self.uuids:
            return self.uuids[ident]
        found = self.actual.get(*ident)
        if found is None or found[0] in self.gone:
            raise MissingReference(ref, row)
        return found[0]

    def place_children(self) -> None:
        """Add the new children to their parents: one operation for each parent."""
        for (table, key, column), (row, children) in self.children.items():
            parent = self.locate(Ref(table, key), row)
            if parent in self.inserts:
                columns = self.inserts[parent].columns
                columns[column] = as_set(columns.get(column, frozenset())) | frozenset(children)
                continue
            found = self.actual.get(table, key)
            if found is None or column not in found[1]:
                raise ValueError(f"{table}.{column} is a parent but not monitored")
            self.mutate(table, parent, column, (), children)

    def operations(self) -> list[Operation]:
        self.place_children()
        done: list[Operation] = [*self.guards, *self.deletes, *self.inserts.values()]
        done += [Update(table, uuid, columns) for (table, uuid), columns in self.updates.items()]
        for (table, uuid), changes in self.mutations.items():
            mutations: list[tuple[str, str, Value]] = []
            for column, (taken, given) in changes.items():
                if taken:
                    mutations.append((column, "delete", frozenset(taken)))
                if given:
                    mutations.append((column, "insert", _given(given)))
            done.append(Mutate(table, uuid, tuple(mutations)))
        return done


# By the type of the desired value: isinstance with abstract types is too slow for this path.
# None for a value that needs no resolving.
_Resolve = Callable[[_Draft, Any, Row], Any]
_ABSTRACT: _Resolve | None = _Draft.resolve
_RESOLVE: dict[type, _Resolve | None] = {
    **dict.fromkeys((str, int, float, bool)),
    frozenset: _Draft.resolve_all,
    dict: _Draft.resolve_map,
    MapEntries: _Draft.resolve_part,
    SetMembers: _Draft.resolve_part,
    Ref: _Draft.locate,
}


def _given(given: dict[Atom, Atom | None]) -> Value:
    """The argument of an insert: a map if the keys have values, else a set."""
    if None in given.values():
        return frozenset(given)
    return given  # type: ignore[return-value]


def as_set(value: Value) -> Set[Atom]:
    """The members of a set value; an atom is a set of one."""
    return value if isinstance(value, Set) else frozenset((value,))  # type: ignore[arg-type]


def bare(value: Value) -> Value:
    """The element of a set of one, which is the same value in OVSDB; anything else as it is."""
    if isinstance(value, Set) and len(value) == 1:
        return next(iter(value))
    return value
