"""Defines what is to be written to the databases of a zone. Pure data."""

from __future__ import annotations

from dataclasses import dataclass

from weft import rows

# What rows are made for, as (network, node): a network (node ""), or one of its nodes.
RowOwner = tuple[str, str]


@dataclass(frozen=True, slots=True)
class RowChanges:
    """Rows to write and keys of rows to delete, Northbound (`nb`) and Southbound (`sb`)."""

    nb: tuple[rows.Row, ...] = ()
    nb_gone: tuple[rows.RowKey, ...] = ()
    sb: tuple[rows.Row, ...] = ()
    sb_gone: tuple[rows.RowKey, ...] = ()


def row_owner_of(network: str, owner: str) -> RowOwner:
    """Returns what a row with these external_ids is made for."""
    kind, _, of = owner.partition("//")
    return network, of if kind == "Node" else ""
