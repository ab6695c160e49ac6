"""Holds rows of any OVSDB database as data, and plans how actual rows become the desired ones.

A plan is a list of operations (RFC 7047, section 5.2). The package does no I/O:
`weft.ovn` and `weft.nic` make the desired rows; `weft.ovsdb` reads the actual rows and sends the
operations.
"""

from weft.rows.differing import differing
from weft.rows.planning import plan
from weft.rows.rowtypes import (
    BY_NAME,
    SINGLE_ROW,
    ActualRow,
    ActualRows,
    AssertAbsent,
    Atom,
    ByColumns,
    ByEntry,
    Columns,
    Condition,
    Delete,
    DesiredValue,
    Insert,
    Key,
    MapEntries,
    MissingReference,
    Mutate,
    Operation,
    PreviousSet,
    Ref,
    Referrer,
    Row,
    RowKey,
    SetMembers,
    Table,
    Update,
    Value,
    difference,
)  # fmt: skip

__all__ = [
    "BY_NAME",
    "SINGLE_ROW",
    "ActualRow",
    "ActualRows",
    "AssertAbsent",
    "Atom",
    "ByColumns",
    "ByEntry",
    "Columns",
    "Condition",
    "Delete",
    "DesiredValue",
    "Insert",
    "Key",
    "MapEntries",
    "MissingReference",
    "Mutate",
    "Operation",
    "PreviousSet",
    "Ref",
    "Referrer",
    "Row",
    "RowKey",
    "SetMembers",
    "Table",
    "Update",
    "Value",
    "difference",
    "differing",
    "plan",
]  # fmt: skip
