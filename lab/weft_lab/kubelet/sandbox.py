"""Makes, finds and removes sandboxes: a pod's namespaces and its first process.

`init.py` is the first process; `containers.py` decides what it runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from weft import errors
from weft.host import files, netlink, netns, process, uninterrupted
from weft_lab.kubelet import containers
from weft_lab.multus import plugin

log = logging.getLogger(__name__)

Object = dict[str, Any]
NETNS = Path("/run/netns")
INIT = Path(__file__).with_name("init.py")
START_PATIENCE = 30.0
MACHINES = "vm"  # a folder in a sandbox's; beside those of sandboxes, one of links to such
NOT_STARTED = 126  # as a shell says of what it may not run


@dataclass(slots=True)
class Sandbox:
    """A pod's sandbox. State that outlives the kubelet is in `folder`; the rest is read from it.

    Without the name of a network namespace, the pod uses its node's.
    """

    folder: Path
    about: plugin.Sandbox
    ips: tuple[str, ...] = ()
    started: float = 0.0
    states: dict[str, containers.State] = field(default_factory=dict)
    last: dict[str, containers.State] = field(default_factory=dict)
    # What ran in an earlier sandbox of the same pod, until it was started again in this one.
    lost: dict[str, containers.State] = field(default_factory=dict)
    # By container: the last attempt that was requested, and the last whose failure was reported.
    requested: dict[str, int] = field(default_factory=dict)
    reported: dict[str, int] = field(default_factory=dict)
    gone: bool = False
    _writer: asyncio.StreamWriter | None = None
    _reader: asyncio.Task[None] | None = None

    @property
    def network(self) -> Path:
        """Multus' record of the interfaces."""
        return self.folder / "network.json"

    def save(self) -> None:
        about = self.about
        data = {
            "id": about.id,
            "netns": about.netns,
            "namespace": about.namespace,
            "pod": about.pod,
            "uid": about.uid,
            "ips": self.ips,
            "started": self.started,
        }
        files.replace(self.folder / "pod.json", orjson.dumps(data))

    async def connect(self, on_change: Callable[[], None]) -> None:
        """Follow the first process. Raise OSError if it is gone."""
        reader, writer = await asyncio.open_unix_connection(
            str(self.folder / "init.sock"), limit=1 << 22
        )
        try:
            self._take(await reader.readline())
        except BaseException:
            writer.close()
            raise
        self._writer, self.gone = writer, False
        self._reader = asyncio.create_task(self._follow(reader, on_change), name="pod's init")

    async def _follow(self, reader: asyncio.StreamReader, on_change: Callable[[], None]) -> None:
        try:
            while line := await reader.readline():
                self._take(line)
                on_change()
        except (ConnectionError, ValueError) as error:  # ended, or says what cannot be followed
            log.info("sandbox %s: %s", self.about.id[:13], error)
        self.gone = True
        on_change()

    def _take(self, line: bytes) -> None:
        if not line:
            raise ConnectionResetError("the pod's first process ended")
        fresh = {**self.lost, **containers.parse(orjson.loads(line)["state"])}
        for name, state in self.states.items():
            if name in fresh and fresh[name].attempt > state.attempt:
                self.last[name] = state
        self.states = fresh

    def send(self, request: Object) -> None:
        """Send a request to the first process; if that has ended, `gone` reports it."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(orjson.dumps(request) + b"\n")

    def start(self, container: str, attempt: int, request: Object) -> bool:
        """Request a container's start once for each attempt; return whether this call did."""
        if self.is_requested(container, attempt):
            return False
        self.requested[container] = attempt
        self.send({"op": "start", "name": container, "attempt": attempt, **request})
        return True

    def is_requested(self, container: str, attempt: int) -> bool:
        return self.requested.get(container, -1) >= attempt

    def refuse(self, container: str, attempt: int, why: str, now: float) -> None:
        """Record that a container's start could not be requested; it may be tried again."""
        self.requested[container] = attempt
        state = containers.State(attempt, now, NOT_STARTED, now, why)
        self.lost[container] = state
        self.states = {**self.states, container: state}

    def signal(self, number: int) -> None:
        """Signal every running container; a starting one gets it when it runs."""
        for name in self.running:
            self.send({"op": "kill", "name": name, "signal": number})

    @property
    def running(self) -> list[str]:
        """The containers that run, or whose start is requested and not yet reported."""
        if self.gone:
            return []
        known = {name: state.attempt for name, state in self.states.items()}
        requested = {
            name for name, attempt in self.requested.items() if attempt > known.get(name, -1)
        }
        found = {name for name, state in self.states.items() if state.status is None}
        return sorted(requested | found)

    async def disconnect(self) -> None:
        """Close the connection; the first process keeps running."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait([self._reader])
        if self._writer is not None:
            self._writer.close()

    async def end(self) -> None:
        """End the first process, and so all processes of the pod."""
        if self._writer is not None and self._reader is not None and not self.gone:
            self.send({"op": "stop"})
            with contextlib.suppress(ConnectionError):
                await self._writer.drain()
            await asyncio.wait([self._reader])
        await self.disconnect()
        self.gone = True


async def create(folder: Path, about: plugin.Sandbox, hostname: str) -> Sandbox:
    """Make the namespaces, and name the network namespace if the pod gets one."""
    await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True)
    made = Sandbox(folder, about)
    made.save()
    try:
        argv = [sys.executable, "-ISE", str(INIT), str(folder), hostname]
        argv += [] if about.netns else ["--on-host"]
        # To its end: `remove` finds the first process only once that listens.
        done = await uninterrupted.finish(process.run(argv, timeout=START_PATIENCE))
        if about.netns:
            await asyncio.to_thread(_name, int(done.stdout), Path(about.netns))
            await netns.run_inside(about.netns, _prepare_network)
    except BaseException:
        await remove(made)
        raise
    return made


def _prepare_network() -> None:
    """Set a new network namespace up as container runtimes do: lo up, ping for all groups.

    An unprivileged user namespace maps only group 0, which is then the whole range.
    """
    netlink.set_up("lo")
    try:
        netlink.set_sysctl("net/ipv4/ping_group_range", "0 2147483647")
    except netlink.Failed:
        netlink.set_sysctl("net/ipv4/ping_group_range", "0 0")


def _name(pid: int, path: Path) -> None:
    try:
        netns.bind(f"/proc/{pid}/ns/net", path)
    except OSError as error:
        raise errors.Unavailable(str(error), where=f"netns {path}") from error


async def remove(sandbox: Sandbox) -> None:
    """End the processes; remove the namespace's name and the folder. All may be gone already."""
    if sandbox._writer is None:
        with contextlib.suppress(OSError):
            await sandbox.connect(lambda: None)
    await sandbox.end()
    await asyncio.to_thread(_erase, sandbox)


