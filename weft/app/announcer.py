"""Keeps a node's own Node up to date: its tunnel endpoint, its gateway, and its OVN's faults.

An agent that cannot write there is not ready: other nodes send nothing to a node that is not
announced.
"""

from __future__ import annotations

from weft import model
from weft.control.zone import nodes, ovnversion
from weft.control.zone.objects import Node
from weft.kube import cache, events, queue
from weft.kube.client import Client
from weft.model import ObjectKey
from weft.nic import bridgemappings, port
from weft.ovsdb import replica


class Announcer:
    """One task of the agent. `own` is what it announces; `primary`: see `nodes.announcement`.

    The bridge mappings are those that Open vSwitch has at the time. `version` are the parameters of
    `ovnversion.OvnVersion` before its callback.
    """

    def __init__(
        self,
        client: Client,
        followed: cache.Informer[Node],
        own: model.NodeInfo,
        *,
        primary: bool,
        version: tuple[replica.Replica, replica.Replica, events.Recorder],
    ) -> None:
        self._client, self._nodes, self._own = client, followed, own
        self._key = ObjectKey("", own.name)
        self._primary, self._ovs = primary, version[1]
        self._queue = queue.Queue[ObjectKey]("Node")
        self._version = ovnversion.OvnVersion(*version, self.check)

    def check(self) -> None:
        """Has the Node compared with what it should contain."""
        self._queue.add(self._key)

    async def run(self) -> None:
        """Compares and writes after each `check` and each change of mappings, until cancelled."""
        self._ovs.subscribe("Open_vSwitch", lambda *_: self.check())
        self.check()
        await self._queue.run(self._announce)

    async def _announce(self, _: ObjectKey) -> None:
        node = self._nodes.get(self._key)
        await nodes.announce(self._client, node, self._own, self._desired())
        if (node := self._nodes.get(self._key)) is not None:
            await self._version.announce(self._client, node)

    def _desired(self) -> nodes.Announcement:
        found = self._ovs.get("Open_vSwitch", "")
        mappings = bridgemappings.parse(port.external_ids(found[1])) if found is not None else {}
        return nodes.announcement(self._own, primary=self._primary, mappings=mappings)

    @property
    def trouble(self) -> str:
        """Why the Node lacks what it should contain; else empty."""
        if self._queue.trouble:
            return self._queue.trouble
        lack = nodes.unannounced(self._nodes.get(self._key), self._own, self._desired())
        return lack.in_full() if lack else ""
