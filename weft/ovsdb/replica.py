"""Holds a live copy of some tables of one database, and writes to it.

The copy follows the server's notifications. When the connection ends, it reconnects with back-off
and reads everything again; subscribers get the differences as changes, then `on_reset` is called.
Reads answer from memory, also while disconnected; `trouble` then reports why.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

from weft import errors, listeners
from weft.ovsdb import contents, schema, session, transact, wire
from weft.rows import ActualRow, Columns, Referrer, Row, RowKey, Table

Json = Any
Subscriber = listeners.Listener[str, Columns]
Predicate = Callable[[Columns | None], bool]
Observer = Callable[[list[contents.ObservedChange]], None]
# The id of the monitor for observed tables.
OBSERVED = "observed"

FIRST_PAUSE = 0.02
LONGEST_PAUSE = 1.0

log = logging.getLogger(__name__)


class Replica:
    """A copy of some tables. `open` makes it; it is an async context manager that closes it."""

    def __init__(
        self,
        address: str,
        database: str,
        tables: Iterable[Table],
        on_reset: Callable[[], None] | None = None,
        *,
        observed: Iterable[Table] = (),
        probe: float = session.PROBE,
    ) -> None:
        self.address = address
        self.database = database
        self._tables = tuple(tables)
        self._observed = tuple(observed)
        self._observers: list[Observer] = []
        self._probe = probe
        # A reset is a change too: a reader that fails on it gets it again.
        self._resets: listeners.Listeners[str, object] = listeners.Listeners(
            f"{database}, read again", lambda _: self._contents
        )
        if on_reset is not None:
            self._resets.add(lambda *_: on_reset())
        self._session: session.Session | None = None
        self._contents: contents.Contents | None = None
        self._subscribers: dict[str, listeners.Listeners[str, Columns]] = {}
        self._waiting: dict[RowKey, list[tuple[Predicate, asyncio.Future[None]]]] = {}
        self._writer = transact.Transactions(database, self._current)
        self._trouble = f"{address} did not answer"
        self._keeper: asyncio.Task[None] | None = None
        # The time of the last change in a monitored table, on the loop's clock.
        self.changed_at = 0.0

    @classmethod
    async def open(
        cls,
        address: str,
        database: str,
        tables: Iterable[Table],
        *,
        on_reset: Callable[[], None] | None = None,
        patience: float = 0.0,
        observed: Iterable[Table] = (),
        probe: float = session.PROBE,
    ) -> Self:
        """Connect and read everything; a server that does not answer yet gets `patience` seconds.

        Rows of `observed` tables are not kept: `observe` reports their changes. `probe` is the
        session's: seconds of silence before it sends an echo request. Raises Unavailable.
        """
        replica = cls(address, database, tables, on_reset, observed=observed, probe=probe)
        try:
            async with asyncio.timeout(patience or None):
                await replica._synchronise(errors.Unavailable if patience else ())
        except TimeoutError:
            what = f"no answer within {patience:g} s; {replica._trouble}"
            hint = "is the database server running?"
            raise errors.Unavailable(what, where=database, hint=hint) from None
        replica._keeper = asyncio.create_task(replica._keep(), name=f"replica of {database}")
        return replica

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection and end all calls of subscribers."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        for each in self._listeners():
            each.close()
        if self._session is not None:
            await self._session.close()

    @property
    def trouble(self) -> str:
        """Why the replica or a subscriber may be out of date; else empty."""
        if self._session is None or self._session.lost.done():
            return f"{self.database} at {self.address} is not followed: {self._trouble}"
        return next((each.trouble for each in self._listeners() if each.trouble), "")

    def _listeners(self) -> list[listeners.Listeners[str, Any]]:
        return [*self._subscribers.values(), self._resets]

    # Reading, from memory.

    def get(self, table: str, key: str) -> ActualRow | None:
        """A row's UUID and columns, by key; None if there is no such row."""
        return self._known().get(table, key)

    def uuid(self, table: str, key: str) -> str | None:
        """A row's UUID, by key; None if there is no such row."""
        found = self._known().get(table, key)
        return found and found[0]

    def rows(self, table: str) -> Mapping[str, Columns]:
        """All monitored rows of a table by UUID: a live, read-only view."""
        return self._known().every(table)

    def referrers(self, table: str, uuid: str) -> tuple[Referrer, ...]:
        """The sets that keep a row alive; none for a root table, whose rows need no reference."""
        return self._known().referrers(table, uuid) or ()

    def observe(self, fn: Observer) -> None:
        """Call `fn` with the changes of each message in observed tables; it must not raise.

        Changes while disconnected are lost."""
        self._observers.append(fn)

    def subscribe(self, table: str, fn: Subscriber) -> Callable[[], None]:
        """Call `fn(uuid, old, new)` for every change from now on; returns a function that ends it.

        Calls come in order, after the whole transaction is in the replica, and must not block.
        After an exception `fn` is called again, with all changes since, until it succeeds.
        """
        if table not in self._subscribers:
            what = f"{self.database} {table}"
            current = functools.partial(self._row, table)
            self._subscribers[table] = listeners.Listeners(what, current)
        return self._subscribers[table].add(fn)

    def _row(self, table: str, uuid: str) -> Columns | None:
        return self._known().every(table).get(uuid)

    async def wait_for(
        self, table: str, key: str, predicate: Predicate, timeout: float | None = None
    ) -> ActualRow | None:
        """Wait until `predicate` holds for the row's columns (None: no such row); returns the row.

        Raises NotReady after `timeout` seconds.
        """
        found = self.get(table, key)
        if predicate(found and found[1]):
            return found
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = (predicate, woken)
        waiters = self._waiting.setdefault((table, key), [])
        waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout):
                await woken
        except TimeoutError:
            what = f"not as awaited within {timeout:g} s"
            raise errors.NotReady(what, where=f"{self.database} {table} {key!r}") from None
        finally:
            waiters.remove(waiter)
            if not waiters:
                self._waiting.pop((table, key), None)
        return self.get(table, key)

    # Writing.

    async def apply(self, desired: Iterable[Row], delete: Iterable[RowKey] = ()) -> int:
        """Make the rows as desired in one transaction; returns its number of operations.

        When it returns, the replica has the changes. Raises Conflict if another writer was faster,
        rows.MissingReference if a row refers to one that does not exist, and Unavailable.
        """
        return await self._writer.apply(desired, delete)

    async def transact(self, operations: Iterable[Json]) -> list[Json]:
        """Send operations (RFC 7047, 5.2) as they are; returns their results."""
        return await self._current()[0].transact(self.database, list(operations))

    # How the copy is kept.

    def _known(self) -> contents.Contents:
        assert self._contents is not None, "a replica is made by open()"
        return self._contents

    def _current(self) -> tuple[session.Session, contents.Contents]:
        if self._session is None or self._session.lost.done():
            raise errors.Unavailable("not connected", where=f"{self.database} at {self.address}")
        return self._session, self._known()

    async def _keep(self) -> None:
        """Keep the connection alive for as long as the replica is open."""
        while True:
            assert self._session is not None
            await self._session.lost
            self._trouble = self._session.why
            log.warning(
                "%s at %s: %s; connecting again", self.database, self.address, self._trouble
            )
            await self._synchronise(Exception)  # however long it takes, and whatever error occurs
            log.info("%s at %s: connected, all rows read again", self.database, self.address)
            self._resets.notify(self.address, None, self._contents)

    async def _synchronise(self, passing: type[Exception] | tuple[()]) -> None:
        """Connect and read; after an error of type `passing`, try again."""
        pause = FIRST_PAUSE
        while True:
            try:
                await self._read_all()
                return
            except passing as error:
                before, self._trouble = self._trouble, str(error)
                if isinstance(error, errors.WeftError):
                    level = logging.DEBUG if before == self._trouble else logging.INFO
                    log.log(level, "%s: %s", self.database, error)
                else:
                    log.exception("%s: cannot be read", self.database)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _read_all(self) -> None:
        link = await session.Session.connect(self.address, self._notified, probe=self._probe)
        try:
            scheme = schema.Schema.parse(await link.call("get_schema", [self.database]))
            fresh = contents.Contents(self._tables, scheme)

            def install(everything: Json) -> None:
                fresh.patch(everything)
                before, self._contents, self._session = self._contents, fresh, link
                if before is not None:
                    self._notify(contents.differences(before, fresh))

            await link.request(
                "monitor_cond", [self.database, None, fresh.requests()], then=install
            )
            if self._observed:
                requests = contents.observe_requests(self._observed, scheme)
                await link.call("monitor_cond", [self.database, OBSERVED, requests])
        except BaseException:
            await link.close()
            raise

    def _notified(self, method: str, params: Json) -> None:
        if method != "update2":
            return
        if params[0] == OBSERVED:
            seen = contents.observed_changes(params[1])
            for fn in self._observers:
                fn(seen)
            return
        self.changed_at = asyncio.get_running_loop().time()
        link, known = self._session, self._known()
        self._notify(known.patch(params[1]))
        selects = known.selects()
        if selects and link is not None:

            def take_in(results: Json) -> None:
                wire.check(self.database, selects, results)
                self._notify(known.take_in(selects, results))

            reply = link.request("transact", [self.database, *selects], then=take_in)
            reply.add_done_callback(self._read_others)

    def _read_others(self, reply: asyncio.Future[Json]) -> None:
        """Read rows that others inserted. A failure ends the connection, and all is read again."""
        if (failure := reply.exception()) is not None:
            log.warning("%s: what others inserted was not read: %s", self.database, failure)

    def _notify(self, changes: Iterable[contents.RowChange]) -> None:
        if not self._subscribers and not self._waiting:
            return
        for change in changes:
            if change.table in self._subscribers:
                self._subscribers[change.table].notify(change.uuid, change.old, change.new)
            if self._waiting and change.key is not None:
                for predicate, woken in self._waiting.get((change.table, change.key), ()):
                    _wake(predicate, woken, change.new)


def _wake(predicate: Predicate, woken: asyncio.Future[None], row: Columns | None) -> None:
    if woken.done():
        return
    try:
        if predicate(row):
            woken.set_result(None)
    except Exception as error:  # raised to the waiter
        woken.set_exception(error)
