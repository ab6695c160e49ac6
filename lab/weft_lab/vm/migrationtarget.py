"""Receives a machine on its new node: what virt-handler does for a migration's target.

It publishes where it listens, hands the connections to the QEMU that waits in the target pod,
announces the guest's NICs when the source has stopped, and takes the instance over once QEMU runs.
All that it must remember is in the instance's status and in QEMU: a handler that is started again
goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from weft import errors
from weft.host import netns, rawsocket
from weft.kube import events
from weft.kube.client import Client, Object
from weft.ovn import announcement
from weft_lab.kubelet import sandbox
from weft_lab.reasons import Reason
from weft_lab.vm import (
    guestwatch,
    lifecycle,
    links,
    machine,
    migration,
    migrationdisks,
    migrationlink,
    migrationpace,
    migrationstate,
    migrationtls,
    qmpsession,
)

log = logging.getLogger(__name__)

LOOK_PAUSE = 0.1  # a launcher's folder is made inside a pod; there is no watch for it
MEMORY = "memory"  # the name under which QEMU has the connection
# Annotation of an instance. `guest`: only the guest itself is heard where it runs, as on KubeVirt.
ANNOUNCE, BY_GUEST = "lab.weft/announce", "guest"


class Target:
    """One migration, on the node that it leads to. `vmi_of` gives the instance as it is now."""

    def __init__(
        self,
        client: Client,
        recorder: events.Recorder,
        node: str,
        folder: Path,
        vmi_of: Callable[[], Object | None],
        where: tuple[str, int],
        secrets: tuple[bytes, Path],
        relays: migrationdisks.Relays,
    ) -> None:
        self._client, self._recorder, self._node = client, recorder, node
        self._folder, self._vmi_of = folder, vmi_of
        self._where, (self._secret, self._keys) = where, secrets
        self._credentials = ""
        self._session: qmpsession.Session | None = None
        self._control: migrationlink.Line | None = None
        self._macs: Mapping[str, str] = {}
        self._speakers: list[tuple[socket.socket, tuple[bytes, ...]]] = []
        self._relays = relays
        self._exports: migrationdisks.Exports | None = None

    async def run(self) -> None:
        """Until the guest runs here, or its QEMU has ended, or this is cancelled."""
        vmi = self._vmi_of()
        if vmi is None:
            return
        await self._wait_for_launcher(vmi)
        try:
            async with qmpsession.Session(self._folder / "migration.sock") as session:
                await session.execute(
                    "migrate-set-capabilities",
                    capabilities=[{"capability": "events", "state": True}],
                )
                self._session = session
                if await _is_here(session):
                    await self._take_over()
                    return
                encrypted = migrationtls.encrypted(
                    session, self._secret, migrationtls.SERVER, self._keys
                )
                async with encrypted as self._credentials:
                    await self._prepare_announcement(vmi)
                    try:
                        await self._publish(vmi)
                        await self._await_guest(session)
                    finally:
                        if self._exports is not None:
                            await self._exports.end(session)
        finally:
            self._session = None
            self._relays.end(self)
            for speaker, _ in self._speakers:
                speaker.close()

    async def _await_guest(self, session: qmpsession.Session) -> None:
        while (event := await session.events.get()) is not None:
            if event["event"] == "RESUME":
                await self._resumed()
                return
            ended = event["event"] == "MIGRATION" and event["data"].get("status") == "completed"
            if ended and await _is_here(session):  # its user had paused it: it stays so
                self._announce()
                await self._resumed()
                return

    async def _wait_for_launcher(self, vmi: Object) -> None:
        meta, uid = vmi["metadata"], migration.state(vmi).get("migrationUid")
        while True:
            found = guestwatch.facts(self._folder)
            if found is not None and (found.uid, found.migration) == (meta["uid"], uid):
                self._macs = found.macs
                return
            await asyncio.sleep(LOOK_PAUSE)

    async def _publish(self, vmi: Object) -> None:
        """Where the source finds this handler; KubeVirt's words."""
        address, port = self._where
        ports = {str(port): 0}
        before = migration.state(vmi)
        if (before.get("targetNodeAddress"), before.get("targetDirectMigrationNodePorts")) == (
            address,
            ports,
        ):
            return
        gone = dict.fromkeys(before.get("targetDirectMigrationNodePorts") or {})
        changed = await migrationstate.write(
            self._client,
            vmi,
            {
                "targetNodeAddress": address,
                "targetDirectMigrationNodePorts": {**gone, **ports},
                "targetNodeDomainDetected": True,
            },
        )
        if changed is not None:
            text = f"Migration Target is listening at {address}, on ports: {port}"
            self._recorder.emit(changed, Reason.PREPARING_TARGET, text)

    # What the source's handler calls for

    async def serve(self, hello: migrationlink.Message, line: migrationlink.Line) -> None:
        """A connection of the source's handler, which has proved itself."""
        session = self._session
        if session is None:
            await migrationlink.welcome(line, hello, "the target pod is not ready")
            return
        kind = hello.get("kind")
        try:
            if kind == "control":
                await migrationlink.welcome(line, hello)
                await self._listen(line)
            elif kind == MEMORY:
                await self._receive(session, line)
                await migrationlink.welcome(line, hello)
                line.close()
            elif kind == "disk" and self._exports is not None:
                full = self._relays.full(self)
                await migrationlink.welcome(line, hello, full)
                if not full:
                    await line.receive()  # a server speaks first; the source may be reading yet
                    self._relays.start(self, self._exports, line)
            else:
                await migrationlink.welcome(line, hello, f"unknown connection {kind!r:.40}")
        except errors.Unavailable as error:
            if kind != "control":
                await migrationlink.welcome(line, hello, str(error))
            else:
                line.close()

    async def _receive(self, session: qmpsession.Session, line: migrationlink.Line) -> None:
        migrationpace.keep_short(line.connection)
        await session.pass_on(MEMORY, line.connection.fileno())
        await session.execute("migrate-incoming", uri=f"fd:{MEMORY}")

    async def _listen(self, line: migrationlink.Line) -> None:
        """Do what the source's handler says, until it closes the connection."""
        self._control = line
        try:
            while True:
                message = await line.receive()
                if message.get("do") == "announce":
                    self._announce()
                elif message.get("do") == "disks" and self._session is not None:
                    if self._exports is not None:
                        raise errors.Unavailable("the disks are served already")
                    self._exports = await migrationdisks.export(
                        self._session, message.get("names"), self._credentials, self._keys
                    )
                    await line.send({"did": "disks"})
        finally:
            line.close()

    async def _prepare_announcement(self, vmi: Object) -> None:
        """Open what it is sent by: when the source stops, each millisecond counts."""
        if (vmi["metadata"].get("annotations") or {}).get(ANNOUNCE) == BY_GUEST:
            return
        interfaces = _announced(machine.read(vmi), self._macs)
        try:
            path = sandbox.namespace_of(self._folder)
            self._speakers = await netns.run_inside(path, _open, interfaces)
        except (errors.WeftError, OSError, ValueError) as error:
            log.warning("the NICs of %s cannot be announced: %s", self._folder.name, error)

    def _announce(self) -> None:
        """The source has stopped the guest: the network learns at once where it is from now on."""
        for speaker, frames in self._speakers:
            with contextlib.suppress(OSError):  # the pod's network is being taken down
                for each in frames:
                    speaker.send(each)

    # The end

    async def _resumed(self) -> None:
        if self._control is not None:
            try:
                await self._control.send({"did": "resume"})
            except errors.Unavailable:
                pass  # the instance's status tells it, too
        await self._take_over()

    async def _take_over(self) -> None:
        """The guest runs here: the instance is this node's, and the migration has ended."""
        vmi = self._vmi_of()
        if vmi is None:
            return
        now = lifecycle.stamp(datetime.now(UTC))
        changes = {
            "targetNodeDomainDetected": True,
            "targetNodeDomainReadyTimestamp": now,
            "endTimestamp": now,
            "completed": True,
            "failed": None,
            "failureReason": None,
        }
        beside = {"nodeName": self._node, "evacuationNodeName": None}
        taken = await migrationstate.write(self._client, vmi, changes, beside)
        if taken is not None:
            text = f"The VirtualMachineInstance migrated to node {self._node}."
            self._recorder.emit(taken, Reason.MIGRATED, text)
            await migrationstate.label(self._client, taken, {migration.NODE_NAME: self._node})


async def _is_here(session: qmpsession.Session) -> bool:
    """Whether the guest is; until then QEMU is in another state than these."""
    return (await session.ask("query-status")).get("status") in ("running", "paused")


def _announced(vm: machine.Machine, macs: Mapping[str, str]) -> list[tuple[tuple[str, ...], str]]:
    """For each NIC on a network of weft's: the names that its pod interface may have, and a MAC."""
    return [
        ((nic.pod_interface, f"net{nic.position}"), macs[nic.name])
        for nic in vm.nics
        if nic.binding == "bridge" and not nic.is_down and nic.name in macs
    ]


def _open(
    interfaces: list[tuple[tuple[str, ...], str]],
) -> list[tuple[socket.socket, tuple[bytes, ...]]]:
    """In the pod's network namespace: a socket on each interface, and a reverse ARP request."""
    opened = []
    for names, mac in interfaces:
        for name in names:
            if links.is_listed(name):
                frames = announcement.frames(mac, ())
                opened.append((rawsocket.sender(name), frames))
                break
    return opened
