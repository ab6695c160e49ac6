"""Watches the Southbound rows that northd derives, and makes northd repair altered ones.

northd writes logical flows, groups, sets and bindings once and does not check them again: what
somebody else deletes or alters there stays so (ADR 0070). weft is notified that rows change,
without their content. After a change that no earlier change explains, weft makes northd recompute
everything; after changes that may hide a foreign one, it does so once the databases are quiet.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Container, Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from weft import errors, names, rows
from weft.ovn import acl, ports, tables
from weft.ovsdb import contents, replica

log = logging.getLogger(__name__)


# Seconds in which northd follows a change; somebody else made a later change of its rows.
FOLLOWS = 5.0
# For a recompute that is not urgent: seconds of quiet before it, the longest wait for quiet, and
# the pause after it as a multiple of its duration (so that it takes 1 % of northd's time at most).
QUIET, RESTLESS, SELDOM = 3.0, 60.0, 100.0
# Seconds in which deletions are collected into one recompute, and the longest pause if they go on.
GATHER, LONGEST = 0.2, 60.0
# Seconds after which `trouble` says that northd does not answer.
ANSWER = 10.0


class _Answer:
    """The rows that changed during a recompute; `own` are the UUIDs that weft itself caused."""

    def __init__(self) -> None:
        self._changed: dict[str, str] = {}
        self.own: set[str] = set()

    def note(self, seen: Iterable[contents.ObservedChange]) -> None:
        self._changed.update((each.uuid, each.table) for each in seen)

    @property
    def tables(self) -> set[str]:
        return {table for uuid, table in self._changed.items() if uuid not in self.own}


class Derived:
    """Watches `sb`, which observes `tables.DERIVED`, and makes northd repair it.

    `trouble` says why the rows may be wrong, else it is empty; `recomputes` counts recomputes.
    """

    def __init__(self, nb: replica.Replica, sb: replica.Replica) -> None:
        self._nb, self._sb = nb, sb
        self._urgent = asyncio.Event()
        self._suspected = asyncio.Event()  # also set where it is urgent
        self._confirmed = asyncio.Event()
        self._groups = True  # whether port groups may have changed
        self._asked_at = -LONGEST
        self._took = 0.0
        self._pause = GATHER
        self._answer: _Answer | None = None  # while northd recomputes
        self.trouble = ""
        self.recomputes = 0
        self.reset()
        sb.observe(self._seen)

    def reset(self) -> None:
        """Makes northd confirm all rows; for when changes may have been missed."""
        self._notice("northd has not confirmed its rows yet", groups=True)

    async def confirmed(self) -> None:
        """Returns when northd has confirmed its rows."""
        await self._confirmed.wait()

    async def run(self) -> None:
        """Requests recomputes until cancelled; one at the start."""
        while True:
            await self._until_due()
            await asyncio.sleep(self._pause)
            try:
                await self._recompute()
            except errors.WeftError as error:
                log.debug("northd cannot be asked: %s", error)
                await asyncio.sleep(1.0)

    def _seen(self, seen: list[contents.ObservedChange]) -> None:
        moving = self._sb.rows("Port_Binding")
        derived = [each for each in seen if not _is_binding(each, moving)]
        if not derived:
            return
        if self._answer is not None:
            self._answer.note(derived)
            return
        groups = any(each.table == acl.GROUP for each in derived)
        if self._is_explained():
            self._suspect(groups=groups)
            return
        kinds = ", ".join(sorted({each.table for each in derived}))
        log.warning("somebody else changed rows that northd derives: %s", kinds)
        self._notice(f"somebody else changed rows that northd derives: {kinds}", groups=groups)

    def _notice(self, what: str, *, groups: bool) -> None:
        self.trouble = what
        self._confirmed.clear()
        self._urgent.set()
        self._suspect(groups=groups)

    def _suspect(self, *, groups: bool) -> None:
        self._groups = self._groups or groups
        self._suspected.set()

    def _changed_at(self) -> float:
        """When a row that northd reads changed last (loop time)."""
        return max(self._nb.changed_at, self._sb.changed_at)

    def _is_explained(self) -> bool:
        return asyncio.get_running_loop().time() < self._changed_at() + FOLLOWS

    async def _until_due(self) -> None:
        """Returns at once where a recompute is urgent, otherwise once the databases are quiet."""
        loop = asyncio.get_running_loop()
        await self._suspected.wait()
        latest = loop.time() + RESTLESS
        while not self._urgent.is_set():
            quiet = min(self._changed_at() + QUIET, latest)
            due = max(quiet, self._asked_at + SELDOM * self._took)
            if due <= loop.time():
                return
            try:
                async with asyncio.timeout_at(due):
                    await self._urgent.wait()
            except TimeoutError:
                pass

    async def _recompute(self) -> None:
        """Makes northd recompute everything and write what differs, and waits until it has.

        Rows that change meanwhile are northd's repair or another foreign change: a second recompute
        tells. It follows at once where it is urgent, otherwise when the databases are quiet.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        is_urgent = self._urgent.is_set()
        groups, self._groups = self._groups, False
        self._urgent.clear()
        self._suspected.clear()
        try:
            changed = await self._pass(groups=groups)
            if changed and is_urgent:
                changed = await self._pass(groups=acl.GROUP in changed)
        except errors.WeftError:
            self._notice(self.trouble, groups=True)
            raise
        if changed:
            self._suspect(groups=acl.GROUP in changed)
        # Back off while foreign changes go on.
        is_again = is_urgent and began < self._asked_at + self._pause + FOLLOWS
        self._pause = min(self._pause * 2, LONGEST) if is_again else GATHER
        self._asked_at = loop.time()
        self._took = self._asked_at - began
        if not self._urgent.is_set():
            self.trouble = ""
            self._confirmed.set()

    async def _pass(self, *, groups: bool) -> set[str]:
        """Runs one recompute; returns the tables in which rows changed meanwhile.

        northd derives SB_Global's options: a foreign key there makes it recompute everything, and
        it removes the key in the transaction that holds the result.
        """
        self._answer = answer = _Answer()
        try:
            if groups:
                await self._nb.transact([_without_group()])
            await self._sb.transact([_touch()])
            await self._computed()
            if groups:
                await self._compare_groups(answer.own)
            await self._sb.transact([])  # all that northd wrote before is seen now
        finally:
            self._answer = None
        self.recomputes += 1
        return answer.tables

    async def _compare_groups(self, own: set[str]) -> None:
        """Makes northd compare its port groups, which it does when a switch gets a new one.

        northd follows Northbound and Southbound on separate connections. Only the rows that it
        derives show that it has seen the group: otherwise it may see the group come and go at once
        and do nothing. The UUIDs of those rows go into `own`.
        """
        await self._grouped(is_there=False)
        port, columns = next(iter(self._nb.rows(ports.PORT).items()), ("", {}))
        if not port:
            return
        await self._nb.transact([_with_group(port)])
        await self._grouped(is_there=True)
        found = await self._sb.transact(_own_rows(str(columns["name"])))
        own.update(_own_ids(found))
        await self._nb.transact([_without_group()])
        await self._grouped(is_there=False)

    async def _computed(self) -> None:
        since = datetime.now(UTC)
        while True:
            try:
                await self._sb.wait_for(tables.SB_GLOBAL, "", _is_untouched, ANSWER)
                return
            except errors.NotReady:
                self._is_late(since, f"it leaves {names.TOUCHED} in SB_Global.options")

    async def _grouped(self, *, is_there: bool) -> None:
        """Returns when northd has written what it derives from weft's group, or removed it."""
        since, group = datetime.now(UTC), names.TOUCHED_GROUP
        late = f"it does not {'write' if is_there else 'take out'} port group {group} of Southbound"
        while True:
            try:
                await self._sb.transact([_wait_for_group(is_there=is_there)])
                return
            except errors.Conflict:
                self._is_late(since, late)
                # If somebody else made a row of that name, a recompute removes it.
                await self._sb.transact([_touch()])

    def _is_late(self, since: datetime, what: str) -> None:
        """Sets `trouble` to what northd does not do: other versions of OVN may work differently."""
        self.trouble = (
            f"northd has not answered since {since:%H:%M:%S} UTC ({what}); is it running, and of a "
            "version that weft is tested with?"
        )
        log.warning("%s", self.trouble)


