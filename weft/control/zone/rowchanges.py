"""Defines what is to be written to the databases of a zone. Pure data."""

from __future__ import annotations

from dataclasses import dataclass

from weft import rows


@dataclass(frozen=True, slots=True)
class RowChanges:
    """Rows to write and keys of rows to delete, Northbound (`nb`) and Southbound (`sb`)."""

    nb: tuple[rows.Row, ...] = ()
    nb_gone: tuple[rows.RowKey, ...] = ()
    sb: tuple[rows.Row, ...] = ()
    sb_gone: tuple[rows.RowKey, ...] = ()
