"""The types of rows: desired rows, values, references, tables, operations.

Values are natural Python. A column that holds at most one value holds the bare atom, or an empty
frozenset for "none"; a set column holds a set, a map column a mapping; a reference is the row's
UUID as a string (or, when desired, a `Ref`). As in OVSDB itself a set of one element and the bare
element are the same value, so either may be desired.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
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


class FormerSet(Set[Atom]):
    """A large set as it was before a change in place: what it is now, and what differs.

    To be looked at while the change is told; `difference` costs what changed alone.
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
    """The members that one of two values of a set has and the other has not."""
    if isinstance(old, FormerSet):
        return old.differing
    return _members(old) ^ _members(new)


def _members(value: Value) -> Set[Atom]:
    return value if isinstance(value, Set) else frozenset((value,))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class MapEntries:
    """Some keys of a map column: `present` with these values, `absent` gone, others untouched."""

    present: Mapping[str, Atom] = field(default_factory=dict)
    absent: Set[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SetMembers:
    """Some members of a set column: `present` in it, `absent` not in it, others untouched."""

    present: Set[Atom] = frozenset()
    absent: Set[Atom] = frozenset()


# What a desired column may be: a whole value, or the part of it that weft owns.
DesiredValue = Value | MapEntries | SetMembers


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it should be.

    `key` identifies the row within its table for as long as it lives (a switch's or port's name).
    `columns` holds the columns that weft owns; others are left as they are.
    `parent` and `parent_column` name the set that must hold a reference to this row, for tables
    whose rows exist only while referenced (Logical_Switch_Port in Logical_Switch.ports).
    `is_part`: this says only a part of a row that is there already, or is desired by another
    `Row` of the same plan; it never makes one.
    """

    table: str
    key: str
    columns: Mapping[str, DesiredValue] = field(default_factory=dict)
    parent: Ref | None = None
    parent_column: str = ""
    is_part: bool = False


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
        if len(self.columns) == 1:
            return str(columns[self.columns[0]])
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

    `echo` False is for a table whose rows nearly all are weft's own, and many: the server then
    says of a new row only that it is there. Of its own rows weft knows the rest; those that
    others insert are read one by one, at the cost of a round trip.

    `blank` are columns that weft leaves empty, in every row or where it does not fill them: what
    others put there in a row that weft desires is taken out. One that is not among `columns` is in
    a row's columns only where somebody has filled it. A database that lacks one is none the worse.

    `where`: only rows that meet one of these conditions are read; the others do not exist for weft,
    and cost nothing.
    """

    name: str
    columns: tuple[str, ...]
    key: Key = BY_NAME
    echo: bool = True
    blank: tuple[str, ...] = ()
    where: tuple[Condition, ...] = ()


class Referrer(NamedTuple):
    """A set that holds a reference to a row, and so keeps that row alive."""

    table: str
    uuid: str
    column: str


class Snapshot(Protocol):
    """What the plan asks of the actual rows; every answer costs O(1) in the number of rows."""

    def get(self, table: str, key: str, /) -> Found | None: ...

    def holders(self, table: str, uuid: str, /) -> Iterable[Referrer] | None:
        """The sets that keep a row alive; None for a table whose rows live by themselves."""

    def guard(self, table: str, key: str, /) -> tuple[Condition, ...] | None:
        """What no row may meet when `key` is inserted; None: an index of the server sees to it."""

    def fresh(self) -> str:
        """A UUID for a row to be inserted."""

    def blank(self, table: str, /) -> Mapping[str, Value]:
        """The columns that weft fills in no row of a table, with their defaults."""


class AssertAbsent(NamedTuple):
    """Fail the transaction if a row meets the conditions."""

    table: str
    conditions: tuple[Condition, ...]


class Insert(NamedTuple):
    table: str
    uuid: str
    columns: dict[str, Value]


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


Operation = AssertAbsent | Insert | Update | Mutate | Delete


class Missing(errors.NotReady):
    """A row that is referred to is neither in the database nor desired together with the rest."""

    def __init__(self, ref: Ref, where: Row) -> None:
        what = f"refers to {ref.table} {ref.key!r}, which is neither in the database nor desired"
        super().__init__(what, where=f"{where.table} {where.key!r}")
        self.ref = ref
