"""Rows of any OVSDB database as data, and the plan from actual to desired rows.

The question answered here: which operations (RFC 7047, section 5.2) make the database say what
it should? Nothing in here knows OVN, a socket or a clock; `weft.ovn` and `weft.nic` say which
rows are desired, `weft.ovsdb` knows the actual ones and sends the operations.
"""

from weft.rows.differing import differing
from weft.rows.planning import plan
from weft.rows.rowtypes import (
    ALONE,
    BY_NAME,
    AssertAbsent,
    Atom,
    ByColumns,
    ByEntry,
    Columns,
    Condition,
    Delete,
    DesiredValue,
    FormerSet,
    Found,
    Ident,
    Insert,
    Key,
    MapEntries,
    Missing,
    Mutate,
    Operation,
    Ref,
    Referrer,
    Row,
    SetMembers,
    Snapshot,
    Table,
    Update,
    Value,
    difference,
)  # fmt: skip

__all__ = [
    "ALONE",
    "BY_NAME",
    "AssertAbsent",
    "Atom",
    "ByColumns",
    "ByEntry",
    "Columns",
    "Condition",
    "Delete",
    "DesiredValue",
    "FormerSet",
    "Found",
    "Ident",
    "Insert",
    "Key",
    "MapEntries",
    "Missing",
    "Mutate",
    "Operation",
    "Ref",
    "Referrer",
    "Row",
    "SetMembers",
    "Snapshot",
    "Table",
    "Update",
    "Value",
    "difference",
    "differing",
    "plan",
]  # fmt: skip
