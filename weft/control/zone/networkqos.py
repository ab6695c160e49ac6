"""Passes each NetworkQoS to a zone, and says in its status whether the zone enforces it.

That is one condition. A node without a pod that the object selects says nothing. Each agent applies
its own condition (server-side apply), so that no two of them write over each other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from weft import names
from weft.api import networkqos
from weft.api.networkqos import Condition, ParsedNetworkQos
from weft.control.zone import state
from weft.control.zone.writer import OvnWriter
from weft.kube import cache, events, queue, resources
from weft.kube.client import Client
from weft.kube.errors import NotFound
from weft.model import ObjectKey

log = logging.getLogger(__name__)

_LONGEST = 128  # characters of a field manager


class ZoneQos:
    """One task of the agent; call `check` after each write of rows."""

    def __init__(
        self,
        client: Client,
        zone: state.Zone,
        writer: OvnWriter,
        followed: cache.Informer[ParsedNetworkQos],
    ) -> None:
        self._client, self._zone, self._writer = client, zone, writer
        self._followed = followed
        self._enforced: dict[ObjectKey, Condition] = {}
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

        self._followed.subscribe(set_qos)

    def check(self) -> None:
        """Has conditions written of what the zone enforces since, or no more."""
        before, self._enforced = self._enforced, self._found()
        for key in {each for each, _ in before.items() ^ self._enforced.items()}:
            self._queue.add(key)

    def _found(self) -> dict[ObjectKey, Condition]:
        node = self._zone.name
        if self._writer.trouble:  # what is not written is not enforced, but may be soon
            return self._enforced
        limits = self._zone.policies.qos_limits()
        return {key: networkqos.ready(node, limited) for key, limited in limits.items()}

    async def run(self) -> None:
        """Writes until cancelled."""
        await self._queue.run(self._write)

    async def _write(self, key: ObjectKey) -> None:
        seen = self._followed.get(key)
        if seen is None:
            return
        node = self._zone.name
        condition, before = self._enforced.get(key), networkqos.of_zone(seen.status, node)
        if condition is None and not before:
            return
        entries = []
        if condition is not None:
            entry = networkqos.rendered(condition, seen.status, seen.generation, events.now())
            if entry == before:
                return
            entries.append(entry)
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


def manager(node: str) -> str:
    """The field manager of a node's condition."""
    name = f"weft-node-{node}"
    return name if len(name) <= _LONGEST else f"weft-node-{names.identifier(node)}"
