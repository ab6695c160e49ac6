"""Measures one more remote pod on a large network: from the NB transaction until it is bound in SB.

NB, SB and northd are real, one zone without a switch. The peer is the same port as a hand would
write it, with bare JSON-RPC; beside it, and without bound, the same on a zone whose remote ports
are of type `remote`, and the whole way from a pod's event through zone state and writer.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from ipaddress import IPv4Interface, ip_network
from pathlib import Path
from statistics import median
from typing import Any

import uvloop

from bench.figures import Figure
from weft import model, names, rows
from weft.api.pod import Pod
from weft.control.zone import state, writer
from weft.control.zone.objects import AllocatedPod
from weft.ovn import ports, tables
from weft.ovsdb.replica import Replica
from weft_lab.runtime import toolchain

SIZES = (1000, 4000)
REPEATS = 40
KEY = "default/big"
OWN, FAR = "node1", "node2"
BINDINGS = rows.Table(
    "Port_Binding", ("logical_port", "chassis"), rows.ByColumns(("logical_port",))
)
COUNTS = rows.Table("NB_Global", ("nb_cfg", "sb_cfg"), rows.SINGLE_ROW)
NETWORK = model.Network(
    model.NetworkSpec("big", model.Topology.LAYER2, 1300, (ip_network("10.0.0.0/16"),)), 1
)


def pod(number: int, node: str = FAR) -> AllocatedPod:
    address = IPv4Interface(f"10.0.{number >> 8}.{number & 255}/16")
    mac = f"0a:58:0a:00:{number >> 8:02x}:{number & 255:02x}"
    allocation = model.Allocation(mac, (address,), number)
    ref = model.PodRef(model.ObjectKey("default", f"p{number}"), f"uid-{number}")
    return AllocatedPod(Pod(ref, "", node=node), {KEY: allocation})


def port_name(number: int) -> str:
    return names.logical_port(KEY, "default", f"p{number}")


@contextmanager
def databases(tools: toolchain.Toolchain) -> Iterator[tuple[str, str]]:
    """Addresses of an NB and an SB server with northd between them."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weft-bench-")))
        environment = {**os.environ, **tools.env, "OVN_RUNDIR": str(folder)}

        def start(*command: str) -> subprocess.Popen[bytes]:
            process = subprocess.Popen(
                [tools.bin / command[0], *command[1:]],
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
            return process

        remotes = []
        for name in ("nb", "sb"):
            schema = str(tools.schema(f"ovn-{name}"))
            subprocess.run(
                [tools.bin / "ovsdb-tool", "create", folder / name, schema],
                env=environment,
                check=True,
            )
            socket = folder / f"{name}.sock"
            control = f"--unixctl={folder}/{name}.ctl"
            start("ovsdb-server", f"--remote=punix:{socket}", control, str(folder / name))
            remotes.append(f"unix:{socket}")
        start(
            "ovn-northd",
            *(f"--ovnnb-db={remotes[0]}", f"--ovnsb-db={remotes[1]}"),
            f"--unixctl={folder}/northd.ctl",
        )
        yield remotes[0], remotes[1]


async def caught_up(nb: Replica) -> None:
    """Returns when northd has answered a count of ours; `nb` has the table COUNTS."""
    count = {"op": "mutate", "table": "NB_Global", "where": [], "mutations": [["nb_cfg", "+=", 1]]}
    await nb.transact([count])
    found = nb.get("NB_Global", "")
    assert found is not None
    number = found[1]["nb_cfg"]
    await nb.wait_for("NB_Global", "", lambda row: bool(row and row["sb_cfg"] == number), 120)


class Zone:
    """A zone with `size` remote ports, each measure one more and back again."""

    def __init__(self, nb: Replica, sb: Replica, style: ports.RemotePorts) -> None:
        self.nb, self.sb = nb, sb
        self.state = state.Zone(OWN, OWN, remote_ports=style)
        self.writer = writer.OvnWriter(self.state, nb, sb)

    async def fill(self, size: int) -> None:
        self.state.set_node(FAR, model.NodeInfo(FAR, FAR, ("192.0.2.2",)))
        self.state.set_nad(model.ObjectKey.parse(KEY), state.DeclaredNetwork(NETWORK))
        self.state.set_pod(model.ObjectKey("default", "p10"), pod(10, OWN))
        for number in range(11, 11 + size):
            self.state.set_pod(model.ObjectKey("default", f"p{number}"), pod(number))
        self.writer.wake()
        await self.writer.settled()
        await self.bound(10 + size)

    async def bound(self, number: int) -> None:
        await self.sb.wait_for(
            "Port_Binding", port_name(number), lambda row: bool(row and row["chassis"]), 120
        )

    async def unbound(self, number: int) -> None:
        await self.sb.wait_for("Port_Binding", port_name(number), lambda row: row is None, 120)

    async def quiet(self) -> None:
        """Returns when northd has nothing left to do."""
        await caught_up(self.nb)

    async def by_hand(self, number: int) -> float:
        """The fewest columns that work, in one request; the writer takes them for its own."""
        self.state.set_pod(model.ObjectKey("default", f"p{number}"), pod(number))
        self.state.changes()
        allocation = pod(number).allocations[KEY]
        switch = self.nb.uuid("Logical_Switch", names.layer2_switch("big"))
        options = {"requested-chassis": f"{FAR},{FAR}", "requested-tnl-key": str(number)}
        operations: list[Any] = [
            {
                "op": "insert",
                "table": "Logical_Switch_Port",
                "uuid-name": "port",
                "row": {
                    "name": port_name(number),
                    "addresses": ports.addresses(NETWORK.spec, allocation),
                    "options": ["map", [[key, value] for key, value in options.items()]],
                    "external_ids": ["map", [[names.OWNER, "hand"], [names.NETWORK, "big"]]],
                },
            },
            {
                "op": "mutate",
                "table": "Logical_Switch",
                "where": [["_uuid", "==", ["uuid", switch]]],
                "mutations": [["ports", "insert", ["named-uuid", "port"]]],
            },
        ]
        started = time.perf_counter()
        await self.nb.transact(operations)
        await self.bound(number)
        took = time.perf_counter() - started
        await self.remove(number)
        return took

    async def by_rows(self, number: int) -> float:
        """The row that weft writes, through its plan."""
        self.state.set_pod(model.ObjectKey("default", f"p{number}"), pod(number))
        changes = self.state.changes()
        started = time.perf_counter()
        await self.nb.apply(changes.nb, changes.nb_gone)
        await self.bound(number)
        took = time.perf_counter() - started
        await self.remove(number)
        return took

    async def by_event(self, number: int) -> float:
        """Seconds from the cache's event of one more pod until its port is bound."""
        started = time.perf_counter()
        self.state.set_pod(model.ObjectKey("default", f"p{number}"), pod(number))
        self.writer.wake()
        await self.bound(number)
        took = time.perf_counter() - started
        await self.remove(number)
        return took

    async def remove(self, number: int) -> None:
        self.state.set_pod(model.ObjectKey("default", f"p{number}"), None)
        self.writer.wake()
        await self.writer.settled()
        await self.unbound(number)


@asynccontextmanager
async def zone(
    tools: toolchain.Toolchain, style: ports.RemotePorts, size: int
) -> AsyncIterator[Zone]:
    async with AsyncExitStack() as stack:
        nb_address, sb_address = stack.enter_context(databases(tools))
        nb = await stack.enter_async_context(
            await Replica.open(nb_address, tables.NORTHBOUND, (*tables.NB, COUNTS), patience=20)
        )
        sb = await stack.enter_async_context(
            await Replica.open(sb_address, tables.SOUTHBOUND, (*tables.SB, BINDINGS), patience=20)
        )
        made = Zone(nb, sb, style)
        task = asyncio.create_task(made.writer.run())
        try:
            await made.fill(size)
            yield made
        finally:
            task.cancel()
            await asyncio.wait([task])


async def measure(tools: toolchain.Toolchain, size: int) -> dict[str, float]:
    number = 20 + size
    seen: dict[str, list[float]] = {"hand": [], "weft": [], "event": [], "remote": []}
    async with (
        zone(tools, ports.RemotePorts.PLAIN, size) as plain,
        zone(tools, ports.RemotePorts.REMOTE, size) as remote,
    ):
        contenders = [
            ("hand", plain, plain.by_hand),
            ("weft", plain, plain.by_rows),
            ("event", plain, plain.by_event),
            ("remote", remote, remote.by_rows),
        ]
        for _ in range(REPEATS):
            for name, where, take in contenders:
                await where.quiet()
                seen[name].append(await take(number))
            contenders.append(contenders.pop(0))  # nobody always follows the same one
    return {name: 1000 * median(values) for name, values in seen.items()}


def run() -> Iterable[Figure]:
    tools = toolchain.ensure()
    for size in SIZES:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            found = runner.run(measure(tools, size))
        of = f"{size:,} ports"
        yield Figure(
            f"one more remote pod of {of}, transaction to bound",
            found["weft"],
            "ms",
            "rows by hand",
            found["hand"],
            at_most=1.2,
        )
        yield Figure(
            f"the same of {of}, type remote", found["remote"], "ms", "plain", found["weft"]
        )
        yield Figure(f"the same of {of}, from the pod's event", found["event"], "ms")
