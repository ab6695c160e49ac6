"""Keeps the lab's services running: starts one again when it ends, with back-off.

Each service has one task: wait for the services that it comes after, start it, wait until it is
ready, start it again with back-off when it ends. plan.py decides what runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from weft import errors
from weft_lab import layout
from weft_lab.runtime import inotify
from weft_lab.runtime.processes import Processes
from weft_lab.service import Ready, Service

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0
STEADY = 20.0  # seconds after which an end is a first one again
HOPELESS = 4  # ends in a row, before being ready once, after which `up` gets an error

Start = Callable[[Service, int | None], Awaitable[int]]
Hold = Callable[["Running"], Awaitable[None]]


@dataclass(slots=True)
class Running:
    """A service as it is now."""

    service: Service
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    hopeless: asyncio.Event = field(default_factory=asyncio.Event)
    state: str = "waiting"
    pid: int = 0
    restarts: int = 0
    since: float = 0.0
    last_exit: int | None = None
    ready_after: float | None = None  # seconds from the supervisor's start
    task: asyncio.Task[None] | None = None
    note: str = ""  # the last thing that a user should know of it
    unready: int = 0  # how often in a row it ended before it was ready
    starting: asyncio.Lock = field(default_factory=asyncio.Lock)  # held until `pid` is known

    @property
    def is_up(self) -> bool:
        """Whether it is as it should be now; `ready` says that it once was."""
        return self.state in ("running", "done")

    def describe(self) -> dict[str, object]:
        return {
            "name": self.service.name,
            "node": self.service.node,
            "state": self.state,
            "pid": self.pid,
            "restarts": self.restarts,
            "lastExit": self.last_exit,
            "readyAfter": self.ready_after,
            "note": self.note,
        }


class Services:
    """`start` begins a process and gives its number; its second argument is the descriptor to which
    a service that tells of itself writes. `changed` is called after each change, before any
    service that waited for it goes on. `hold` keeps, until cancelled, what has no process."""

    def __init__(
        self,
        processes: Processes,
        start: Start,
        changed: Callable[[Running], None],
        folders: inotify.Folders,
        hold: Hold,
    ) -> None:
        self._processes = processes
        self._start = start
        self._changed = changed
        self._began = time.monotonic()
        self._folders = folders
        self._hold = hold
        self._stopping = False
        self.running: dict[str, Running] = {}

    def add(self, services: Iterable[Service], group: asyncio.TaskGroup) -> None:
        """Run each of them until the lab ends."""
        for service in services:
            self.running[service.name] = Running(service)
        for service in services:
            one = self.running[service.name]
            one.task = group.create_task(self._keep(one), name=service.name)

    async def remove(self, node: str) -> None:
        """End everything of a node at once, as if it had lost its power, and forget it."""
        ending = [one for one in self.running.values() if one.service.node == node]
        pids = []
        for one in ending:
            async with one.starting:
                pids.append(one.pid)
                if one.task is not None:
                    one.task.cancel()
        for pid in filter(None, pids):
            await kill(pid)
        await asyncio.gather(*(one.task for one in ending if one.task), return_exceptions=True)
        for one in ending:
            del self.running[one.service.name]

    async def stop(self, chosen: Callable[[Service], bool], patience: float) -> None:
        """Ask the chosen services to end, and wait for them, but not longer than `patience`."""
        self._stopping = True
        ending = [one for one in self.running.values() if one.pid and chosen(one.service)]
        for one in ending:
            self._processes.signal(one.pid, signal.SIGTERM)
        waiting = [self._gone(one) for one in ending]
        if waiting:
            await asyncio.wait([asyncio.ensure_future(one) for one in waiting], timeout=patience)

    async def _gone(self, one: Running) -> None:
        descriptor = os.pidfd_open(one.pid)
        try:
            await _readable(descriptor)
        finally:
            os.close(descriptor)

    async def _keep(self, one: Running) -> None:
        for name in one.service.after:
            await self.running[name].ready.wait()
        if one.service.ready is Ready.KEPT:
            one.since = time.monotonic()
            self._report(one, "starting")
            await self._hold(one)
            return
        pause = FIRST_PAUSE
        ends = 0
        while not self._stopping:
            await self._run(one)
            if self._stopping:
                return
            if time.monotonic() - one.since > STEADY:
                pause, ends = FIRST_PAUSE, 0
            ends += 1
            one.restarts += 1
            self._report(one, "ended")
            if ends >= HOPELESS:
                one.hopeless.set()
                self._report(one, "failing")
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _run(self, one: Running) -> None:
        """From start to end, once."""
        one.since = time.monotonic()
        one.unready += 1
        if one.service.socket:  # an old one would look like the new one that is slow
            with contextlib.suppress(FileNotFoundError):
                os.unlink(layout.seen(one.service.node, one.service.socket))
        reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            async with one.starting:
                one.pid = await self._start(
                    one.service, writer if one.service.ready is Ready.REPORTS else None
                )
            os.close(writer)
            writer = -1
            if one.pid == 0:  # it could not even be imported; its log says why
                one.last_exit = 1
                return
            end = self._processes.watch(one.pid)
            self._report(one, "starting")
            if await self._waited(one, end, reader):
                self.become_ready(one)
            one.last_exit = await end
        except OSError as error:
            one.last_exit = error.errno or 1
        except errors.WeftError as error:
            one.last_exit, one.note = 1, str(error)
        finally:
            one.pid = 0
            for descriptor in (reader, writer):
                if descriptor >= 0:
                    os.close(descriptor)

    async def _waited(self, one: Running, end: asyncio.Future[int], reader: int) -> bool:
        """Wait until it is ready, or has ended; whether it is ready."""
        match one.service.ready:
            case Ready.STARTED:
                return True
            case Ready.KEPT:
                raise AssertionError("it has no process")
            case Ready.LISTENS:
                path = Path(layout.seen(one.service.node, one.service.socket))
                waiting = asyncio.ensure_future(self._folders.wait_socket(path))
            case Ready.REPORTS:
                waiting = asyncio.ensure_future(_readable(reader))
        either: list[asyncio.Future[int] | asyncio.Future[None]] = [waiting, end]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                waiting.result()
            return not end.done()
        finally:
            waiting.cancel()

    def become_ready(self, one: Running) -> None:
        """Mark it ready; services after it may start."""
        one.ready_after = one.ready_after or round(time.monotonic() - self._began, 3)
        one.hopeless.clear()
        one.unready = 0
        self._report(one, "done" if one.service.ready is Ready.KEPT else "running")
        one.ready.set()

    def become_broken(self, one: Running) -> None:
        """Mark a service without a process as failed; it is tried again."""
        self._report(one, "failing")

    def _report(self, one: Running, state: str) -> None:
        one.state = state
        self._changed(one)


async def kill(pid: int) -> None:
    """At once; returns when it is gone."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            await _readable(descriptor)
    finally:
        os.close(descriptor)


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    there = asyncio.Event()
    loop.add_reader(descriptor, there.set)
    try:
        await there.wait()
    finally:
        loop.remove_reader(descriptor)
