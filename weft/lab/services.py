"""Are the lab's services running, and what happens when one ends?

Each service has one task: wait for what it comes after, start it, wait until it is ready, start
it again with back-off when it ends. What runs at all is plan.py's decision.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from weft.lab import layout
from weft.lab.runtime import inotify
from weft.lab.runtime.processes import Processes
from weft.lab.service import Ready, Service

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0
STEADY = 20.0  # seconds after which an end is a first one again
HOPELESS = 4  # ends in a row, before being ready once, after which `up` is told

Start = Callable[[Service], Awaitable[int]]


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

    def describe(self) -> dict[str, object]:
        return {
            "name": self.service.name,
            "node": self.service.node,
            "state": self.state,
            "pid": self.pid,
            "restarts": self.restarts,
            "lastExit": self.last_exit,
            "readyAfter": self.ready_after,
        }


class Services:
    """`start` begins a process and gives its number; `changed` is called after each change."""

    def __init__(
        self,
        processes: Processes,
        start: Start,
        changed: Callable[[Running], None],
    ) -> None:
        self._processes = processes
        self._start = start
        self._changed = changed
        self._began = time.monotonic()
        self._stopping = False
        self.running: dict[str, Running] = {}

    def add(self, services: Iterable[Service], group: asyncio.TaskGroup) -> None:
        """Run each of them until the lab ends."""
        for service in services:
            self.running[service.name] = Running(service)
        for service in services:
            group.create_task(self._keep(self.running[service.name]), name=service.name)

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
        gone = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(descriptor, gone.set)
        try:
            await gone.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)

    async def _keep(self, one: Running) -> None:
        for name in one.service.after:
            await self.running[name].ready.wait()
        pause = FIRST_PAUSE
        ends = 0
        while not self._stopping:
            code = await self._run(one)
            if self._stopping or (one.service.ready is Ready.ENDED and code == 0):
                return
            if time.monotonic() - one.since > STEADY:
                pause, ends = FIRST_PAUSE, 0
            ends += 1
            one.restarts += 1
            self._tell(one, "ended")
            if ends >= HOPELESS:
                one.hopeless.set()
                self._tell(one, "failing")
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _run(self, one: Running) -> int:
        """From start to end, once; its exit status."""
        one.since = time.monotonic()
        if one.service.socket:  # an old one would look like the new one that is slow
            Path(layout.seen(one.service.node, one.service.socket)).unlink(missing_ok=True)
        try:
            one.pid = await self._start(one.service)
        except OSError as error:
            one.last_exit = error.errno
            return error.errno or 1
        if one.pid == 0:  # it could not even be imported; its log says why
            one.last_exit = 1
            return 1
        end = self._processes.watch(one.pid)
        self._tell(one, "starting")
        try:
            if one.service.ready is Ready.LISTENS:
                await self._listens(one, end)
            elif one.service.ready is Ready.STARTED:
                self._become_ready(one)
            code = await end
            if one.service.ready is Ready.ENDED and code == 0:
                self._become_ready(one)
        finally:
            one.pid = 0
        one.last_exit = code
        return code

    async def _listens(self, one: Running, end: asyncio.Future[int]) -> None:
        path = Path(layout.seen(one.service.node, one.service.socket))
        listens = asyncio.ensure_future(inotify.wait_socket(path))
        try:
            await asyncio.wait([listens, end], return_when=asyncio.FIRST_COMPLETED)
            if listens.done() and not end.done():
                listens.result()
                self._become_ready(one)
        finally:
            listens.cancel()

    def _become_ready(self, one: Running) -> None:
        one.ready_after = one.ready_after or round(time.monotonic() - self._began, 3)
        one.ready.set()
        one.hopeless.clear()
        self._tell(one, "done" if one.service.ready is Ready.ENDED else "running")

    def _tell(self, one: Running, state: str) -> None:
        one.state = state
        self._changed(one)
