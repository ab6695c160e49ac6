"""Plans, sends and checks transactions; no two plans over one row run at once.

Transactions on different rows run at the same time. One that changes or needs a row that another is
writing waits for it, and plans with its result. This is safe because the server runs a connection's
transactions in order and sends their updates before the reply.

Other processes may write too. Then the server refuses (unique index, guard, reference), or an
operation finds no row: that raises Conflict, and the caller plans again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from weft import errors, rows
from weft.ovsdb import contents, session, wire

Json = Any


# Operations that match no row only if it was deleted after they were planned.
_NEEDED = (rows.Update, rows.Mutate)


class Transactions:
    """Applies desired rows to one database; `current` returns the connection and its contents."""

    def __init__(
        self, database: str, current: Callable[[], tuple[session.Session, contents.Contents]]
    ) -> None:
        self._database = database
        self._current = current
        self._busy: dict[rows.RowKey, asyncio.Future[Json]] = {}

    async def apply(self, desired: Iterable[rows.Row], delete: Iterable[rows.RowKey] = ()) -> int:
        """Make the rows as desired; the number of operations sent, 0 if nothing differs."""
        desired, delete = tuple(desired), tuple(delete)
        touched = {(row.table, row.key) for row in desired}.union(delete)
        while True:
            await self._current()[0].writable()
            if not self._busy.keys().isdisjoint(touched):
                await asyncio.wait({self._busy[i] for i in touched if i in self._busy})
                continue
            link, actual = self._current()
            try:
                plan = rows.plan(desired, actual, delete)
            except rows.MissingReference as missing:
                reply = self._busy.get((missing.ref.table, missing.ref.key))
                if reply is None:
                    raise
                await asyncio.wait([reply])
                continue
            return await self._send(link, actual, plan, touched) if plan else 0

    async def _send(
        self,
        link: session.Session,
        actual: contents.Contents,
        plan: list[rows.Operation],
        touched: set[rows.RowKey],
    ) -> int:
        operations = [wire.operation(op, actual.encoders) for op in plan]
        actual.expect(plan)
        reply = link.request("transact", [self._database, *operations])
        self._busy.update(dict.fromkeys(touched, reply))

        def release(_: asyncio.Future[Json]) -> None:
            for ident in touched:
                del self._busy[ident]
            actual.settle(plan)
            reply.exception()  # retrieved here, in case the caller was cancelled

        # Other plans may use these rows once the outcome is known, not when the caller gives up.
        reply.add_done_callback(release)
        results = await asyncio.shield(reply)
        wire.check(self._database, operations, results)
        for op, result in zip(plan, results, strict=True):
            if type(op) in _NEEDED and result["count"] == 0:
                raise errors.Conflict(
                    f"{op.table} row went away while it was being written",
                    where=self._database,
                    hint="the rest of the transaction was done; apply again",
                )
        return len(plan)
