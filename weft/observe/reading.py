"""Reads the databases of a zone once.

`topology` and `underlay` give the rows their meaning. A zone that does not answer becomes a
snapshot with an error: a picture of the other zones is still useful.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from weft import errors, rows
from weft.observe import snapshot
from weft.ovsdb.replica import Replica

PATIENCE = 5.0  # seconds in which a server must have sent all rows


@dataclass(frozen=True, slots=True)
class Addresses:
    """The databases of one zone: `unix:PATH` or `tcp:HOST:PORT` each; an empty one is not read."""

    place: str
    nb: str
    sb: str
    ovs: str

    @property
    def databases(self) -> Mapping[str, str]:
        every = {
            snapshot.NORTHBOUND: self.nb,
            snapshot.SOUTHBOUND: self.sb,
            snapshot.SWITCHES: self.ovs,
        }
        return {database: address for database, address in every.items() if address}


async def read(zones: Iterable[Addresses]) -> tuple[snapshot.Snapshot, ...]:
    """Read all zones at once. Raise WeftError only if none of them can be read."""
    zones = tuple(zones)
    outcomes = await asyncio.gather(*(_zone(zone) for zone in zones), return_exceptions=True)
    found: list[snapshot.Snapshot] = []
    failures: list[errors.WeftError] = []
    for zone, outcome in zip(zones, outcomes, strict=True):
        if isinstance(outcome, errors.WeftError):
            failures.append(outcome)
            found.append(snapshot.Snapshot(zone.place, trouble=str(outcome)))
        elif isinstance(outcome, BaseException):
            raise outcome
        else:
            found.append(outcome)
    if failures and len(failures) == len(found):
        raise failures[0]
    return tuple(found)


async def _zone(zone: Addresses) -> snapshot.Snapshot:
    parts = await asyncio.gather(
        *(_database(address, database) for database, address in zone.databases.items())
    )
    return snapshot.Snapshot(zone.place, {name: part[name] for part in parts for name in part})


async def _database(address: str, database: str) -> dict[str, dict[str, rows.Columns]]:
    tables = snapshot.TABLES[database]
    try:
        async with (
            asyncio.timeout(PATIENCE),
            await Replica.open(address, database, tables) as replica,
        ):
            return {table.name: dict(replica.rows(table.name)) for table in tables}
    except TimeoutError:
        what = f"{database} does not answer within {PATIENCE:g} s"
        raise errors.Unavailable(what, where=address, hint="is its server stopped?") from None
