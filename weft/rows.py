"""Rows of any OVSDB database as data, and the plan that turns actual rows into desired ones.

The question answered here: which operations (RFC 7047, section 5.2) make the database say what
it should? Nothing in here knows OVN, a socket or a clock; `weft.ovn` and `weft.nic` say which
rows are desired, `weft.ovsdb` knows the actual ones and sends the operations.

Values are natural Python. A column that holds at most one value holds the bare atom, or an empty
frozenset for "none"; a set column holds a set, a map column a mapping; a reference is the row's
UUID as a string (or, when desired, a `Ref`). As in OVSDB itself a set of one element and the bare
element are the same value, so either may be desired.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from weft import errors


@dataclass(frozen=True, slots=True)
class Ref:
    """A reference to another row by its table and key, before its UUID is known."""

    table: str
    key: str


Atom = str | int | float | bool | Ref
# A column's value in natural Python: an atom, a set of atoms, or a map of atoms.
Value = Atom | Set[Atom] | Mapping[str, Atom]
Columns = Mapping[str, Value]
# A row's table and key, and what the database says of it.
Ident = tuple[str, str]
Found = tuple[str, Columns]


@dataclass(frozen=True, slots=True)
class Keys:
    """Some keys of a map column: `present` with these values, `absent` gone, others untouched."""

    present: Mapping[str, Atom] = field(default_factory=dict)
    absent: Set[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Members:
    """Some members of a set column: `present` in it, `absent` not in it, others untouched."""

    present: Set[Atom] = frozenset()
    absent: Set[Atom] = frozenset()


# What a desired column may be: a whole value, or the part of it that weft owns.
Wish = Value | Keys | Members


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it should be.

    `key` identifies the row within its table for as long as it lives (a switch's or port's name).
    `columns` holds the columns that weft owns; others are left as they are.
    `parent` and `parent_column` name the set that must hold a reference to this row, for tables
    whose rows exist only while referenced (Logical_Switch_Port in Logical_Switch.ports).
    """

    table: str
    key: str
    columns: Mapping[str, Wish] = field(default_factory=dict)
    parent: Ref | None = None
    parent_column: str = ""


Condition = tuple[str, str, Value]


class Key(Protocol):
    """How a row's key is read from its columns, and how the server finds a row by it."""

    @property
    def columns(self) -> tuple[str, ...]: ...

    def __call__(self, columns: Columns, /) -> str | None:
        """The key; None for a row that has none, which is somebody else's."""

    def conditions(self, key: str) -> tuple[Condition, ...]:
        """What only the row of this key meets."""


@dataclass(frozen=True, slots=True)
class ByColumns:
    """The key is these columns' text, joined by a space; no column: the only row, key ""."""

    columns: tuple[str, ...]

    def __call__(self, columns: Columns, /) -> str | None:
        return " ".join([str(columns[column]) for column in self.columns])

    def conditions(self, key: str) -> tuple[Condition, ...]:
        parts = key.split(" ", len(self.columns) - 1) if self.columns else ()
        return tuple((c, "==", part) for c, part in zip(self.columns, parts, strict=True))


@dataclass(frozen=True, slots=True)
class ByEntry:
    """The key is what one entry of a map column says; rows without that entry are foreign."""

    column: str
    entry: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def __call__(self, columns: Columns, /) -> str | None:
        found = columns[self.column].get(self.entry)  # type: ignore[union-attr]
        return None if found is None else str(found)

    def conditions(self, key: str) -> tuple[Condition, ...]:
        return ((self.column, "includes", {self.entry: key}),)


BY_NAME = ByColumns(("name",))
ALONE = ByColumns(())


@dataclass(frozen=True, slots=True)
class Table:
    """A table that weft reads and writes: these columns of it, its rows known by this key.

    A set that is some row's `parent_column` must be among the columns of its table: that is
    how the plan knows, without reading the set, which parent holds a row.
    """

    name: str
    columns: tuple[str, ...]
    key: Key = BY_NAME


class Holder(NamedTuple):
    """A set that holds a reference to a row, and so keeps that row alive."""

    table: str
    uuid: str
    column: str


class Snapshot(Protocol):
    """What the plan asks of the actual rows; every answer costs O(1) in the number of rows."""

    def get(self, table: str, key: str, /) -> Found | None: ...

    def holders(self, table: str, uuid: str, /) -> Iterable[Holder] | None:
        """The sets that keep a row alive; None for a table whose rows live by themselves."""

    def guard(self, table: str, key: str, /) -> tuple[Condition, ...] | None:
        """What no row may meet when `key` is inserted; None: an index of the server sees to it."""


class Named(str):
    """The name, within one transaction, of a row that the transaction inserts."""

    __slots__ = ()


class Absent(NamedTuple):
    """Fail the transaction if a row meets the conditions."""

    table: str
    conditions: tuple[Condition, ...]


