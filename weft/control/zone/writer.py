"""Writes the rows that the zone desires into its databases, in batches.

One task writes. The first change after a quiet time goes out at once; changes soon after it, or
during a transaction, go out together in the next. At the start and after a lost connection,
everything is compared, and rows of ours that are not desired are deleted. This module does not know
what rows mean.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from weft import errors, logid, model, names, rows
from weft.control.zone import dnsrecords, foreignrows, state
from weft.metrics import Histogram
from weft.ovn import acl, interconnect, policy, ports, tables
from weft.ovsdb import replica

log = logging.getLogger(__name__)

WINDOW = 0.003  # least seconds between two transactions, unless BATCH changes have come
BATCH = 100
_PAUSES = (0.2, 10.0)

Unit = tuple[rows.Row, ...]


@dataclass(slots=True)
class Figures:
    """Counts since the start."""

    transactions: int = 0
    operations: int = 0
    rebuilds: int = 0
    refused: int = 0
    seconds: Histogram = field(default_factory=Histogram)


class OvnWriter:
    """Keeps the databases of a zone as `zone` desires; `wake` it after each change of `zone`.

    `own` is the zone's node; without it, chassis of the node's former names stay. `before`, if it
    is set, gets the Northbound rows before they are written.
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
        self.before: Callable[[Iterable[rows.Row]], Awaitable[None]] | None = None
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
        self._release: asyncio.TimerHandle | None = None  # of DNS records
        self._reports = False
        self._noticed = ""  # foreign changes that are not repaired yet
        for database, followed in ((nb, tables.NB), (sb, tables.SB)):
            for table in followed:
                database.subscribe(table.name, self._watcher(table))

    @property
    def trouble(self) -> str:
        """Why the databases differ from what the zone desires; else empty."""
        return self._refusal or self._noticed

    def wake(self) -> None:
        """Call after each change of the zone."""
        self._settled.clear()
        self._due.set()
        if len(self._zone) >= BATCH:
            self._full.set()

    def reset(self) -> None:
        """Compares everything again; for when changes may have been missed."""
        self._all = True
        self._settled.clear()
        self._due.set()
        self._full.set()

    async def settled(self) -> None:
        """Returns when the databases hold what the zone desires."""
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
            self._collect_names()
            self._on_written()

    def _collect_names(self) -> None:
        """Schedules the DNS records that changed: no port waits for them."""
        if self._zone.dns.is_collecting and self._release is None:
            loop = asyncio.get_running_loop()
            self._release = loop.call_later(dnsrecords.QUIET, self._release_names)

    def _release_names(self) -> None:
        self._release = None
        self._zone.dns.release()
        self.wake()

    async def _gather(self) -> None:
        """Collects changes: those of this turn of the loop, in a burst those of WINDOW."""
        await asyncio.sleep(0)
        try:
            async with asyncio.timeout_at(self._written + WINDOW):
                await self._full.wait()
        except TimeoutError:
            pass

    def _failed(self, error: errors.WeftError) -> None:
        """Schedules a full comparison; a new connection starts one at once (`reset`)."""
        if str(error) != self._refusal:
            log.warning("zone not written: %s", error)
        self._refusal = str(error)
        self._all = True
        asyncio.get_running_loop().call_later(self._pause, self._due.set)
        self._pause = min(self._pause * 2, _PAUSES[1])

    async def _write(self) -> None:
        """Writes chassis before the ports that name them, so that northd binds those at once."""
        is_all, self._all = self._all, False  # a reset may come meanwhile
        if is_all:
            changes = self._compared()
            self.figures.rebuilds += 1
        else:
            changes = self._zone.changes()
        verdict = self._foreign_rows.judge(changes.nb)
        nb = (*self._relied(), *verdict.corrections, *changes.nb)
        nb_gone = (*changes.nb_gone, *verdict.gone)
        self._reports = not is_all  # after a restart, each pod's rows would be an entry
        if self.before is not None:
            await self.before(nb)
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
        """Returns the NB_Global options that weft relies on; that row is shared with others."""
        found = self._nb.get(*_SHARED)
        is_followed = (
            found is not None and tables.REQUIRED_NB_GLOBAL.columns.keys() <= found[1].keys()
        )
        return (tables.REQUIRED_NB_GLOBAL,) if is_followed else ()

    def _compared(self) -> state.RowChanges:
        nb, sb = self._zone.desired()
        self._zone.forget_changes()
        self._foreign_rows.look_at_all()
        return state.RowChanges(
            (*_strays(self._nb, nb), *nb),
            tuple(_stale(self._nb, tables.NB, nb)),
            sb,
            (*_stale(self._sb, tables.SB, sb), *_former(self._sb, self._own)),
        )

    async def _apply(
        self, database: replica.Replica, desired: tuple[Unit, ...], gone: tuple[rows.RowKey, ...]
    ) -> list[errors.WeftError]:
        """Applies one transaction; if the server refuses it, its halves, so that one bad row harms
        no other. Returns an error for each refused unit."""
        if not desired and not gone:
            return []
        self._is_writing = True
        try:
            started = time.perf_counter()
            operations = await database.apply([row for unit in desired for row in unit], gone)
        except (errors.Conflict, errors.NotReady, errors.Unavailable) as error:
            if len(desired) + len(gone) == 1 or not await _answers(database):
                self.figures.refused += 1
                return [error]
        else:
            if operations:
                self.figures.transactions += 1
                self.figures.seconds.observe(time.perf_counter() - started)
            self.figures.operations += operations
            if operations and self._reports:
                _report(desired)
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
        """Returns a subscriber that has changed rows of ours checked, and foreign rows in them.

        For our own writes it finds nothing to do.
        """
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
        """Returns the row to check again after a change, if any.

        An Encap has no external_ids: its Chassis is checked. A new Chassis with our external_ids
        that the zone does not desire is checked, too.
        """
        if table.name == interconnect.ENCAP:
            encap = old or new
            chassis = str(encap["chassis_name"]) if encap is not None else ""
            is_own = self._zone.is_desired(interconnect.CHASSIS, chassis, "", "")
            return (interconnect.CHASSIS, chassis) if old is not None and is_own else None
        if old is not None:
            key = table.key(old) if tables.owner(old) else None
        elif new is not None and table.name == interconnect.CHASSIS and tables.owner(new):
            key = table.key(new)
            if key is not None and self._zone.is_desired(table.name, key, "", ""):
                return None
        else:
            return None
        return (table.name, key) if key is not None else None

    def _look(self, table: str) -> None:
        """Wakes the writer; sets `trouble` unless weft itself is writing."""
        if not self._is_writing and not self._noticed:
            self._noticed = f"somebody else changed rows of {table}; weft is writing them again"
        self.wake()


