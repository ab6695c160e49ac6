"""Carries the connections of machines that migrate from the source node to the target's.

While a machine migrates away, this agent writes to its pod what Open vSwitch tracks of it. While
one comes, it reads that from the other pod, and has the zone admit these connections until some
seconds after the machine runs here. Only machines that a policy guards have tracked connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Protocol

from weft import errors, model, names
from weft.api import connections
from weft.host import unixctl
from weft.kube import resources
from weft.kube.client import Client, NotFound
from weft.migration import Connection, Migration
from weft.nic import port as nic
from weft.node import sockets
from weft.ovsdb.replica import Replica

log = logging.getLogger(__name__)

# Open vSwitch does not tell of new connections: seconds between two looks while a machine migrates.
PERIOD = 2.0
ADMITTED = 10.0  # seconds after the move, in which each end most likely sends
_ZONE = "ct-zone-"  # before a port's name in the bridge's external_ids, by ovn-controller


class Moves(Protocol):
    """What a zone knows of machines that migrate."""

    def moving(self) -> Mapping[str, model.Port]:
        """Returns their ports, by key."""


class Zone(Protocol):
    """The zone of this node."""

    @property
    def name(self) -> str: ...

    @property
    def moves(self) -> Moves: ...

    def set_admitted(self, port: str, known: frozenset[Connection], /) -> bool:
        """Sets the connections that a port here is to have; returns whether that is news."""


class Connections:
    """`wake` is called after each change of `zone`; call `check` after each of its writes."""

    def __init__(self, client: Client, zone: Zone, ovs: Replica, wake: Callable[[], None]) -> None:
        self._client, self._zone, self._ovs, self._wake = client, zone, ovs, wake
        self._published: dict[model.PodRef, str] = {}
        self._coming: set[str] = set()  # ports that wait here for their machine
        self._due = asyncio.Event()

    def check(self) -> None:
        """Looks at once if machines begin or end to migrate."""
        if self._coming or self._published or self._zone.moves.moving():
            self._due.set()

    async def run(self) -> None:
        """Carries connections until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PERIOD if self._zone.moves.moving() else None):
                    await self._due.wait()
            self._due.clear()
            try:
                await self._publish()
                await self._admit()
            except errors.WeftError as error:
                log.warning("connections of machines that migrate: %s", error)
                await asyncio.sleep(PERIOD)

    async def _publish(self) -> None:
        """Writes what is tracked of machines that leave, and removes it from those that stay."""
        leaving: dict[model.PodRef, dict[str, frozenset[Connection]]] = {}
        for key, port in self._zone.moves.moving().items():
            if port.move is not None and port.move.source == self._zone.name:
                leaving.setdefault(port.pod, {})[port.key] = await self._tracked(key, port)
        texts = {pod: connections.render(found) for pod, found in leaving.items()}
        for pod in self._published.keys() | texts.keys():
            text = texts.get(pod, "")
            if text != self._published.get(pod, ""):
                await self._write(pod, text)
            if pod in texts:
                self._published[pod] = text
            else:
                self._published.pop(pod, None)

    async def _tracked(self, key: str, port: model.Port) -> frozenset[Connection]:
        number = await self._zone_number(key)
        if not number:
            return frozenset()
        control = sockets.control(sockets.folder(self._ovs.address))
        dump = await unixctl.call(control, "dpctl/dump-conntrack", f"zone={number}")
        return connections.tracked(dump, (each.ip for each in port.allocation.addresses))

    async def _zone_number(self, key: str) -> str:
        """Returns the number under which ovn-controller tracks a port's connections."""
        where = [["name", "==", nic.BRIDGE]]
        select = {"op": "select", "table": "Bridge", "where": where, "columns": ["external_ids"]}
        (found,) = await self._ovs.transact([select])
        for row in found["rows"]:
            return str(dict(row["external_ids"][1]).get(f"{_ZONE}{key}", ""))
        return ""

    async def _write(self, pod: model.PodRef, text: str) -> None:
        annotations = {names.CONNECTIONS: text or None}
        body = {"metadata": {"uid": pod.uid, "annotations": annotations}}
        with contextlib.suppress(NotFound, errors.Conflict):
            await self._client.patch(
                resources.PODS, pod.name, pod.namespace, body, subresource="status"
            )

    async def _admit(self) -> None:
        """Has the zone admit the connections of machines that come here."""
        coming = {
            key: port
            for key, port in self._zone.moves.moving().items()
            if port.move is not None and port.move.target == self._zone.name
        }
        for key in self._coming - coming.keys():
            asyncio.get_running_loop().call_later(ADMITTED, self._forget, key)
        self._coming = set(coming)
        for key, port in coming.items():
            migration = port.allocation.migration
            if migration is None:
                continue
            text = await self._text(port.pod.namespace, migration)
            own = (each.ip for each in port.allocation.addresses)
            if self._zone.set_admitted(key, connections.parse(text, port.key, own)):
                self._wake()

    async def _text(self, namespace: str, migration: Migration) -> str:
        """Returns the annotation of the pod that a machine leaves; "" without one.

        It is read anew: where agents know other nodes' pods by PodEndpoints, it comes by no watch.
        """
        selector = f"metadata.name={migration.source}"
        for found in await self._client.list(resources.PODS, namespace, field_selector=selector):
            meta = found["metadata"]
            if meta.get("uid") == migration.source_uid:
                return str((meta.get("annotations") or {}).get(names.CONNECTIONS, ""))
        return ""

    def _forget(self, key: str) -> None:
        if key not in self._coming and self._zone.set_admitted(key, frozenset()):
            self._wake()
