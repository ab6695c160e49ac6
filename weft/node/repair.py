"""Repairs the Open vSwitch rows of running pods' attachments that differ from their records.

A record (`records.py`) is compared with its rows when one of them changes, and what differs is
written again: a changed row, a lost port, a lost bridge, a new database, a restarted vswitchd. The
device of an `internal` port is made by vswitchd in the node's namespace. When vswitchd makes
another one, it is moved into the pod and gets the addresses and routes of the one that is lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Set
from dataclasses import replace
from enum import Enum
from typing import NamedTuple, cast

from weft import errors, names, rows
from weft.host import netlink, netns, uninterrupted
from weft.kube import queue
from weft.nic import plan, port, record
from weft.node import addplan, ifaceids, links
from weft.node.dependencies import Dependencies
from weft.node.keyedlock import KeyedLock
from weft.reasons import Reason

log = logging.getLogger(__name__)

_CLAIM = 2.0  # seconds for ovn-controller to claim a port that was written again
_PATIENCE = 5.0  # seconds for vswitchd to make a port, before others are examined


class Cause(Enum):
    """Why a device is examined."""

    CHANGED = "changed"  # a row or a record changed, or a call on it ended
    VANISHED = "vanished"  # the pod's namespace has lost it
    STILL_BROKEN = "still broken"  # its repaired rows have no effect: OVN needs new ones


class Examination(NamedTuple):
    """One entry of the queue: `device` is the name of an OVS port."""

    device: str
    cause: Cause = Cause.CHANGED

    def __str__(self) -> str:
        return self.device


class Repairer:
    """One task of the agent; a call and a repair of one attachment exclude each other."""

    def __init__(self, deps: Dependencies, turns: KeyedLock) -> None:
        self._deps = deps
        self._turns = turns
        self._queue = queue.Queue[Examination]("interfaces")
        self._claims = ifaceids.IfaceIds()
        self._lost: dict[str, str] = {}  # by device: what is wrong and does not work yet
        self._judged: set[str] = set()  # devices that are checked again in a moment
        self._renewed: set[str] = set()  # devices whose rows were deleted and made again
        self.repaired = 0

    @property
    def trouble(self) -> str:
        """Which pod's interface does not work, and why; empty while all do."""
        return next(iter(self._lost.values()), "") or self._queue.trouble

    async def run(self) -> None:
        """Examines all attachments, then those that change, until cancelled."""
        ovs = self._deps.ovs
        for columns in ovs.rows("Interface").values():
            self._interface_changed("", None, columns)
        ends = [
            ovs.subscribe("Interface", self._interface_changed),
            ovs.subscribe("Port", self._port_changed),
            ovs.subscribe("Bridge", self._bridge_changed),
        ]
        self._look_at_all()
        try:
            await self._queue.run(self._reconcile, workers=4)
        finally:
            for end in ends:
                end()

    def examine(self, device: str) -> None:
        """Examines a device after a call on it: changes meanwhile were left to the call."""
        self._queue.add(Examination(device))

    def vanished(self, device: str) -> None:
        """Examines a device that is gone from the pod's namespace while no call works on it."""
        self._queue.add(Examination(device, Cause.VANISHED))

    def _look_at_all(self) -> None:
        for each in self._deps.records.all():
            self._queue.add(Examination(each.device))

    def _interface_changed(
        self, _: str, old: rows.Columns | None, new: rows.Columns | None
    ) -> None:
        self._claims.note(old, new)
        claimed = self._deps.records.of_port(ifaceids.claim(new))
        if claimed is not None:
            self._queue.add(Examination(claimed.device))
        for columns in (old, new):
            if columns is not None and self._is_of_a_pod(columns):
                self._queue.add(Examination(str(columns["name"])))

    def _is_of_a_pod(self, columns: rows.Columns) -> bool:
        known = self._deps.records.get(str(columns["name"])) is not None
        return known or port.bound(columns) is not None

    def _port_changed(self, _: str, old: rows.Columns | None, new: rows.Columns | None) -> None:
        for columns in (old, new):
            if columns is not None and self._deps.records.get(str(columns["name"])):
                self._queue.add(Examination(str(columns["name"])))

    def _bridge_changed(self, _: str, old: rows.Columns | None, new: rows.Columns | None) -> None:
        """The bridge came back, or another one, which has few ports, may have got one of ours."""
        if new is None:
            return
        if new["name"] == self._deps.settings.bridge:
            if old is None:
                self._look_at_all()
            return
        known = self._deps.ovs.rows("Port")
        for uuid in cast("Set[str]", new["ports"]):
            columns = known.get(uuid)
            if columns is not None:
                self._port_changed("", None, columns)

    async def _reconcile(self, key: Examination) -> None:
        device = key.device
        known = self._deps.records.get(device)
        if known is None:
            self._lost.pop(device, None)
            self._renewed.discard(device)
            await self._settle_unknown(device)
            return
        async with self._turns.of((known.owner.sandbox, known.nic.interface)):
            if self._deps.records.get(device) is not known:
                return
            if netns.identity(known.owner.netns) is None:
                await self._let_go(known)
                return
            try:
                if key.cause is Cause.VANISHED:
                    await self._replace_vanished(known)
                elif key.cause is Cause.STILL_BROKEN and not self._works(device):
                    await self._deps.ovs.apply((), [("Port", device)])
                await self._restore(known)
            except netns.Gone:  # it is gone, but for its name
                await self._let_go(known)
                return
            except errors.WeftError as error:
                self._lost[device] = f"{_subject(known)}: {error}"
                raise
        self._judge(known)

    async def _replace_vanished(self, known: record.Record) -> None:
        """Makes a virtual machine's device again; what another pod deletes stays deleted.

        A guest cannot delete its pod's device, so somebody else did.
        """
        is_machines = await asyncio.to_thread(links.is_missed, known.nic, known.owner.netns)
        if is_machines is None:
            return
        what = f"interface {known.nic.interface}: its device was deleted"
        log.warning("Pod %s: %s", known.owner.pod.key, what)
        if is_machines and known.nic.kind is plan.NicKind.INTERNAL:
            self._lost[known.device] = f"{_subject(known)}: {what}"
            await self._deps.ovs.apply((), [("Port", known.device)])
            return
        what += "; delete the pod to have it again"
        self._deps.warn(known.owner.pod, Reason.INTERFACE_LOST, what)

    async def _restore(self, known: record.Record) -> None:
        """Writes the rows that differ; then moves the device, if OVS has made another."""
        deps, device = self._deps, known.device
        if deps.ovs.get("Bridge", deps.settings.bridge) is None:
            raise errors.NotReady(
                "does not exist on this node",
                where=f"OVS bridge {deps.settings.bridge}",
                hint="ovn-controller makes it; is it running?",
            )
        owner = addplan.named_now(known.owner, deps)
        if owner != known.owner:
            known = replace(known, owner=owner)
            await deps.records.put(known)
        found = deps.ovs.get("Interface", device)
        rivals = self._claims.of(known.logical_port) - {device}
        desired = port.desired(known.nic, known.owner, bridge=deps.settings.bridge)
        disclaimed = [ifaceids.disclaimed(rival) for rival in sorted(rivals)]
        if await deps.ovs.apply((*desired, *disclaimed)):
            what = _what(found is not None, sorted(rivals))
            log.warning("%s: %s; it is written again", _subject(known), what)
            self._lost[device] = f"{_subject(known)}: {what}, and does not work again yet"
            self.repaired += 1
            what = f"interface {known.nic.interface}: {what}"
            deps.warn(known.owner.pod, Reason.INTERFACE_REPAIRED, what)
        if deps.records.get(device) is not known:  # a newer sandbox took over meanwhile
            await deps.ovs.apply((), [("Port", device)])
            return
        if known.nic.kind is plan.NicKind.INTERNAL:
            await self._give_back(known, is_new=found is None)

    async def _give_back(self, known: record.Record, *, is_new: bool) -> None:
        """Moves a new device into the pod: OVS sees an `ifindex` only in the node's namespace."""
        deps = self._deps
        if is_new:

            def made(columns: rows.Columns | None) -> bool:
                return columns is None or not port.pending(columns)

            await deps.ovs.wait_for("Interface", known.device, made, _PATIENCE)
        found = deps.ovs.get("Interface", known.device)
        if not is_new and not (found and found[1]["ifindex"]):
            return
        if await uninterrupted.in_thread(links.give_back, known.nic, known.owner.netns):
            log.warning("%s has the new device that OVS made", _subject(known))
            what = f"interface {known.nic.interface}: its device was lost and is made again"
            deps.warn(known.owner.pod, Reason.INTERFACE_REPAIRED, what)

    def _judge(self, known: record.Record) -> None:
        """Schedules `_conclude`: right after a repair the row may still hold `ovn-installed` from
        before, as ovn-controller has not processed the change yet."""
        if known.device in self._lost and known.device not in self._judged:
            self._judged.add(known.device)
            asyncio.get_running_loop().call_later(_CLAIM, self._conclude, known.device)

    def _conclude(self, device: str) -> None:
        """Ends the trouble of a device that works; makes the rows of another again, once.

        ovn-controller may miss a change that is undone at once, and then does not set
        `ovn-installed` again. A new row of the same name makes it do so, but costs the pod its
        device for a moment. While vswitchd has not made the port of a row, another row would not
        help: what it then writes into the row has the device examined again.
        """
        self._judged.discard(device)
        found = self._deps.ovs.get("Interface", device)
        if device not in self._lost or found is None:
            return
        if self._works(device):
            del self._lost[device]
            self._renewed.discard(device)
            log.info("OVS port %s works again", device)
        elif device not in self._renewed and not port.pending(found[1]):
            self._renewed.add(device)
            self._queue.add(Examination(device, Cause.STILL_BROKEN))

    def _works(self, device: str) -> bool:
        """Whether nothing was wrong with the device, or nothing is any more."""
        found = self._deps.ovs.get("Interface", device)
        return device not in self._lost or (found is not None and port.works(found[1]))

    async def _let_go(self, known: record.Record) -> None:
        """Removes the port of a namespace that is gone; the runtime makes a new sandbox."""
        what = f"interface {known.nic.interface}: its namespace {known.owner.netns} is gone"
        log.warning("Pod %s: %s; its port is removed", known.owner.pod.key, what)
        self._deps.warn(known.owner.pod, Reason.INTERFACE_LOST, what)
        await self._deps.records.forget(known.device)
        self._lost.pop(known.device, None)
        await self._deps.ovs.apply((), [("Port", known.device)])

    async def _settle_unknown(self, device: str) -> None:
        """Handles a port without a record: removes one of an unfinished ADD, and writes a record
        for one from an agent that kept none."""
        found = self._deps.ovs.get("Interface", device)
        bound = port.bound(found[1]) if found else None
        if found is None or bound is None or self._is_busy(bound):
            return
        async with self._turns.of((bound.sandbox, bound.interface)):
            if self._deps.records.get(device) is not None:
                return
            if netns.identity(bound.netns) is None or not await _has_interface(bound):
                message = "OVS port %s of Pod %s is removed: the pod has no such interface"
                log.warning(message, device, bound.pod.key)
                await self._deps.ovs.apply((), [("Port", device)])
                await links.unmake(device, bound.interface, "")
                return
            nic = addplan.nic_of(bound, self._deps)
            if nic is None:  # its pod or network is not known; `gc.sweep` handles it
                return
            is_internal = found[1]["type"] == plan.NicKind.INTERNAL
            kind = plan.NicKind.INTERNAL if is_internal else plan.NicKind.VETH
            nad = str(port.external_ids(found[1]).get(names.OVN_NAD, ""))
            owner = addplan.named_now(port.owner(bound, nad), self._deps)
            made = record.Record(replace(nic, kind=kind), owner)
            await self._deps.records.put(made)
        self._queue.add(Examination(device))

    def _is_busy(self, bound: port.Bound) -> bool:
        return (bound.sandbox, bound.interface) in self._turns.keys


async def _has_interface(bound: port.Bound) -> bool:
    try:
        return await netns.run_inside(bound.netns, netlink.read, bound.interface) is not None
    except netns.Gone:
        return False


def _subject(known: record.Record) -> str:
    return f"interface {known.nic.interface} of Pod {known.owner.pod.key}"


def _what(was_there: bool, rivals: list[str]) -> str:
    if rivals:
        return f"OVS port {', '.join(rivals)} claimed its logical port"
    return "its OVS port was changed" if was_there else "its OVS port was deleted"
