"""Merges desired rows of one key into one row."""

from __future__ import annotations

from collections.abc import Iterable

from weft.rows.rowtypes import DesiredValue, MapEntries, Row, RowKey, SetMembers


def merge(desired: Iterable[Row]) -> dict[RowKey, Row]:
    """The desired rows by table and key, each once; raises ValueError if two contradict."""
    merged: dict[RowKey, Row] = {}
    for row in desired:
        ident = (row.table, row.key)
        merged[ident] = _merge(merged[ident], row) if ident in merged else row
    return merged


def _merge(first: Row, second: Row) -> Row:
    """Two desired rows of one key as one; they may add to each other but not contradict."""
    columns = dict(first.columns)
    for column, value in second.columns.items():
        columns[column] = (
            _join(first, column, columns[column], value) if column in columns else value
        )
    parent = first.parent or second.parent
    if second.parent not in (None, parent):
        raise ValueError(f"{first.table} {first.key!r} is desired in two parents")
    column = first.parent_column or second.parent_column
    is_part = first.is_part and second.is_part
    return Row(first.table, first.key, columns, parent, column, is_part)


def _join(row: Row, column: str, one: DesiredValue, two: DesiredValue) -> DesiredValue:
    if isinstance(one, MapEntries) and isinstance(two, MapEntries):
        keys = MapEntries({**one.present, **two.present}, one.absent | two.absent)
        agree = {**two.present, **one.present} == keys.present
        if agree and keys.absent.isdisjoint(keys.present):
            return keys
    elif isinstance(one, SetMembers) and isinstance(two, SetMembers):
        members = SetMembers(one.present | two.present, one.absent | two.absent)
        if members.present.isdisjoint(members.absent):
            return members
    elif one == two:
        return one
    raise ValueError(f"{row.table} {row.key!r}: {column} is desired as {one!r} and as {two!r}")
