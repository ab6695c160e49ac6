"""Rows of any OVSDB database as data, and the plan that turns actual rows into desired ones.

The question answered here: which operations (RFC 7047, section 5.2) make the database say what
it should? Nothing in here knows OVN, a socket or a clock; `weft.ovn` and `weft.nic` say which
rows are desired, `weft.ovsdb` knows the actual ones and sends the operations.
"""

from weft.rows.planning import plan
from weft.rows.words import (
    ALONE,
    BY_NAME,
    Absent,
    Atom,
    ByColumns,
    ByEntry,
    Columns,
    Condition,
    Delete,
    Former,
    Found,
    Holder,
    Ident,
    Insert,
    Key,
    Keys,
    Members,
    Missing,
    Mutate,
    Operation,
    Ref,
    Row,
    Snapshot,
    Table,
    Update,
    Value,
    Wish,
    difference,
)  # fmt: skip

__all__ = [
    "ALONE", "BY_NAME", "Absent", "Atom", "ByColumns", "ByEntry", "Columns", "Condition", "Delete",
    "Former", "Found", "Holder", "Ident", "Insert", "Key", "Keys", "Members", "Missing", "Mutate",
    "Operation", "Ref", "Row", "Snapshot", "Table", "Update", "Value", "Wish", "difference", "plan",
]  # fmt: skip
