"""Passes each NetworkQoS to a zone, and says in its status whether the zone enforces it.

That is one condition. A node without a pod that the object selects says nothing. Each agent applies
its own condition (server-side apply), so that no two of them write over each other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from weft import names
from weft.api import networkqos
from weft.api.networkqos import ParsedNetworkQos
from weft.control.zone import state
from weft.control.zone.informers import Informers
from weft.control.zone.objects import Node
from weft.control.zone.writer import OvnWriter
from weft.kube import events, queue, resources
from weft.kube.client import Client
from weft.kube.errors import NotFound
from weft.model import ObjectKey
from weft.policy.networkqos import NetworkQos

log = logging.getLogger(__name__)

_LONGEST = 128  # characters of a field manager


class ZoneQos:
    """One task of the agent; call `check` after each write of rows."""

    def __init__(
        self,
        client: Client,
        zone: state.Zone,
        writer: OvnWriter,
        followed: Informers,
    ) -> None:
        self._client, self._zone, self._writer = client, zone, writer
        self._followed, self._own_node = followed.qos, followed.own_node
        # By key and network: the object whose rows are written, and for how many NICs another
        # limit counts.
        self._enforced: dict[ObjectKey, dict[str, tuple[NetworkQos, int]]] = {}
        self._is_checked = False  # what an earlier agent said stands until then
        self._queue = queue.Queue[ObjectKey](resources.NETWORKQOSES.kind)

    @property
    def trouble(self) -> str:
        """Why a condition could not be written; else empty."""
        return self._queue.trouble

    def start(self, changed: Callable[[], None]) -> None:
        """Subscribes; `changed()` is called after each change of the zone."""

        def set_qos(key: ObjectKey, _: object, new: ParsedNetworkQos | None) -> None:
            self._zone.policies.set_qos(key, new.current if new is not None else None)
            self._queue.add(key)
            changed()

        def set_node(_: ObjectKey, old: Node | None, new: Node | None) -> None:
            if old is None and new is not None:
                self._add_all()

        self._followed.subscribe(set_qos)
        self._own_node.subscribe(set_node)

    def check(self) -> None:
        """Has conditions written of what the zone enforces since, or no more."""
        if self._writer.trouble:  # what is not written is not enforced, but may be soon
            return
        for owner, standing in self._zone.policies.take_qos().items():
            found = self._enforced.setdefault(owner.policy, {})
            found.pop(owner.network, None)
            if standing is not None:
                found[owner.network] = standing
            if not found:
                del self._enforced[owner.policy]
            self._queue.add(owner.policy)
        if not self._is_checked:
            self._is_checked = True
            self._add_all()

    def _add_all(self) -> None:
        keys = self._followed.keys()
        for key in keys:
            self._queue.add(key)

    async def run(self) -> None:
        """Writes until cancelled."""
        await self._queue.run(self._write)

    async def _write(self, key: ObjectKey) -> None:
        seen = self._followed.get(key)
        node = self._zone.name
        # The manager removes conditions of nodes that are gone.
        is_there = self._own_node.get(ObjectKey("", node)) is not None
        if seen is None or not self._is_checked or not is_there:
            return
        standing = tuple(self._enforced.get(key, {}).values())
        entries = due(seen, standing, node, events.now())
        if entries is None:
            return
        kind = resources.NETWORKQOSES
        body = {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {**key._asdict(), "uid": seen.uid},
            "status": {"conditions": entries},
        }
        try:
            await self._client.patch(
                *(kind, key.name, key.namespace, body),
                type="apply",
                subresource="status",
                field_manager=manager(node),
                force=True,
            )
        except NotFound:
            log.debug("%s %s went before its condition was written", kind.kind, key)


def due(
    seen: ParsedNetworkQos, standing: tuple[tuple[NetworkQos, int], ...], node: str, now: str
) -> list[dict[str, Any]] | None:
    """Returns the conditions to apply: one, or none; None if there is nothing to write.

    `standing` are objects of `seen`'s key whose rows are written, and how many NICs are limited.
    While they are of another generation the next rows are awaited.
    """
    if any((e.uid, e.generation) != (seen.uid, seen.generation) for e, _ in standing):
        return None
    before = networkqos.of_zone(seen.status, node)
    if not standing:
        return [] if before else None
    condition = networkqos.ready(node, sum(limited for _, limited in standing))
    entry = networkqos.rendered(condition, seen.status, seen.generation, now)
    return None if entry == before else [entry]


def manager(node: str) -> str:
    """The field manager of a node's condition."""
    name = f"weft-node-{node}"
    return name if len(name) <= _LONGEST else f"weft-node-{names.identifier(node)}"
