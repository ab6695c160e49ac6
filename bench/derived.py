"""Measures the cost of watching what northd derives: for each new pod, and for a full recompute.

NB, SB and northd are real, one zone without a switch. A pod's cost is the CPU time of the agent's
process from the pod's event until it is bound, beside the same without the watch. The other figure
is what northd takes to compute everything anew and to say so, which is how long a node is not ready
after another has deleted a flow.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from contextlib import AsyncExitStack
from statistics import median

import uvloop

from bench import ports
from bench.figures import Figure
from weft.control.zone import derived
from weft.ovn import ports as rows_of_ports
from weft.ovn import tables
from weft.ovsdb.replica import Replica
from weft_lab.runtime import toolchain

SIZES = (1000, 4000)
REPEATS = 40


async def measure(tools: toolchain.Toolchain, size: int) -> tuple[float, float, float, int]:
    """CPU of a pod without and with the watch, what northd takes, and how many flows there are."""
    async with AsyncExitStack() as stack:
        zone = await stack.enter_async_context(
            ports.zone(tools, rows_of_ports.RemotePorts.PLAIN, size)
        )
        sb = await stack.enter_async_context(
            await Replica.open(
                zone.sb.address, tables.SOUTHBOUND, tables.SB, observed=tables.DERIVED
            )
        )
        watch = derived.Derived(zone.nb, sb)
        task = asyncio.create_task(watch.run())
        await watch.confirmed()
        took = []
        for _ in range(REPEATS):
            watch.reset()
            began = time.perf_counter()
            await watch._recompute()
            took.append(time.perf_counter() - began)
        task.cancel()
        await asyncio.wait([task])
        found = {}
        for name in ("watched", "bare"):
            if name == "bare":
                await sb.close()
            spent = []
            for _ in range(REPEATS):
                await zone.quiet()
                began = time.process_time()
                await zone.by_event(20 + size)
                spent.append(time.process_time() - began)
            found[name] = median(spent)
        (flows,) = await zone.sb.transact(
            [{"op": "select", "table": "Logical_Flow", "where": [], "columns": ["_uuid"]}]
        )
        return found["bare"], found["watched"], median(took), len(flows["rows"])


def run() -> Iterable[Figure]:
    tools = toolchain.ensure()
    for size in SIZES:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            bare, watched, took, flows = runner.run(measure(tools, size))
        of = f"{size:,} ports, {flows:,} logical flows"
        yield Figure(
            f"agent's CPU for one more pod of {of}",
            1000 * watched,
            "ms",
            "without the watch",
            1000 * bare,
            at_most=1.5,
        )
        yield Figure(f"northd computes anew, {of}", 1000 * took, "ms")
