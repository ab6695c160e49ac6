"""Finds ports that OVN has not bound to their chassis, and makes OVN bind them.

northd binds another zone's port when its row changes and never again, so a binding that is lost
later stays lost (ADR 0070). The replica holds only the bindings that are wrong; all others are read
once when they change. To repair a binding, weft touches the port's Northbound row.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any

from weft import errors, names, rows
from weft.control import loop
from weft.control.zone import additionalchassis
from weft.control.zone.additionalchassis import BINDING, uuids
from weft.kube import queue
from weft.ovn import interconnect, ports, tables
from weft.ovsdb import contents, replica

log = logging.getLogger(__name__)

# Seconds that a binding may take: by northd, and by ovn-controller, which also writes flows.
PATIENCE, LOCAL_PATIENCE = 1.0, 5.0
_PAUSES = (1.0, 60.0)  # between two touches of one port
_UUID = "_uuid "  # before a UUID among the keys of the queue


class Unbound(errors.NotReady):
    """A port is bound to another chassis than requested, or to none."""


class Bindings:
    """Checks the bindings of `sb` against the ports of `nb`; `own` is this node's chassis.

    `has_interface` says whether Open vSwitch has an interface for a port of this node.
    """

    def __init__(
        self,
        nb: replica.Replica,
        sb: replica.Replica,
        own: str,
        has_interface: Callable[[str], bool],
    ) -> None:
        self._nb, self._sb, self._own = nb, sb, own
        self._has_interface = has_interface
        self._additional = additionalchassis.AdditionalChassis(nb, sb)
        self._troubles: dict[str, str] = {}
        first, longest = _PAUSES
        self._queue = queue.Queue[str](
            "binding", on_error=self._failed, first_pause=first, longest_pause=longest
        )
        self._well = asyncio.Event()
        self._well.set()
        self._touches = 0
        sb.subscribe(BINDING, self._changed)
        sb.observe(self._seen)

    @property
    def trouble(self) -> str:
        """The first wrong binding and how many more; empty while OVN can do no better."""
        if not self._troubles:
            return self._additional.trouble
        more = f", and {len(self._troubles) - 1} more" if len(self._troubles) > 1 else ""
        return next(iter(self._troubles.values())) + more

    @property
    def touches(self) -> int:
        """How many times a port's row was touched."""
        return self._touches

    async def run(self) -> None:
        """Checks bindings until cancelled; all of them first."""
        self._queue.add("")
        await loop.together(bound=self._queue.run(self._reconcile), copied=self._additional.run())

    async def well(self) -> None:
        """Returns when no port is known to be bound wrongly."""
        await self._well.wait()

    def reset(self) -> None:
        """Checks all bindings again; for when changes may have been missed."""
        self._queue.add("")
        self._additional.reset()

    async def switch(self, desired: Iterable[rows.Row]) -> None:
        """Call with Northbound rows before they are written: see `AdditionalChassis`."""
        await self._additional.switch(desired)

    def wired(self, port: str) -> None:
        """Call when Open vSwitch has got an interface for this port."""
        if self._sb.get(BINDING, port) is not None:
            self._queue.add(port, LOCAL_PATIENCE)

    def _changed(self, _: str, old: rows.Columns | None, new: rows.Columns | None) -> None:
        """A wrong binding appeared in the replica, changed, or left it."""
        columns = new or old
        assert columns is not None
        port = str(columns["logical_port"])
        if new is not None:
            self._queue.add(port, PATIENCE)
        elif port in self._troubles:
            self._queue.add(port)

    def _seen(self, seen: list[contents.ObservedChange]) -> None:
        for each in seen:
            if each.table == BINDING and each.kind == "modify" and each.columns & tables.BINDING:
                self._queue.add(_UUID + each.uuid, PATIENCE)

    async def _reconcile(self, key: str) -> None:
        """Checks one port, one binding by its UUID, or all of them ("")."""
        where: list[Any] = []
        if key.startswith(_UUID):
            where = [["_uuid", "==", ["uuid", key.removeprefix(_UUID)]]]
        elif key:
            where = [["logical_port", "==", key]]
        columns = ["logical_port", *sorted(tables.BINDING)]
        select = {"op": "select", "table": BINDING, "where": where, "columns": columns}
        (found,) = await self._sb.transact([select])
        for binding in found["rows"]:
            port = binding["logical_port"]
            if port == key:
                await self._judge(port, binding)
            elif self._why(port, binding):
                self._queue.add(port)  # under its own name it has its own pauses
        if key and not found["rows"]:
            self._ended(key)

    async def _judge(self, port: str, binding: Mapping[str, Any]) -> None:
        why = self._why(port, binding)
        if not why:
            self._ended(port)
            return
        self._troubles[port] = why
        self._well.clear()
        if uuids(binding["additional_chassis"]) - self._allowed(port):
            await self._detach(port)
        await self._touch(port)
        raise Unbound(why, where=f"port {port}")

    def _ended(self, port: str) -> None:
        if self._troubles.pop(port, ""):
            log.info("port %s is bound as it should be again, or gone", port)
        if not self._troubles:
            self._well.set()

    def _why(self, port: str, binding: Mapping[str, Any]) -> str:
        """Returns what is wrong with a binding; empty where OVN cannot do better."""
        meant = self._meant(port)
        chassis = self._sb.get(interconnect.CHASSIS, meant) if meant else None
        if chassis is None:
            return ""
        can_bind = meant != self._own or self._has_interface(port)
        allowed = self._allowed(port)
        return fault(port, binding, meant, chassis[0], can_bind=can_bind, allowed=allowed)

    def _allowed(self, port: str) -> frozenset[str]:
        """Returns the chassis that a port may be bound to beside its own, while it migrates."""
        found = self._nb.get(ports.PORT, port)
        columns = found[1] if found is not None else {}
        options = columns.get("options", {})
        requested = (
            str(options.get("requested-chassis", "")) if isinstance(options, Mapping) else ""
        )
        also = {requested.partition(",")[2], tables.external_id(columns, names.ALSO_ON)}
        rows_of = (self._sb.get(interconnect.CHASSIS, each) for each in also if each)
        return frozenset(each[0] for each in rows_of if each is not None)

    def _meant(self, port: str) -> str:
        """Returns the chassis that weft requests for a port; "" for a port that is not weft's."""
        found = self._nb.get(ports.PORT, port)
        if found is None or not tables.owner(found[1]):
            return ""
        options = found[1]["options"]
        chassis = options.get("requested-chassis", "") if isinstance(options, Mapping) else ""
        return str(chassis).partition(",")[0]

    async def _touch(self, port: str) -> None:
        """Adds a key to the port's row; the zone's writer removes it, like any foreign key."""
        self._touches += 1
        mark = ["map", [[names.TOUCHED, str(self._touches)]]]
        touch = {
            "op": "mutate",
            "table": ports.PORT,
            "where": [["name", "==", port]],
            "mutations": [["external_ids", "insert", mark]],
        }
        await self._nb.transact([touch])

    async def _detach(self, port: str) -> None:
        """Removes additional chassis that are not meant: nobody else removes them."""
        nothing = {"additional_chassis": ["set", []]}
        where = [["logical_port", "==", port]]
        update = {"op": "update", "table": BINDING, "where": where, "row": nothing}
        await self._sb.transact([update])

    def _failed(self, key: str, error: errors.WeftError) -> None:
        log.log(logging.WARNING if isinstance(error, Unbound) else logging.INFO, "%s", error)


def fault(
    port: str,
    binding: Mapping[str, Any],
    meant: str,
    uuid: str,
    *,
    can_bind: bool,
    allowed: Set[str] = frozenset(),
) -> str:
    """Returns what is wrong with the binding of a port that belongs on chassis `meant`, else "".

    `uuid` is that chassis' row. `can_bind` is false where the chassis has no interface for the
    port: then it cannot bind the port, and that is no fault. `allowed` are rows of chassis to which
    it may be bound as well.
    """
    bound = uuids(binding["chassis"])
    if bound == {uuid}:
        others = uuids(binding["additional_chassis"]) - allowed
        return f"port {port} is bound to other chassis beside {meant}" if others else ""
    if not can_bind:
        return ""
    where = "another chassis" if bound else "no chassis"
    return f"port {port} is bound to {where}, but belongs on chassis {meant}"


def bound_by(interfaces: Mapping[str, rows.Columns], port: str) -> bool:
    """Whether one of Open vSwitch's interfaces is for this port."""
    for columns in interfaces.values():
        ids = columns.get("external_ids")
        if isinstance(ids, Mapping) and ids.get(names.IFACE_ID) == port:
            return True
    return False
