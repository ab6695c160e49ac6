"""Rows of any OVSDB database as data, and the plan that turns actual rows into desired ones.

The question answered here: which operations (RFC 7047, section 5.2) make the database say what
it should? Nothing in here knows OVN, a socket or a clock; `weft.ovn` and `weft.nic` say which
rows are desired, `weft.ovsdb` knows the actual ones and sends the operations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Ref:
    """A reference to another row by its table and key, before its UUID is known."""

    table: str
    key: str


Atom = str | int | float | bool | Ref
# A column's value in natural Python: an atom, a set of atoms, or a map of atoms.
Value = Atom | frozenset[Atom] | Mapping[str, Atom]


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
    columns: Mapping[str, Value] = field(default_factory=dict)
    parent: Ref | None = None
    parent_column: str = ""
