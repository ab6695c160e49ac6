"""Carries the connections of machines that migrate from the source node to the target's.

While a machine migrates away, this agent writes to its pod what Open vSwitch tracks of it. While
one comes, it reads that from the other pod, and has the zone admit these connections until some
seconds after the machine runs here. Only machines that a policy guards have tracked connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from weft import errors, model, names
from weft.api import connections
from weft.api.pod import Pod
from weft.host import sockets, unixctl
from weft.kube import cache, resources
from weft.kube.client import Client, NotFound
from weft.migration import Connection, Migration, Move
from weft.nic import port as nic
from weft.ovn import ports
from weft.ovsdb.replica import Replica

log = logging.getLogger(__name__)

# Open vSwitch does not tell of new connections: seconds between two looks while a machine migrates.
PERIOD = 2.0
ADMITTED = 10.0  # seconds after the guest has come, in which each end most likely sends
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
        """Sets the connections that a port here is to have, as far as its policies would let them
        begin now; returns whether that is news."""


class Connections:
    """`pods` has this node's. Call `check` after each write of `zone`."""

    def __init__(
        self, client: Client, zone: Zone, ovs: Replica, sb: Replica, pods: cache.Informer[Pod]
    ) -> None:
        self._client, self._zone, self._ovs, self._sb = client, zone, ovs, sb
        self._pods = pods
        self._wake: Callable[[], None] = lambda: None
        self._carried: dict[model.PodRef, str] = {}  # pods here with the annotation: its digest
        self._seen: Mapping[str, model.Port] = {}  # ports that moved at the last look
        # Ports with a machine that comes or has come: since when it is here, None while it is not.
        self._arrived: dict[str, float | None] = {}
        self._known: dict[str, frozenset[Connection]] = {}  # of these ports, as they were read last
        self._is_behind = False
        self._due = asyncio.Event()

    def check(self) -> None:
        """Looks at once if machines begin or end to migrate."""
        if self._moving() != self._seen:
            self._due.set()

    async def run(self, wake: Callable[[], None]) -> None:
        """Carries connections until cancelled; calls `wake` after each change of `zone`."""
        self._wake = wake
        self._pods.subscribe(self._pod_changed)
        while True:
            is_busy = self._seen or self._arrived or self._is_behind
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PERIOD if is_busy else None):
                    await self._due.wait()
            self._due.clear()
            await self._look()

    async def _look(self) -> None:
        """Brings all up to date. An error of one port or pod keeps none of the others back."""
        self._is_behind = False
        self._seen = self._moving()
        coming, leaving = {}, dict[model.PodRef, dict[str, model.Port]]()
        for key, port in self._seen.items():
            if _move(port).target == self._zone.name:
                coming[key] = port
            else:
                leaving.setdefault(port.pod, {})[key] = port
        self._expire(coming)
        for key, port in coming.items():
            await self._tried(self._admit(key, port), port.pod)
            if not self._is_over(key):
                self._set(key)
        for pod, of_pod in leaving.items():
            await self._tried(self._publish(pod, of_pod), pod)
        for pod in self._carried.keys() - leaving.keys():
            await self._tried(self._write(pod, ""), pod)

    async def _tried(self, step: Awaitable[None], pod: model.PodRef) -> None:
        try:
            await step
        except errors.WeftError as error:
            self._is_behind = True
            log.warning("connections of Pod %s, whose machine migrates: %s", pod.key, error)

    def _moving(self) -> dict[str, model.Port]:
        """Returns the ports whose machines migrate to or from this node."""
        moving = self._zone.moves.moving().items()
        return {key: port for key, port in moving if self._zone.name in _move(port)[:2]}

    def _pod_changed(self, _: object, old: Pod | None, new: Pod | None) -> None:
        """Takes in what a pod here carries, whoever wrote it."""
        if old is not None:
            self._carried.pop(old.ref, None)
        if new is not None and new.carried and new.node == self._zone.name:
            self._carried[new.ref] = new.carried
            if all(new.ref != port.pod for port in self._seen.values()):
                self._due.set()

    async def _publish(self, pod: model.PodRef, leaving: Mapping[str, model.Port]) -> None:
        """Writes to a pod what is tracked of its machine, which leaves."""
        target = min(_move(port).target_uid for port in leaving.values())
        known = {
            key: await self._tracked(key, port)
            for key, port in leaving.items()
            if _move(port).target_uid == target
        }
        text = connections.render(target, known)
        if connections.digest(text) != self._carried.get(pod, ""):
            await self._write(pod, text)

    async def _tracked(self, key: str, port: model.Port) -> frozenset[Connection]:
        number = await self._zone_number(key)
        if not number:
            return frozenset()
        control = sockets.control(sockets.folder(self._ovs.address))
        # A guest decides how much this is; the rest of it is left out.
        dump = await unixctl.beginning(control, "dpctl/dump-conntrack", f"zone={number}")
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

    def _expire(self, coming: Mapping[str, model.Port]) -> None:
        """Ends what is admitted for machines that have been here for long enough."""
        now = asyncio.get_running_loop().time()
        for key, since in list(self._arrived.items()):
            if since is None and key not in coming:
                self._arrived[key] = now
            elif self._is_over(key):
                self._known.pop(key, None)
                self._set(key)
                if key not in coming:
                    del self._arrived[key]
            elif key not in coming:  # those are next
                self._set(key)  # policies may have changed

    def _is_over(self, key: str) -> bool:
        since = self._arrived.get(key)
        return since is not None and asyncio.get_running_loop().time() - since >= ADMITTED

    async def _admit(self, key: str, port: model.Port) -> None:
        """Has the zone admit the connections of a machine that comes, unless its time is over."""
        self._arrived.setdefault(key, None)
        is_here = await self._is_here(key)
        if not is_here:
            self._arrived[key] = None
        elif self._arrived[key] is None:
            self._arrived[key] = asyncio.get_running_loop().time()
        migration = port.allocation.migration
        if migration is None or self._is_over(key):
            return
        text = await self._text(port.pod.namespace, migration)
        own = (each.ip for each in port.allocation.addresses)
        self._known[key] = connections.parse(text, port.pod.uid, key, own)

    def _set(self, key: str) -> None:
        if self._zone.set_admitted(key, self._known.get(key, frozenset())):
            self._wake()

    async def _is_here(self, key: str) -> bool:
        """Whether a guest that comes has announced itself here, so that its port's gate is open:
        ovn-controller notes that, and the cluster manager may be long in saying so."""
        where = [["logical_port", "==", key]]
        select = {"op": "select", "table": "Port_Binding", "where": where, "columns": ["options"]}
        (found,) = await self._sb.transact([select])
        return any(ports.ACTIVATED in dict(row["options"][1]) for row in found["rows"])

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


def _move(port: model.Port) -> Move:
    assert port.move is not None, port
    return port.move