# NB_Global, which all clients of a Northbound database share.
_SHARED = (tables.REQUIRED_NB_GLOBAL.table, tables.REQUIRED_NB_GLOBAL.key)


def _units(desired: Iterable[rows.Row]) -> Iterator[Unit]:
    """Splits rows into units that are written together or not at all.

    A unit is an Encap and the Chassis that follows it; a group and its ACLs; or a port and its
    group memberships, so that no port is ever unguarded.
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
    """Yields partial rows that remove undesired ports from desired groups."""
    kept: dict[str, set[str]] = {}
    for row in desired:
        if row.table == policy.GROUP:
            inside = kept.setdefault(row.key, set())
            value = row.columns.get("ports")
            if isinstance(value, rows.SetMembers):
                refs = [ref.key for ref in value.present if isinstance(ref, rows.Ref)]
                inside.update(u for key in refs if (u := database.uuid(ports.PORT, key)))
    for key, inside in kept.items():
        found = database.get(policy.GROUP, key)
        strays = frozenset(found[1]["ports"]) - inside if found else frozenset()  # type: ignore[arg-type]
        if strays:
            value = rows.SetMembers(absent=strays)
            yield rows.Row(policy.GROUP, key, {"ports": value}, is_part=True)


def _report(written: Iterable[Unit]) -> None:
    """Logs of which pods the rows are in the database, under the id of each."""
    for unit in written:
        ids = unit[0].columns.get("external_ids") if unit[0].table == ports.PORT else None
        if isinstance(ids, Mapping) and (uid := ids.get(names.OWNER_UID)):
            message = "rows of %s are in the Northbound database"
            log.info(message, ids.get(names.OWNER), extra=logid.about(str(uid)))


async def _answers(database: replica.Replica) -> bool:
    """Whether the server takes an empty transaction."""
    try:
        await database.transact(())
    except errors.Unavailable:
        return False
    return True


def _stale(
    database: replica.Replica, followed: Iterable[rows.Table], desired: Iterable[rows.Row]
) -> Iterator[rows.RowKey]:
    """Yields the rows with weft's external_ids that are not desired."""
    kept = {(row.table, row.key) for row in desired}
    for table in followed:
        for columns in database.rows(table.name).values():
            key = table.key(columns) if tables.owner(columns) else None
            if key is not None and (table.name, key) not in kept:
                yield table.name, key


def _former(sb: replica.Replica, own: model.NodeInfo | None) -> Iterator[rows.RowKey]:
    """Yields the node's chassis under former names.

    ovn-controller does not delete it, and cannot register beside it: both claim one endpoint.
    """
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
