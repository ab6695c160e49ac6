"""Writes the rows that the zone desires into its databases: when, and in which transactions.

One task writes. What comes after a while of quiet goes at once; what comes soon after, or while a
transaction is under way, goes together with the next. At the start and after a connection was
lost, everything is compared and rows of ours that nothing desires are removed. No meaning of rows
lives here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from weft import errors, model, names, rows
from weft.control.zone import foreignrows, state
from weft.ovn import acl, interconnect, policy, ports, tables
from weft.ovsdb import replica

log = logging.getLogger(__name__)

WINDOW = 0.003  # least seconds between two transactions, unless BATCH changes have come
BATCH = 100
_PAUSES = (0.2, 10.0)

Unit = tuple[rows.Row, ...]


@dataclass(slots=True)
class Figures:
    """What was done since the start."""

    transactions: int = 0
    operations: int = 0
    rebuilds: int = 0
    refused: int = 0


class Writer:
    """Keeps the databases of a zone as `zone` desires; `poke` it after each change of `zone`.

    `own` is the zone's node; without it, what the node was before is left alone.
    """

    def __init__(
        self,
        zone: state.Zone,
        nb: replica.Replica,
        sb: replica.Replica,
        *,
        own: model.NodeInfo | None = None,
        on_written: Callable[[], None] = lambda: None,
    ) -> None:
        self._zone, self._nb, self._sb = zone, nb, sb
        self._own = own
        self._on_written = on_written
        self._due = asyncio.Event()
        self._full = asyncio.Event()
        self._all = True
        self._pause = _PAUSES[0]
        self._written = 0.0
        self._settled = asyncio.Event()
        self._is_writing = False
        self._foreign_rows = foreignrows.ForeignRows(zone, nb)
        self.figures = Figures()
        self._refusal = ""
        self._noticed = ""  # which rows somebody else changed that are not mended yet
        for database, followed in ((nb, tables.NB), (sb, tables.SB)):
            for table in followed:
                database.subscribe(table.name, self._watcher(table))

    @property
    def trouble(self) -> str:
        """Why the databases do not say what the zone desires; else empty."""
        return self._refusal or self._noticed

    def poke(self) -> None:
        """The zone was changed."""
        self._settled.clear()
        self._due.set()
        if len(self._zone) >= BATCH:
            self._full.set()

    def reset(self) -> None:
        """What the databases hold is not known any more: compare everything."""
        self._all = True
        self._settled.clear()
        self._due.set()
        self._full.set()

    async def settled(self) -> None:
        """Returns when the databases say what the zone desires."""
        await self._settled.wait()

    async def run(self) -> None:
        """Writes until cancelled; starts by comparing everything."""
        self.reset()
        while True:
            await self._due.wait()
            await self._gather()
            self._due.clear()
            self._full.clear()
            try:
                await self._write()
            except errors.WeftError as error:
                self._failed(error)
            else:
                self._refusal, self._pause = "", _PAUSES[0]
                if not self._due.is_set():
                    self._noticed = ""
                    self._settled.set()
            self._written = asyncio.get_running_loop().time()
            self._on_written()

    async def _gather(self) -> None:
        """Lets come what is coming: all of this turn of the loop, in a burst all of a moment."""
        await asyncio.sleep(0)
        try:
            async with asyncio.timeout_at(self._written + WINDOW):
                await self._full.wait()
        except TimeoutError:
            pass

    def _failed(self, error: errors.WeftError) -> None:
        """Compare everything later; a new connection brings that at once (`reset`)."""
        if str(error) != self._refusal:
            log.warning("zone not written: %s", error)
        self._refusal = str(error)
        self._all = True
        asyncio.get_running_loop().call_later(self._pause, self._due.set)
        self._pause = min(self._pause * 2, _PAUSES[1])

    async def _write(self) -> None:
        """Chassis before the ports that name them, so that northd binds those at once."""
        is_all, self._all = self._all, False  # a reset may come meanwhile
        if is_all:
            changes = self._compared()
            self.figures.rebuilds += 1
        else:
            changes = self._zone.changes()
        verdict = self._foreign_rows.judge(changes.nb)
        nb = (*self._relied(), *verdict.corrections, *changes.nb)
        nb_gone = (*changes.nb_gone, *verdict.gone)
        refused = [
            *await self._apply(self._sb, tuple(_units(changes.sb)), changes.sb_gone),
            *await self._apply(self._nb, tuple(_units(nb)), nb_gone),
        ]
        if verdict.operations:
            await self._nb.transact(verdict.operations)
            self.figures.operations += len(verdict.operations)
        if refused:
            raise refused[0]

    def _relied(self) -> tuple[rows.Row, ...]:
        """What weft relies on of a row that is not its own, where that is followed."""
        found = self._nb.get(*_SHARED)
        is_followed = (
            found is not None and tables.REQUIRED_NB_GLOBAL.columns.keys() <= found[1].keys()
        )
        return (tables.REQUIRED_NB_GLOBAL,) if is_followed else ()

    def _compared(self) -> state.Changes:
        nb, sb = self._zone.desired()
        self._zone.forget_changes()
        self._foreign_rows.look_at_all()
        return state.Changes(
            (*_strays(self._nb, nb), *nb),
            tuple(_stale(self._nb, tables.NB, nb)),
            sb,
            (*_stale(self._sb, tables.SB, sb), *_former(self._sb, self._own)),
        )

    async def _apply(
        self, database: replica.Replica, desired: tuple[Unit, ...], gone: tuple[rows.RowKey, ...]
    ) -> list[errors.WeftError]:
        """One transaction; where the server refuses it, halves of it, so that one bad row harms
        no other. Gives what was refused in the end."""
        if not desired and not gone:
            return []
        self._is_writing = True
        try:
            operations = await database.apply([row for unit in desired for row in unit], gone)
        except (errors.Conflict, errors.NotReady, errors.Unavailable) as error:
            if len(desired) + len(gone) == 1 or not await _answers(database):
                self.figures.refused += 1
                return [error]
        else:
            self.figures.transactions += 1 if operations else 0
            self.figures.operations += operations
            return []
        finally:
            self._is_writing = False
        if gone and desired:
            return [
                *await self._apply(database, (), gone),
                *await self._apply(database, desired, ()),
            ]
        half = (len(desired) + len(gone)) // 2
        return [
            *await self._apply(database, desired[:half], gone[:half]),
            *await self._apply(database, desired[half:], gone[half:]),
        ]

    def _watcher(self, table: rows.Table) -> replica.Subscriber:
        """Looks again at rows of ours that changed or went, and at what others put into them; our
        own doing finds nothing to do."""
        sets = tables.CHILD_COLUMNS | {tables.MEMBER_COLUMNS.get(table.name, "")}
        followed = [c for c in {*table.columns, *table.kept_empty} if c not in sets]
        is_north = table in tables.NB

        def changed(uuid: str, old: rows.Columns | None, new: rows.Columns | None) -> None:
            suspects = len(self._foreign_rows)
            if is_north:
                self._foreign_rows.changed(table, uuid, old, new)
            is_due = len(self._foreign_rows) > suspects
            if old is not None and new is not None:
                is_same = all(new.get(column) == old.get(column) for column in followed)
            else:
                is_same = old is None and is_north
            if not is_same and (ident := self._suspected(table, old, new)) is not None:
                network = tables.external_id(old or {}, names.NETWORK)
                self._zone.touch(*ident, network, tables.owner(old or {}))
                is_due = is_due or len(self._zone) > 0
            is_shared = (table.name, "") == _SHARED and not (is_same and old)
            if is_due or is_shared:
                self._look(table.name)

        return changed

    def _suspected(
        self, table: rows.Table, old: rows.Columns | None, new: rows.Columns | None
    ) -> rows.RowKey | None:
        """Which row has to be looked at again for a change, if any.

        An Encap bears no mark: it goes with its Chassis. So does a Chassis that bears ours and is
        none of ours.
        """
        if table.name == interconnect.ENCAP:
            encap = old or new
            chassis = str(encap["chassis_name"]) if encap is not None else ""
            is_own = self._zone.wants(interconnect.CHASSIS, chassis, "", "")
            return (interconnect.CHASSIS, chassis) if old is not None and is_own else None
        if old is not None:
            key = table.key(old) if tables.owner(old) else None
        elif new is not None and table.name == interconnect.CHASSIS and tables.owner(new):
            key = table.key(new)
            if key is not None and self._zone.wants(table.name, key, "", ""):
                return None
        else:
            return None
        return (table.name, key) if key is not None else None

    def _look(self, table: str) -> None:
        """Something may have to be written for what changed in a table."""
        if not self._is_writing and not self._noticed:
            self._noticed = f"somebody else changed rows of {table}; weft is writing them again"
        self.poke()


# The row that all who write to a Northbound database share.
_SHARED = (tables.REQUIRED_NB_GLOBAL.table, tables.REQUIRED_NB_GLOBAL.key)


def _units(desired: Iterable[rows.Row]) -> Iterator[Unit]:
    """Rows that come together or not at all.

    An Encap and the Chassis that follows it; a group and its ACLs; a port and its places in
    groups, so that none is ever there unguarded.
    """
    unit: list[rows.Row] = []
    for row in desired:
        if unit and not _follows(row, unit):
            yield tuple(unit)
            unit = []
        unit.append(row)
    if unit:
        yield tuple(unit)


def _follows(row: rows.Row, unit: list[rows.Row]) -> bool:
    if row.table == policy.GROUP:
        return row.is_part and unit[0].table == ports.PORT
    if row.table == acl.ACL:
        return row.parent == rows.Ref(policy.GROUP, unit[0].key)
    return unit[-1].table == interconnect.ENCAP


def _strays(database: replica.Replica, desired: Iterable[rows.Row]) -> Iterator[rows.Row]:
    """Ports out of desired groups in which nothing desires them."""
    wanted: dict[str, set[str]] = {}
    for row in desired:
        if row.table == policy.GROUP:
            inside = wanted.setdefault(row.key, set())
            wish = row.columns.get("ports")
            if isinstance(wish, rows.SetMembers):
                refs = [ref.key for ref in wish.present if isinstance(ref, rows.Ref)]
                inside.update(u for key in refs if (u := database.uuid(ports.PORT, key)))
    for key, inside in wanted.items():
        found = database.get(policy.GROUP, key)
        strays = frozenset(found[1]["ports"]) - inside if found else frozenset()  # type: ignore[arg-type]
        if strays:
            wish = rows.SetMembers(absent=strays)
            yield rows.Row(policy.GROUP, key, {"ports": wish}, is_part=True)


async def _answers(database: replica.Replica) -> bool:
    """Whether the server still takes transactions, if not the one that it was given."""
    try:
        await database.transact(())
    except errors.Unavailable:
        return False
    return True


def _stale(
    database: replica.Replica, followed: Iterable[rows.Table], desired: Iterable[rows.Row]
) -> Iterator[rows.RowKey]:
    """Rows that say they are weft's, and that nothing desires."""
    wanted = {(row.table, row.key) for row in desired}
    for table in followed:
        for columns in database.rows(table.name).values():
            key = table.key(columns) if tables.owner(columns) else None
            if key is not None and (table.name, key) not in wanted:
                yield table.name, key


def _former(sb: replica.Replica, own: model.NodeInfo | None) -> Iterator[rows.RowKey]:
    """The node's own chassis under a name that it had before: ovn-controller leaves it, and cannot
    register beside it, as both claim one endpoint."""
    if own is None:
        return
    encaps = sb.rows(interconnect.ENCAP).values()
    claiming = {str(encap["chassis_name"]) for encap in encaps if encap["ip"] in own.encap_ips}
    for name in sorted(claiming - {own.chassis}):
        there = sb.get(interconnect.CHASSIS, name)
        if there is not None and not tables.owner(there[1]):
            yield interconnect.CHASSIS, name
            if sb.get(interconnect.CHASSIS_PRIVATE, name) is not None:
                yield interconnect.CHASSIS_PRIVATE, name
