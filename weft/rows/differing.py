"""Names the columns in which an actual row differs from the desired one, for logs and readiness."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set

from weft.rows import planning
from weft.rows.rowtypes import (
    Columns,
    DesiredValue,
    MapEntries,
    Ref,
    Row,
    SetMembers,
    Value,
)


def differing(row: Row, columns: Columns | None) -> tuple[str, ...]:
    """The differences as "table key column" or "table key column:entry"; "table key" for no row.

    Columns with references are left out: only a plan knows which UUIDs they resolve to.
    """
    subject = f"{row.table} {row.key}".rstrip()
    if columns is None:
        return () if row.is_part else (subject,)
    return tuple(
        f"{subject} {column}{entry}"
        for column, desired in row.columns.items()
        for entry in _entries(desired, columns[column])
    )


def _entries(desired: DesiredValue, have: Value) -> Iterator[str]:
    if isinstance(desired, MapEntries):
        assert isinstance(have, Mapping)
        wrong = {key for key, value in desired.present.items() if have.get(key) != value}
        yield from (f":{key}" for key in sorted(wrong | (desired.absent & have.keys())))
    elif isinstance(desired, SetMembers):
        if desired.present - planning.as_set(have) or desired.absent & planning.as_set(have):
            yield ""
    elif not _refers(desired) and desired != have and planning.bare(desired) != planning.bare(have):
        yield ""


def _refers(desired: Value) -> bool:
    each = desired if isinstance(desired, Set) else (desired,)
    return any(isinstance(one, Ref) for one in each)