class Insert(NamedTuple):
    table: str
    name: Named
    columns: Columns


class Update(NamedTuple):
    table: str
    uuid: str
    columns: Columns


class Mutate(NamedTuple):
    """Add to or take from sets and maps: (column, "insert" or "delete", value) in this order."""

    table: str
    uuid: str
    mutations: tuple[tuple[str, str, Value], ...]


class Delete(NamedTuple):
    table: str
    uuid: str


Operation = Absent | Insert | Update | Mutate | Delete


class Missing(errors.NotReady):
    """A row that is referred to is neither in the database nor desired together with the rest."""

    def __init__(self, ref: Ref, where: Row) -> None:
        what = f"refers to {ref.table} {ref.key!r}, which is neither in the database nor desired"
        super().__init__(what, where=f"{where.table} {where.key!r}")
        self.ref = ref


def plan(desired: Iterable[Row], actual: Snapshot, delete: Iterable[Ident] = ()) -> list[Operation]:
    """The operations after which every desired row is as it should be and no deleted one exists.

    Empty when all is right already. A row that is both desired and deleted stays. Several
    desired rows of one key are one row, as long as they do not contradict each other.
    """
    draft = _Draft(actual)
    wanted: dict[Ident, Row] = {}
    for row in desired:
        ident = (row.table, row.key)
        wanted[ident] = _merge(wanted[ident], row) if ident in wanted else row
    found = {ident: actual.get(*ident) for ident in wanted}
    for ident, there in found.items():
        if there is None:
            draft.names[ident] = Named(f"row{len(draft.names)}")
    gone = [ident for ident in delete if ident not in wanted]
    draft.gone.update(there[0] for ident in gone if (there := actual.get(*ident)))
    for ident, row in wanted.items():
        there = found[ident]
        if there is None:
            draft.insert(ident, row)
        else:
            draft.change(row, *there)
    for ident in gone:
        if there := actual.get(*ident):
            draft.remove(ident[0], there[0])
    return draft.operations()


