"""Defines the types of rows: desired rows, values, references, tables, operations.

Values are plain Python. A column that holds at most one value has the bare atom, or an empty
frozenset for none. A set column has a set, a map column a mapping. A reference is the row's UUID
as a string, or a `Ref` in a desired row. As in OVSDB, a set of one element equals the bare element,
so either may be desired.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from weft import errors


@dataclass(frozen=True, slots=True)
class Ref:
    """A reference to another row by table and key, before its UUID is known."""

    table: str
    key: str


Atom = str | int | float | bool | Ref
# A column's value in plain Python: an atom, a set of atoms, or a map of atoms.
Value = Atom | Set[Atom] | Mapping[str, Atom]
Columns = Mapping[str, Value]
# A row's table and key, and the columns of a row in the database.
RowKey = tuple[str, str]
ActualRow = tuple[str, Columns]


class PreviousSet(Set[Atom]):
    """A large set as it was before a change in place: its new state and the difference.

    Valid only during the notification of the change. `difference` costs O(change), not O(set).
    """

    def __init__(self, now: Set[Atom], differing: Set[Atom]) -> None:
        self._now, self.differing = now, differing

    def __contains__(self, atom: object) -> bool:
        return (atom in self._now) != (atom in self.differing)

    def __iter__(self) -> Iterator[Atom]:
        return iter(self._now ^ self.differing)

    def __len__(self) -> int:
        return len(self._now ^ self.differing)


def difference(old: Value, new: Value) -> Set[Atom]:
    """The members that exactly one of two set values has."""
    if isinstance(old, PreviousSet):
        return old.differing
    return _members(old) ^ _members(new)


def _members(value: Value) -> Set[Atom]:
    return value if isinstance(value, Set) else frozenset((value,))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class MapEntries:
    """Some keys of a map column: `present` with these values, `absent` removed, others ignored."""

    present: Mapping[str, Atom] = field(default_factory=dict)
    absent: Set[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SetMembers:
    """Some members of a set column: `present` in it, `absent` removed, others ignored."""

    present: Set[Atom] = frozenset()
    absent: Set[Atom] = frozenset()


# A desired column: a whole value, or the part of it that weft owns.
DesiredValue = Value | MapEntries | SetMembers


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it should be.

    `key` identifies the row within its table for its whole life (a switch's or port's name).
    `columns` are the columns that weft owns; others are left as they are.
    `parent` and `parent_column` name the set that must refer to this row, for non-root tables,
    whose rows exist only while referenced (Logical_Switch_Port in Logical_Switch.ports).
    `is_part`: these are some columns of a row that exists already, or that another `Row` of the
    same plan desires; it never inserts a row.
    """

    table: str
    key: str
    columns: Mapping[str, DesiredValue] = field(default_factory=dict)
    parent: Ref | None = None
    parent_column: str = ""
    is_part: bool = False


Condition = tuple[str, str, Value]


class Key(Protocol):
    """How to compute a row's key from its columns, and how the server finds a row by its key."""

    @property
    def columns(self) -> tuple[str, ...]: ...

    def __call__(self, columns: Columns, /) -> str | None:
        """The key; None for a foreign row."""

    def conditions(self, key: str) -> tuple[Condition, ...]:
        """Conditions (RFC 7047, 5.1) that only the row with this key meets."""


@dataclass(frozen=True, slots=True)
class ByColumns:
    """The key is these columns as text, joined by a space. No columns: the only row, key ""."""

    columns: tuple[str, ...]

    def __call__(self, columns: Columns, /) -> str | None:
        if len(self.columns) == 1:
            return str(columns[self.columns[0]])
        return " ".join([str(columns[column]) for column in self.columns])

    def conditions(self, key: str) -> tuple[Condition, ...]:
        parts = key.split(" ", len(self.columns) - 1) if self.columns else ()
        return tuple((c, "==", part) for c, part in zip(self.columns, parts, strict=True))


@dataclass(frozen=True, slots=True)
class ByEntry:
    """The key is the value of one entry of a map column; rows without the entry are foreign."""

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
SINGLE_ROW = ByColumns(())


@dataclass(frozen=True, slots=True)
class Table:
    """A table that weft reads and writes: the columns that it reads, and the key of its rows.

    `columns` must include every set that is some row's `parent_column`: from it the plan knows,
    without reading the set, which parent refers to a row.

    `echo` False is for a table with many rows, nearly all of them weft's own. The server then
    reports only the UUID of a new row. weft knows the columns of its own rows; it reads each
    foreign row with one round trip.

    `blank` are columns that weft keeps empty in its rows unless it desires a value: the plan
    removes what others write there. A column that is not among `columns` appears in a row only
    while somebody has filled it. A database whose schema lacks the column works too.

    `where`: only rows that meet one of these conditions are read; weft does not see the others.
    """

    name: str
    columns: tuple[str, ...]
    key: Key = BY_NAME
    report_inserts: bool = True
    kept_empty: tuple[str, ...] = ()
    where: tuple[Condition, ...] = ()


class Referrer(NamedTuple):
    """A set that refers to a row, and so keeps that row alive."""

    table: str
    uuid: str
    column: str


class ActualRows(Protocol):
    """The actual rows as a plan needs them; each call is O(1) in the number of rows."""

    def get(self, table: str, key: str, /) -> ActualRow | None: ...

    def referrers(self, table: str, uuid: str, /) -> Iterable[Referrer] | None:
        """The sets that keep a row alive; None for a root table, whose rows need no reference."""

    def absence_conditions(self, table: str, key: str, /) -> tuple[Condition, ...] | None:
        """Conditions that no row may meet when `key` is inserted; None: an index checks it."""

    def new_uuid(self) -> str:
        """A new UUID for a row to insert."""

    def kept_empty(self, table: str, /) -> Mapping[str, Value]:
        """The `blank` columns that no row of weft's in the table fills, with their defaults."""


class AssertAbsent(NamedTuple):
    """Abort the transaction if a row meets the conditions."""

    table: str
    conditions: tuple[Condition, ...]


class Insert(NamedTuple):
    """Insert a row with this UUID."""

    table: str
    uuid: str
    columns: dict[str, Value]


class Update(NamedTuple):
    """Write whole columns of a row."""

    table: str
    uuid: str
    columns: Columns


class Mutate(NamedTuple):
    """Add to or remove from sets and maps: (column, "insert" or "delete", value), in this order."""

    table: str
    uuid: str
    mutations: tuple[tuple[str, str, Value], ...]


class Delete(NamedTuple):
    """Delete a row."""

    table: str
    uuid: str


Operation = AssertAbsent | Insert | Update | Mutate | Delete


class MissingReference(errors.NotReady):
    """A row refers to another that is neither in the database nor desired in the same plan."""

    def __init__(self, ref: Ref, where: Row) -> None:
        what = f"refers to {ref.table} {ref.key!r}, which is neither in the database nor desired"
        super().__init__(what, where=f"{where.table} {where.key!r}")
        self.ref = ref
