"""Counts the rows written for one more pod, by topology and number of pods: they must not grow.

NB, SB and northd are real, one zone. What is counted are the operations that reach its databases,
in the zone of the pod's node and in the zone of another node.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_network

import uvloop

from bench.figures import Figure
from bench.ports import databases
from weft import model, names, ranges
from weft.api.pod import Pod
from weft.control.zone import state, writer
from weft.control.zone.objects import AllocatedPod
from weft.ovn import ports, tables
from weft.ovsdb.replica import Replica
from weft_lab.runtime import toolchain

SIZES = (10, 100, 1000)
OWN, FAR = "node1", "node2"
NETWORKS = {
    "layer2": ("default/flat", model.Topology.LAYER2, "flat", 1),
    "layer3": ("default/routed", model.Topology.LAYER3, "routed", 2),
    "localnet": ("default/wire", model.Topology.LOCALNET, "wire", 3),
    "layer2 with names": ("default/named", model.Topology.LAYER2, "named", 4),
    "default": ("default", model.Topology.LAYER3, names.DEFAULT_NETWORK, 0),
}
NAMED = "layer2 with names"


@dataclass
class Zone:
    """The zone of OWN with one kind of network, filled with pods of both nodes in turn."""

    kind: str
    nb: Replica
    state: state.Zone
    writer: writer.OvnWriter
    pods: int = 0

    def declare(self) -> None:
        key, topology, name, number = NETWORKS[self.kind]
        spec = model.NetworkSpec(
            *(name, topology, 1300, (ip_network("10.128.0.0/14"),)),
            dns_records=self.kind == NAMED,
        )
        self.state.set_nad(
            model.ObjectKey.parse(key), state.DeclaredNetwork(model.Network(spec, number))
        )
        for node, number in ((OWN, 2), (FAR, 3)):
            self.state.set_node(node, node_info(node, number, name))

    def pod(self, number: int, node: str) -> None:
        key, *_ = NETWORKS[self.kind]
        part = node_info(node, 2 if node == OWN else 3, "").subnets[0][1][0]
        address = ranges.numbered(part, 10 + number)
        mac = names.address_mac(str(address.ip))
        allocation = model.Allocation(mac, (address,), 10 + number)
        ref = model.PodRef(model.ObjectKey("default", f"p{number}"), f"uid-{number}")
        self.state.set_pod(
            ref.key, AllocatedPod(Pod(ref, "", node=node, primary=True), {key: allocation})
        )

    async def grow(self, size: int) -> None:
        while self.pods < size:
            self.pod(self.pods, (OWN, FAR)[self.pods % 2])
            self.pods += 1
        await self.write()

    async def more(self, node: str) -> int:
        """Operations for one more pod of `node`."""
        before = self.writer.figures.operations
        self.pod(self.pods, node)
        self.pods += 1
        await self.write()
        return self.writer.figures.operations - before

    async def write(self) -> None:
        self.state.dns.release()  # names otherwise wait for a second
        self.writer.wake()
        await self.writer.settled()


def node_info(node: str, number: int, network: str) -> model.NodeInfo:
    part = ip_network(f"10.{128 + number}.0.0/16")
    return model.NodeInfo(
        node,
        f"chassis-{node}",
        (f"192.0.2.{number}",),
        id=number,
        transit=ranges.transit(number),
        subnets=((network, (part,)),),
    )


@asynccontextmanager
async def zone(tools: toolchain.Toolchain, kind: str) -> AsyncIterator[Zone]:
    async with AsyncExitStack() as stack:
        nb_address, sb_address = stack.enter_context(databases(tools))
        nb = await stack.enter_async_context(
            await Replica.open(nb_address, tables.NORTHBOUND, tables.NB, patience=20)
        )
        sb = await stack.enter_async_context(
            await Replica.open(sb_address, tables.SOUTHBOUND, tables.SB, patience=20)
        )
        kept = state.Zone(OWN, f"chassis-{OWN}", remote_ports=ports.RemotePorts.PLAIN)
        made = Zone(kind, nb, kept, writer.OvnWriter(kept, nb, sb))
        task = asyncio.create_task(made.writer.run())
        try:
            made.declare()
            yield made
        finally:
            task.cancel()
            await asyncio.wait([task])


async def measure(tools: toolchain.Toolchain, kind: str) -> dict[tuple[int, str], int]:
    found = {}
    async with zone(tools, kind) as made:
        for size in SIZES:
            await made.grow(size)
            for node in (OWN, FAR):
                found[size, node] = await made.more(node)
    return found


def run() -> Iterable[Figure]:
    tools = toolchain.ensure()
    for kind in NETWORKS:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            found = runner.run(measure(tools, kind))
        for node, where in ((OWN, "its own zone"), (FAR, "another zone")):
            few = found[SIZES[0], node]
            for size in SIZES:
                yield Figure(
                    f"rows for one more pod of {size:,}, {kind}, {where}",
                    found[size, node],
                    "rows",
                    at_most=few,
                )