class _Draft:
    """A plan in the making, collected by row so that no row is touched by two operations alike."""

    def __init__(self, actual: Snapshot) -> None:
        self.actual = actual
        self.names: dict[Ident, Named] = {}
        self.gone: set[str] = set()
        self.guards: list[Operation] = []
        self.inserts: dict[Ident, dict[str, Value]] = {}
        self.updates: dict[Ident, dict[str, Value]] = {}
        self.deletes: list[Operation] = []
        # By row (table, UUID), then by column: what to take out and what to put in.
        self.mutations: dict[Ident, dict[str, tuple[set[Atom], dict[Atom, Atom | None]]]] = {}
        # By new parent: its children, to be inserted together with it.
        self.children: dict[tuple[Ident, str], set[Atom]] = {}

    def insert(self, ident: Ident, row: Row) -> None:
        guard = self.actual.guard(row.table, row.key)
        if guard is not None:
            self.guards.append(Absent(row.table, guard))
        columns: dict[str, Value] = {}
        for column, wish in row.columns.items():
            if type(wish) is Keys or type(wish) is Members:
                wish = wish.present
            columns[column] = self.resolve(wish, row)  # type: ignore[arg-type]
        self.inserts[ident] = columns
        if row.parent is not None:
            self.adopt(row, row.parent, self.names[ident])

    def change(self, row: Row, uuid: str, columns: Columns) -> None:
        for column, wish in row.columns.items():
            if column not in columns:
                raise ValueError(f"{row.table}.{column} is desired but not monitored")
            have = columns[column]
            if type(wish) is Keys:
                self.change_map(row, uuid, column, wish, have)
            elif type(wish) is Members:
                take = self.resolve_all(wish.absent, row) & _set(have)
                put = self.resolve_all(wish.present, row) - _set(have)
                self.mutate(row.table, uuid, column, take, put)
            else:
                want = self.resolve(wish, row)  # type: ignore[arg-type]
                if want != have and _bare(want) != _bare(have):
                    self.replace(row, uuid, column, want, have)
        if row.parent is not None:
            self.adopt(row, row.parent, uuid)

    def change_map(self, row: Row, uuid: str, column: str, wish: Keys, have: Value) -> None:
        assert isinstance(have, Mapping), f"{row.table}.{column} is no map"
        put = {k: v for k, v in self.resolve(wish.present, row).items() if have.get(k) != v}  # type: ignore[union-attr]
        # An insert leaves a key that is there as it is: what changes is taken out first.
        take = {k for k in (*wish.absent, *put) if k in have}
        self.mutate(row.table, uuid, column, take, put)

    def replace(self, row: Row, uuid: str, column: str, want: Value, have: Value) -> None:
        """Write a column that weft owns whole: by difference where that is less to send."""
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

    def adopt(self, row: Row, parent: Ref, child: str) -> None:
        """See to it that `parent`, and no other row, holds `child` in the row's parent column."""
        ident = (parent.table, parent.key)
        if ident in self.names:
            self.children.setdefault((ident, row.parent_column), set()).add(child)
            self.disown(row, child, None)
            return
        there = self.actual.get(*ident)
        if there is None or there[0] in self.gone:
            raise Missing(parent, row)
        if row.parent_column not in there[1]:
            raise ValueError(f"{parent.table}.{row.parent_column} is a parent but not monitored")
        holder = Holder(parent.table, there[0], row.parent_column)
        if self.disown(row, child, holder):
            self.mutate(*holder, (), (child,))

    def disown(self, row: Row, child: str, keep: Holder | None) -> bool:
        """Take `child` out of its parents except `keep`; True if `keep` does not hold it yet."""
        absent = True
        if type(child) is not Named:
            for holder in self.actual.holders(row.table, child) or ():
                if holder == keep:
                    absent = False
                elif holder.column == row.parent_column and holder.uuid not in self.gone:
                    self.mutate(*holder, (child,), ())
        return absent

    def remove(self, table: str, uuid: str) -> None:
        """Delete a row; one that lives by reference vanishes when no set holds it any more."""
        holders = self.actual.holders(table, uuid)
        if holders is None:
            self.deletes.append(Delete(table, uuid))
        else:
            for holder in holders:
                if holder.uuid not in self.gone:
                    self.mutate(*holder, (uuid,), ())

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
        if isinstance(put, Mapping):
            given.update(put)
        else:
            given.update(dict.fromkeys(put))

    def resolve(self, value: Value, row: Row) -> Value:
        """The value with every reference in it replaced by a UUID or by a new row's name."""
        kind = type(value)
        if kind is str:
            return value
        if kind is Ref:
            return self.locate(value, row)  # type: ignore[arg-type]
        if kind is frozenset or isinstance(value, Set):
            return self.resolve_all(value, row)  # type: ignore[arg-type]
        if isinstance(value, Mapping) and any(type(atom) is Ref for atom in value.values()):
            return {k: self.locate(v, row) if type(v) is Ref else v for k, v in value.items()}
        return value

    def resolve_all(self, atoms: Set[Atom], row: Row) -> Set[Atom]:
        if any(type(atom) is Ref for atom in atoms):
            return frozenset([self.locate(a, row) if type(a) is Ref else a for a in atoms])
        return atoms

    def locate(self, ref: Ref, row: Row) -> str:
        ident = (ref.table, ref.key)
        if ident in self.names:
            return self.names[ident]
        there = self.actual.get(*ident)
        if there is None or there[0] in self.gone:
            raise Missing(ref, row)
        return there[0]

    def operations(self) -> list[Operation]:
        for (parent, column), children in self.children.items():
            row = self.inserts[parent]
            row[column] = _set(row.get(column, frozenset())) | children
        done = self.guards
        done += self.deletes
        done += [Insert(i[0], self.names[i], columns) for i, columns in self.inserts.items()]
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


def _given(given: dict[Atom, Atom | None]) -> Value:
    """What to put in: a map if the keys have values, else a set."""
    if None in given.values():
        return frozenset(given)
    return given  # type: ignore[return-value]


def _set(value: Value) -> Set[Atom]:
    return value if isinstance(value, Set) else frozenset((value,))  # type: ignore[arg-type]


def _bare(value: Value) -> Value:
    """The element of a set of one, which is the same value; anything else as it is."""
    if isinstance(value, Set) and len(value) == 1:
        return next(iter(value))
    return value


def _merge(first: Row, second: Row) -> Row:
    """Two wishes for one row as one; they may add to each other but not contradict."""
    columns = dict(first.columns)
    for column, wish in second.columns.items():
        columns[column] = _join(first, column, columns[column], wish) if column in columns else wish
    parent = first.parent or second.parent
    if second.parent not in (None, parent):
        raise ValueError(f"{first.table} {first.key!r} is desired in two parents")
    return Row(first.table, first.key, columns, parent, first.parent_column or second.parent_column)


def _join(row: Row, column: str, one: Wish, two: Wish) -> Wish:
    if isinstance(one, Keys) and isinstance(two, Keys):
        joined: Wish = Keys({**one.present, **two.present}, one.absent | two.absent)
        sound = {**two.present, **one.present} == joined.present  # type: ignore[union-attr]
        if sound and joined.absent.isdisjoint(joined.present):  # type: ignore[union-attr]
            return joined
    elif isinstance(one, Members) and isinstance(two, Members):
        joined = Members(one.present | two.present, one.absent | two.absent)
        if joined.present.isdisjoint(joined.absent):
            return joined
    elif one == two:
        return one
    raise ValueError(f"{row.table} {row.key!r}: {column} is desired as {one!r} and as {two!r}")
