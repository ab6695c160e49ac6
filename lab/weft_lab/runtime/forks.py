"""Asks the fork server for processes; the other end of forkserver.py, for an event loop."""

from __future__ import annotations

import array
import asyncio
import json
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass

from weft_lab.runtime import forkserver
from weft_lab.service import Service


@dataclass(frozen=True, slots=True)
class Order:
    """How a service is started: its environment, the namespaces to join, its descriptors.

    `keep` maps the number that a descriptor shall have there to the one that it has here.
    """

    env: dict[str, str]
    enter: tuple[str, ...]
    log: int
    keep: dict[int, int]


class Forks:
    """`start(far_end)` starts the forkserver process with that descriptor and watches its end."""

    def __init__(self, start: Callable[[int], asyncio.Future[int]]) -> None:
        self._start = start
        self._link: socket.socket | None = None
        self._waiting: dict[int, asyncio.Future[int]] = {}
        self._next = 0

    def open(self) -> None:
        """Start the forkserver; `fork` starts it again if it has ended."""
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        here.setblocking(False)
        with there:
            end = self._start(there.fileno())
        self._link = here
        asyncio.get_running_loop().add_reader(here.fileno(), self._answered, here)
        end.add_done_callback(lambda _: self._lost(here))

    async def fork(self, service: Service, order: Order) -> int:
        """The new process' number; 0 if what it should run cannot be imported."""
        if self._link is None:
            self.open()
        assert self._link is not None
        self._next += 1
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[self._next] = answer
        request = forkserver.Request(
            id=self._next,
            name=service.name,
            entry=service.entry,
            imports=service.imports,
            argv=service.argv,
            env=order.env,
            enter=order.enter,
            keep=tuple(order.keep),
        )
        descriptors = array.array("i", [order.log, *order.keep.values()])
        self._link.sendmsg(
            [json.dumps(asdict(request)).encode()],
            [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)],
        )
        return await answer

    def _answered(self, link: socket.socket) -> None:
        try:
            data = link.recv(forkserver.LARGEST_REQUEST)
        except OSError:
            data = b""
        if not data:
            self._lost(link)
            return
        message = json.loads(data)
        answer = self._waiting.pop(message["id"])
        if not answer.done():
            answer.set_result(message["pid"])

    def _lost(self, link: socket.socket) -> None:
        """The forkserver ended: fail all open requests, which the services repeat."""
        if self._link is not link:
            return
        self._link = None
        asyncio.get_running_loop().remove_reader(link.fileno())
        link.close()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(OSError(32, "the forkserver ended"))
        self._waiting.clear()
