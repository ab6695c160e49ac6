"""Watches one guest for as long as it runs, and writes its instance's status.

QEMU's monitor reports when the guest's agent opens and closes its port. While it is open, this asks
the agent for the system once, and for the interfaces often at first and then at intervals.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from weft import errors
from weft.api import status as podstatus
from weft.host import files
from weft.kube import events, resources
from weft.kube.client import Client, Conflict, NotFound, Object
from weft_lab.reasons import Reason, WarningReason
from weft_lab.vm import (
    agentclient,
    guestaddresses,
    launcherpod,
    lifecycle,
    machine,
    migratable,
    migrationdisks,
    nicplaces,
    nicsync,
    qmp,
    status,
)

log = logging.getLogger(__name__)

# The agent reports nothing by itself; a user waits while a guest gets its addresses.
PAUSES = (0.2, 0.2, 0.3, 0.5, 0.8, 1.0, 1.0, 2.0, 3.0, 5.0)
PAUSE_LATER = 15.0
ATTEMPTS = 5
LONGEST_FACTS = 1 << 16  # bytes


@dataclass(frozen=True, slots=True)
class Facts:
    """What the launcher left for the handler: whose sockets these are, and the cards' MACs, by NIC.

    `migration`: the uid of the one that it waits for, or came by. `copied`: disks that are here
    alone.
    """

    uid: str
    macs: Mapping[str, str]
    migration: str = ""
    copied: tuple[migrationdisks.Copied, ...] = ()


def facts(folder: Path) -> Facts | None:
    try:
        with open(folder / "vm.json", "rb", opener=files.regular_file) as file:
            stored = json.loads(file.read(LONGEST_FACTS))
        copied = [
            migrationdisks.Copied(str(name), layered is True) for name, layered in stored["copied"]
        ]
        macs = {str(name): str(mac) for name, mac in stored["macs"].items()}
        return Facts(stored["uid"], macs, str(stored["migration"]), tuple(copied))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


@dataclass
class Seen:
    """What the guest and its pod reported so far."""

    connected: bool = False
    system: dict[str, Any] = field(default_factory=dict)
    interfaces: Sequence[agentclient.GuestInterface] = ()
    frozen: bool = False  # its file systems
    reported: tuple[str, ...] = ()


class Guest:
    """One running QEMU. `vmi` is the instance as it was when it was first seen here."""

    def __init__(
        self,
        client: Client,
        recorder: events.Recorder,
        vmi: Object,
        folder: Path,
        macs: Mapping[str, str],
    ) -> None:
        self._client, self._recorder = client, recorder
        self._vmi = vmi
        self._node = (vmi.get("status") or {}).get("nodeName")
        self._folder = folder
        read = machine.read(vmi)
        self._machine = replace(read, nics=tuple(nic for nic in read.nics if nic.name in macs))
        self._macs: Sequence[str] = [macs[nic.name] for nic in self._machine.nics]
        self._seen = Seen()
        self._pod_addresses: tuple[str, ...] = ()
        self._attached: Sequence[podstatus.NetworkStatus] = ()
        self._is_open = asyncio.Event()
        self._look = asyncio.Event()
        self._paused: tuple[str, str] | None = None  # reason and message
        self._waiting: Sequence[machine.Nic] = ()

    def look(self) -> None:
        """Ask its agent soon: something was done to it."""
        self._look.set()

    async def take_nics(self, found: nicsync.GuestNics) -> None:
        """The NICs that the guest and its pod have now."""
        self._machine = replace(self._machine, nics=tuple(nic for nic, _ in found.plugged))
        self._macs = [mac for _, mac in found.plugged]
        self._waiting = found.waiting
        await self._ask_pod()
        await self._write()
        await self._write_places(found.places)

    async def _write_places(self, places: str | None) -> None:
        """Where the NICs sit, for the target of a migration."""
        meta = self._vmi["metadata"]
        if (meta.get("annotations") or {}).get(nicplaces.ANNOTATION) != places:
            notes = {"uid": meta["uid"], "annotations": {nicplaces.ANNOTATION: places}}
            with contextlib.suppress(NotFound, Conflict):  # gone, and another has its name
                self._vmi = await self._client.patch(
                    resources.VMIS, meta["name"], meta["namespace"], {"metadata": notes}
                )

    async def follow(self, monitor: qmp.Monitor) -> None:
        """Until QEMU closes the monitor."""
        await self._ask_pod()
        self._paused = await _pause(monitor)
        await self._write()
        if text := migratable.warning(self._vmi):
            self._recorder.emit(self._vmi, WarningReason.NOT_MIGRATABLE, text)
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(self._ask())
            if await _agent_is_open(monitor):
                self._is_open.set()
            async for event in monitor.events():
                data = event.get("data") or {}
                if event["event"] in ("STOP", "RESUME"):
                    self._paused = await _pause(monitor)
                    await self._write()
                if event["event"] != "VSERPORT_CHANGE" or not _is_agent(data):
                    continue
                if data.get("open"):
                    self._is_open.set()
                else:
                    self._is_open.clear()
                    self._seen = Seen()
                    await self._write()
            asking.cancel()

    async def _ask(self) -> None:
        while True:
            await self._is_open.wait()
            for pause in _pauses():
                try:
                    await self._ask_once()
                except errors.Unavailable as error:
                    log.debug("%s: %s", self._machine.name, error)
                if not self._is_open.is_set():
                    break
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._look.wait(), pause)
                self._look.clear()

    async def _ask_once(self) -> None:
        seen = self._seen  # another one, if the guest has closed its end meanwhile
        async with agentclient.Agent(self._folder / "agent.sock") as agent:
            seen.frozen = await agent.is_frozen()
            if not seen.frozen:  # it answers nothing else then
                seen.system = seen.system or await agent.system()
                seen.interfaces = await agent.interfaces()
        seen.connected = True
        await self._write()
        self._report_strays()

    def _report_strays(self) -> None:
        """Once, unless they change: what is wrong is the guest's own configuration."""
        found = guestaddresses.differing(
            self._machine, self._macs, self._seen.interfaces, self._attached
        )
        messages = tuple(found)
        if messages != self._seen.reported:
            self._seen.reported = messages
            for message in messages:
                self._recorder.emit(self._vmi, Reason.ADDRESS_NOT_ALLOCATED, message)

    async def _ask_pod(self) -> None:
        """The pod's addresses, which a card behind it is reached at, and its networks."""
        meta = self._vmi["metadata"]
        try:
            pod = await self._client.get(
                resources.PODS, launcherpod.current(self._vmi), meta["namespace"]
            )
        except NotFound:
            return
        known = (pod.get("status") or {}).get("podIPs") or ()
        self._pod_addresses = tuple(str(each.get("ip")) for each in known)
        with contextlib.suppress(errors.InvalidInput):  # the manager's Event names the mistake
            self._attached = podstatus.parse(pod)

    async def _write(self) -> None:
        """Write what is new; another writer's version in between is read and written again."""
        for _ in range(ATTEMPTS):
            changes = self._changes()
            if not changes:
                return
            meta = self._vmi["metadata"]
            body = {"metadata": {"resourceVersion": meta["resourceVersion"]}, "status": changes}
            where = (meta["name"], meta["namespace"])
            try:
                self._vmi = await self._client.patch(
                    resources.VMIS, *where, body, subresource="status"
                )
                return
            except Conflict:
                self._vmi = await self._client.get(resources.VMIS, *where)

    def _changes(self) -> dict[str, Any]:
        before = self._vmi.get("status") or {}
        if before.get("phase") in lifecycle.FINAL or before.get("nodeName") != self._node:
            return {}  # its pod reports the end; its new node what it does there
        now = lifecycle.stamp(datetime.now(UTC))
        after = status.with_phase(before, "Running", now)
        conditions = after.get("conditions") or ()
        conditions = status.with_pause(conditions, self._paused, now)
        why = migratable.refusal(self._vmi)
        conditions = status.with_condition(
            conditions, "LiveMigratable", "False" if why else "True", now, *why
        )
        if self._seen.connected:
            conditions = status.with_condition(conditions, "AgentConnected", "True", now)
        else:
            conditions = status.without_condition(conditions, "AgentConnected")
        after |= {
            "conditions": conditions,
            "interfaces": status.interfaces(
                self._machine,
                self._macs,
                self._seen.interfaces,
                self._pod_addresses,
                self._waiting,
            ),
            "migrationMethod": migratable.method(self._vmi),
            "migrationTransport": "Unix",
            "guestOSInfo": status.guest_system(self._seen.system),
            "fsFreezeStatus": "frozen" if self._seen.frozen else None,
        }
        return {key: value for key, value in after.items() if before.get(key) != value}


def _pauses() -> Iterator[float]:
    return itertools.chain(PAUSES, itertools.repeat(PAUSE_LATER))


async def _pause(monitor: qmp.Monitor) -> tuple[str, str] | None:
    """Why the guest stands still, in KubeVirt's words; None if it runs, or a migration is why."""
    return status.PAUSES.get(str((await monitor.execute("query-status")).get("status")))


async def _agent_is_open(monitor: qmp.Monitor) -> bool:
    """Whether the guest had its end open before anybody listened for the event."""
    devices = await monitor.execute("query-chardev")
    return any(one["label"] == "agent" and one.get("frontend-open") for one in devices)


def _is_agent(data: dict[str, Any]) -> bool:
    return data.get("id") == "agent-port"
