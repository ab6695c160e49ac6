"""Announces on its physical networks a machine that has come to this node.

While a machine migrates here, its NIC waits and is not announced (`attach.py`), and its port lets
nothing in, the guest's own announcement neither. Once its signed allocation says that it runs here,
hosts and switches on the wire have to send here (ADR 0103).

Frames go into the NIC's port at the switch and not out of the interface in the pod: KubeVirt has
given that another name and MAC by then, and guests without a kernel interface have none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import NamedTuple

from weft import model
from weft.api import podnetworks
from weft.api.pod import Pod
from weft.host import sockets
from weft.kube import queue
from weft.model import ObjectKey
from weft.nic import port, record
from weft.node.dependencies import Dependencies
from weft.openflow.session import Session
from weft.ovn import announcement, flows

# Seconds from activation to each announcement. The port lets nothing in until its rows are written,
# which begins at the same time: on a quiet node that takes 20 to 60 ms. The last ones are for a
# busy node, and for frames that were lost (RFC 5227, ANNOUNCE_INTERVAL).
TIMES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 2.0, 10.0)


class Announcement(NamedTuple):
    """One of the announcements of a NIC whose machine has come."""

    pod: model.PodRef
    attachment: str
    number: int


class Arrivals:
    """Watches the pods of this node; one task of the agent."""

    def __init__(self, deps: Dependencies) -> None:
        self._deps = deps
        self.queue = queue.Queue[Announcement]("announcement of a machine's NIC")
        self._waiting: dict[model.PodRef, frozenset[str]] = {}  # attachments with machines to come

    async def run(self) -> None:
        """Looks at the pods here, then at those that change, until cancelled."""
        self._deps.pods.subscribe(self._pod_changed)
        await self.queue.run(self._announce)

    def _pod_changed(self, _: ObjectKey, old: Pod | None, new: Pod | None) -> None:
        before = self._waiting.pop(old.ref, frozenset()) if old is not None else None
        if new is None or new.node != self._deps.node or new.is_completed:
            return
        if old is not None and old.ref != new.ref:
            before = frozenset()
        decided = self._deps.decided(new).allocations
        if waiting := frozenset(key for key in decided if _waits(decided[key])):
            self._waiting[new.ref] = waiting
        for attachment in sorted(arrived(before, decided)):
            for number, after in enumerate(TIMES):
                self.queue.add(Announcement(new.ref, attachment, number), after)

    async def _announce(self, what: Announcement) -> None:
        pod = self._deps.pods.get(what.pod.key)
        if pod is None or pod.ref != what.pod or pod.is_completed:
            return
        allocation = self._deps.decided(pod).allocations.get(what.attachment)
        known = _of_attachment(self._deps.records.all(), what.pod, what.attachment)
        # What has no record is being added, and announced by that.
        if allocation is None or _waits(allocation) or known is None:
            return
        spec = self._deps.network_of(podnetworks.nad_of(what.attachment))
        found = self._deps.ovs.get("Interface", known.device)
        if spec is None or spec.topology is not model.Topology.LOCALNET or found is None:
            return
        if (number := port.number(found[1])) > 0:
            await self._send(number, announcement.frames(allocation.mac, allocation.addresses))

    async def _send(self, number: int, frames: Iterable[bytes]) -> None:
        """Puts frames into a port as if they came from its NIC; raises Unavailable."""
        path = sockets.management(self._deps.ovs.address, self._deps.settings.bridge)
        session = await Session.connect(path, lambda _: None)
        try:
            session.send(partial(flows.packet_out, number, frame) for frame in frames)
            await session.barrier()
        finally:
            session.close()


def arrived(
    before: frozenset[str] | None, decided: Mapping[str, model.Allocation]
) -> frozenset[str]:
    """Returns the attachments whose machine has come, of those that waited `before`.

    None for a pod at which the agent looks for the first time: an earlier agent may have ended
    before it announced what has come.
    """
    here = {key: each for key, each in decided.items() if not _waits(each)}
    if before is None:
        return frozenset(key for key, each in here.items() if each.migration is not None)
    return before & here.keys()


def _of_attachment(
    records: Iterable[record.Record], pod: model.PodRef, attachment: str
) -> record.Record | None:
    """Returns the record of a pod's attachment, None if its ADD has not ended."""
    of_pod = (each for each in records if each.owner.pod == pod)
    return next((each for each in of_pod if each.owner.attachment == attachment), None)


def _waits(allocation: model.Allocation) -> bool:
    return allocation.migration is not None and not allocation.migration.is_active