def _erase(sandbox: Sandbox) -> None:
    if sandbox.about.netns:
        netns.unbind(Path(sandbox.about.netns))
    for link in sandbox.folder.parent.parent.glob(f"{MACHINES}/*"):
        with contextlib.suppress(OSError):  # another's, or gone meanwhile
            if os.readlink(link) == str(target(sandbox.folder)):
                link.unlink()
    shutil.rmtree(sandbox.folder, ignore_errors=True)


def target(folder: Path) -> Path:
    """The relative path to which a machine's link points; lab and node mount it differently."""
    return Path("..", folder.parent.name, folder.name, MACHINES)


def namespace_of(machine: Path) -> str:
    """The path of the network namespace of the pod that a machine's link leads to.

    Raises OSError or ValueError where there is none.
    """
    data = orjson.loads((machine.resolve(strict=True).parent / "pod.json").read_bytes())
    return str(data["netns"])


def find(pods: Path) -> list[Sandbox]:
    """The sandboxes of an earlier kubelet."""
    found = []
    for path in sorted(pods.glob("*/pod.json")):
        try:
            data = orjson.loads(path.read_bytes())
            about = plugin.Sandbox(
                data["id"], data["netns"], data["namespace"], data["pod"], data["uid"]
            )
        except (OSError, ValueError, KeyError):
            continue
        found.append(Sandbox(path.parent, about, tuple(data["ips"]), data["started"]))
    return found
