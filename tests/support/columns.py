"""Reads a column of a desired row as the type that its schema gives it."""

from __future__ import annotations

from collections.abc import Mapping, Set

from weft.rows.rowtypes import Atom, DesiredValue


def mapping(value: DesiredValue) -> Mapping[str, Atom]:
    """The map of a map column; AssertionError if the column is desired in another form."""
    assert isinstance(value, Mapping), value
    return value


def members(value: DesiredValue) -> Set[Atom]:
    """The members of a set column; AssertionError if the column is desired in another form."""
    assert isinstance(value, Set), value
    return value