def _is_binding(seen: contents.ObservedChange, moving: Container[str]) -> bool:
    """Whether ovn-controller bound or released a port: no change of northd's. Of a binding that is
    `moving` from chassis to chassis it also notes where the guest has announced itself, and weft
    says where it is requested."""
    switched = {"options", "requested_chassis"} if seen.uuid in moving else set()
    own = tables.BINDING | switched
    return seen.kind == "modify" and bool(seen.columns) and seen.columns <= own


def _is_untouched(columns: rows.Columns | None) -> bool:
    return columns is not None and names.TOUCHED not in _keys(columns["options"])


def _keys(value: rows.Value) -> Iterable[object]:
    return value if isinstance(value, dict) else ()


def _touch() -> Any:
    mark = ["map", [[names.TOUCHED, str(uuid4())]]]
    return {
        "op": "mutate",
        "table": tables.SB_GLOBAL,
        "where": [],
        "mutations": [
            ["options", "delete", ["set", [names.TOUCHED]]],
            ["options", "insert", mark],
        ],
    }


def _with_group(port: str) -> Any:
    """Inserts a group with this port: northd compares all groups when a switch gets a new one."""
    row = {"name": names.TOUCHED_GROUP, "ports": ["uuid", port]}
    return {"op": "insert", "table": acl.GROUP, "row": row}


def _without_group() -> Any:
    where = [["name", "==", names.TOUCHED_GROUP]]
    return {"op": "delete", "table": acl.GROUP, "where": where}


# northd makes two address sets of a group, and a port group for each switch that has ports in it.
_SETS = (f"{names.TOUCHED_GROUP}_ip4", f"{names.TOUCHED_GROUP}_ip6")


def _wait_for_group(*, is_there: bool) -> Any:
    """The server answers once it is so (RFC 7047, section 5.2.6)."""
    return {
        "op": "wait",
        "timeout": int(1000 * ANSWER),
        "table": "Address_Set",
        "where": [["name", "==", _SETS[0]]],
        "columns": ["name"],
        "until": "==",
        "rows": [{"name": _SETS[0]}] if is_there else [],
    }


def _own_rows(port: str) -> list[Any]:
    """Selects the rows that northd made for weft's group with this port, and perhaps for others."""
    conditions = [("Address_Set", ["name", "==", name]) for name in _SETS]
    conditions.append((acl.GROUP, ["ports", "includes", port]))
    return [
        {"op": "select", "table": table, "where": [where], "columns": ["_uuid", "name"]}
        for table, where in conditions
    ]


def _own_ids(selected: Iterable[Any]) -> Iterable[str]:
    for result in selected:
        for row in result["rows"]:
            if row["name"] in _SETS or row["name"].endswith(f"_{names.TOUCHED_GROUP}"):
                yield row["_uuid"][1]
