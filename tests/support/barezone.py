"""A zone's writer before two bare database servers: no northd, no switch, and a stranger beside it.

The stranger's connection is older than the writer's. The server looks at connections in the order
of their age, so that what both sent while it was stopped is taken from the stranger first.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_interface
from typing import Any

from tests.support.allocated import allocated_pod
from tests.support.ovsdb import Server
from tests.support.patience import PATIENCE
from tests.support.realised import network
from weft import model, rows
from weft.control.zone import state, writer
from weft.model import ObjectKey
from weft.ovn import ports, tables
from weft.ovsdb import session
from weft.ovsdb.replica import Replica
from weft.ovsdb.session import Session

NODE, FAR = "node1", "node2"
SWITCH = "blue_ovn_layer2_switch"
Json = Any


@dataclass
class Bare:
    """Network blue with subnet 10.1.0.0/24; `on_written` is called after each round."""

    server: Server
    stranger: Session
    nb: Replica
    sb: Replica
    zone: state.Zone
    writer: writer.OvnWriter
    looked: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    def pause(self) -> None:
        """The writer is gone, as its agent."""
        assert self._task is not None
        self._task.cancel()

    def resume(self) -> None:
        """Another writer starts on what is there."""
        self.writer = writer.OvnWriter(self.zone, self.nb, self.sb, on_written=self.looked.set)
        self._task = asyncio.create_task(self.writer.run())

    async def end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def pod(self, name: str, number: int, node: str = NODE, **labels: str) -> str:
        """A pod with one attachment; the name of its port."""
        address = ip_interface(f"10.1.0.{number}/24")
        allocation = model.Allocation(f"0a:58:00:00:00:{number:02x}", (address,), number)
        ref = model.PodRef(model.ObjectKey("default", name), f"uid-{name}")
        self.zone.set_pod(
            ref.key, allocated_pod(ref, node, {"default/blue": allocation}, labels=labels)
        )
        self.writer.wake()
        return f"default.blue_default_{name}"

    async def settled(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await self.writer.settled()

    async def does(self, *operations: Json) -> None:
        """Another's transaction."""
        await self.stranger.transact(tables.NORTHBOUND, operations)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Returns when something holds, looked at after each round of the writer."""
        async with asyncio.timeout(PATIENCE):
            while not holds():
                self.looked.clear()
                await self.looked.wait()

    def row(self, table: str, key: str) -> rows.Columns:
        found = self.nb.get(table, key)
        assert found is not None, f"no {table} {key!r}"
        return found[1]

    async def sent(self) -> None:
        """Returns when the next transaction to the Northbound database is on its way."""
        link, sent = self.nb._session, asyncio.Event()
        assert link is not None
        request = link.request

        def watched(
            method: str, params: Sequence[Json], then: session.Then | None = None
        ) -> asyncio.Future[Json]:
            sent.set()
            return request(method, params, then)

        link.request = watched  # type: ignore[method-assign]
        async with asyncio.timeout(PATIENCE):
            await sent.wait()
        link.request = request  # type: ignore[method-assign]

    @contextmanager
    def stopped(self) -> Iterator[None]:
        os.kill(self.server.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.server.pid, signal.SIGCONT)


@asynccontextmanager
async def bare(ovsdb: Callable[[str], Server]) -> AsyncIterator[Bare]:
    north, south = ovsdb("ovn-nb"), ovsdb("ovn-sb")
    async with AsyncExitStack() as stack:
        stranger = await Session.connect(north.address)
        stack.push_async_callback(stranger.close)
        made: list[Bare] = []

        def again() -> None:
            made[0].writer.reset()

        nb = await stack.enter_async_context(
            await Replica.open(north.address, tables.NORTHBOUND, tables.NB, on_reset=again)
        )
        sb = await stack.enter_async_context(
            await Replica.open(south.address, tables.SOUTHBOUND, tables.SB, on_reset=again)
        )
        zone = state.Zone(NODE, "chassis-1", remote_ports=ports.RemotePorts.PLAIN)
        zone.set_nad(ObjectKey("default", "blue"), network("blue", 1, "10.1.0.0/24"))
        zone.set_node(FAR, model.NodeInfo(FAR, "chassis-2", ("192.0.2.2",)))
        looked = asyncio.Event()
        keeper = writer.OvnWriter(zone, nb, sb, on_written=looked.set)
        made.append(Bare(north, stranger, nb, sb, zone, keeper, looked))
        made[0].pod("one", 11)
        made[0]._task = asyncio.create_task(keeper.run())
        try:
            await made[0].settled()
            yield made[0]
        finally:
            await made[0].end()
