"""Measures a look of `weft flows` at a node with 10,000 connections, and at one that is flooded.

A real vswitchd with its userspace connection tracker gets packets of a dummy device, so that no
namespace and no OVN is needed: what is measured is what the switch and the program on the node pay.
While nobody looks, weft adds no row and no rule for it, so that traffic costs nothing more.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.figures import Figure
from weft import names
from weft.host import unixctl
from weft.observe.flows import conntrack, onnode, sighting
from weft.ovsdb.session import Session
from weft_lab.runtime import toolchain

CONNECTIONS = 10_000  # each is tracked in two zones, as between two ports of one node
SERVICES = 50
PORTS = ("a", "b")
FLOOD = 110_000  # in each zone; more than a look reads
REPEATS = 7
_RULES = (
    "table=0,ip,actions=ct(commit,zone=1),ct(commit,zone=2,table=1)",
    "table=1,actions=drop",
)


@dataclass
class Switch:
    """A switch on a dummy device, with the databases that a node has."""

    folder: Path
    process: subprocess.Popen[bytes]
    tools: toolchain.Toolchain

    @property
    def order(self) -> dict[str, Any]:
        return {
            "sb": f"unix:{self.folder}/sb.sock",
            "ovs": f"unix:{self.folder}/db.sock",
            "acl_log": str(self.folder / "none"),
        }

    @property
    def control(self) -> Path:
        return self.folder / f"ovs-vswitchd.{self.process.pid}.ctl"

    def busy(self) -> float:
        """Seconds of processor that the switch has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident(self) -> int:
        """Bytes of memory of the switch."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * resource.getpagesize()

    async def send(self, packets: Iterable[bytes], at_once: int = 32) -> None:
        """As many packets at once as the switch takes from a device in a turn: more get lost."""
        batch: list[str] = []
        for packet in packets:
            batch.append(packet.hex())
            if len(batch) == at_once:
                await unixctl.call(self.control, "netdev-dummy/receive", "p0", *batch)
                batch = []
        if batch:
            await unixctl.call(self.control, "netdev-dummy/receive", "p0", *batch)

    async def fill(self, found: Callable[[], Iterable[bytes]], entries: int) -> None:
        """Sends packets again until the tracker has all: a busy switch loses some.

        It forgets a SYN without an answer after 30 s: a machine that needs longer has no flood.
        """
        async with asyncio.timeout(180):
            while int(await unixctl.call(self.control, "dpctl/ct-get-nconns")) < entries:
                await self.send(found())


@contextmanager
def switch(tools: toolchain.Toolchain) -> Iterator[Switch]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weft-bench-")))
        env = {**os.environ, **tools.env}
        env |= {"OVS_RUNDIR": str(folder), "OVN_RUNDIR": str(folder)}

        def run(*command: str) -> None:
            argv = (str(tools.bin / command[0]), *command[1:])
            subprocess.run(argv, env=env, check=True, capture_output=True)

        def start(*command: str) -> subprocess.Popen[bytes]:
            argv = (str(tools.bin / command[0]), *command[1:])
            log = subprocess.DEVNULL
            process = subprocess.Popen(argv, env=env, stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            return process

        for schema, name in (("vswitch", "db"), ("ovn-sb", "sb")):
            run("ovsdb-tool", "create", str(folder / name), str(tools.schema(schema)))
            remote = f"--remote=punix:{folder}/{name}.sock"
            start("ovsdb-server", remote, f"--unixctl={folder}/{name}.ctl", str(folder / name))
        database = f"unix:{folder}/db.sock"
        subprocess.run(
            [tools.bin / "ovsdb-client", "wait", database, "Open_vSwitch", "connected"],
            env=env,
            check=True,
            capture_output=True,
        )
        ctl = ("ovs-vsctl", f"--db={database}")
        run(*ctl, "--no-wait", "init")
        process = start("ovs-vswitchd", "--enable-dummy=override", "--disable-system", database)
        (folder / "ovs-vswitchd.pid").write_text(str(process.pid))
        made = Switch(folder, process, tools)
        run(
            *(*ctl, "add-br", "br-int", "--", "set", "Bridge", "br-int", "datapath_type=dummy"),
            *("external_ids:ct-zone-a=1", "external_ids:ct-zone-b=2", "--"),
            *("add-port", "br-int", "p0", "--", "set", "Interface", "p0", "type=dummy"),
            *("external_ids:iface-id=a", "--", "add-port", "br-int", "p1", "--"),
            *("set", "Interface", "p1", "type=dummy", "external_ids:iface-id=b"),
        )
        run("ovs-ofctl", "del-flows", f"unix:{folder}/br-int.mgmt")
        for rule in _RULES:
            run("ovs-ofctl", "add-flow", f"unix:{folder}/br-int.mgmt", rule)
        asyncio.run(_bind(made))
        yield made


async def _bind(made: Switch) -> None:
    """The two ports, as a node's Southbound database has them."""
    session = await Session.connect(made.order["sb"])
    external = ["map", [[names.NETWORK, "blue"]]]
    operations: list[dict[str, Any]] = [
        {"op": "insert", "table": "SB_Global", "row": {}},
        {
            "op": "insert",
            "table": "Datapath_Binding",
            "uuid-name": "blue",
            "row": {"tunnel_key": 5},
        },
    ]
    for number, name in enumerate(PORTS, 1):
        ids = ["map", [*external[1], [names.OWNER, names.pod_owner("default", name)]]]
        row = {
            "logical_port": name,
            "tunnel_key": number,
            "datapath": ["named-uuid", "blue"],
            "mac": f"0a:58:0a:01:00:0{number} 10.1.0.{number}",
            "external_ids": ids,
        }
        operations.append({"op": "insert", "table": "Port_Binding", "row": row})
    try:
        await session.transact("OVN_Southbound", operations)
    finally:
        await session.close()


def packets(count: int, *, is_flood: bool = False) -> Iterator[bytes]:
    """SYNs from a to b: to 50 ports, or to one from made-up addresses."""
    for number in range(count):
        source = bytes((10, 1, 0, 1))
        if is_flood:
            source = bytes((172, 16 | number >> 16 & 15, number >> 8 & 255, number & 255))
        port = 80 if is_flood else 80 + number % SERVICES
        tcp = struct.pack("!HHIIBBHHH", 1024 + number % 60_000, port, 1, 0, 0x50, 2, 8192, 0, 0)
        ends = source + bytes((10, 1, 0, 2))
        # The tracker takes no packet whose checksums are wrong.
        tcp = tcp[:16] + _sum(ends + struct.pack("!HH", 6, len(tcp)) + tcp) + tcp[18:]
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 40, 0, 0, 64, 6, 0) + ends
        ip = ip[:10] + _sum(ip) + ip[12:]
        yield bytes.fromhex("0a580a0100020a580a0100010800") + ip + tcp


def _sum(data: bytes) -> bytes:
    """The Internet checksum (RFC 1071)."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~total & 0xFFFF)


@dataclass
class Look:
    seconds: float
    switch: float
    program: float
    bytes: int
    answer: dict[str, Any]


async def _look(made: Switch) -> Look:
    began, busy, own = time.perf_counter(), made.busy(), time.process_time()
    answer = await onnode.read(made.order)
    text = json.dumps(answer)
    spent = time.perf_counter() - began
    return Look(spent, made.busy() - busy, time.process_time() - own, len(text), json.loads(text))


async def _measured(made: Switch) -> tuple[list[Look], str, Look, int]:
    await made.fill(lambda: packets(CONNECTIONS), 2 * CONNECTIONS)
    looks = [await _look(made) for _ in range(REPEATS)]
    dump = await unixctl.beginning(
        made.control, "dpctl/dump-conntrack", "-s", most=onnode.MOST_BYTES, patience=30
    )
    await made.fill(lambda: packets(FLOOD, is_flood=True), 2 * (FLOOD - FLOOD // 50))
    before = made.resident()
    flooded = await _look(made)
    return looks, dump, flooded, made.resident() - before


def run() -> Iterator[Figure]:
    with switch(toolchain.ensure()) as made:
        looks, dump, flooded, grown = asyncio.run(_measured(made))
    looks.sort(key=lambda each: each.seconds)
    middle = looks[len(looks) // 2]
    read = sighting.parse(middle.answer)
    seen = sum(each.connections or 0 for each in read.sightings if each.at == "b")
    what = "a look at 10,000 connections"
    yield Figure(f"{what}: connections seen", seen, "", at_least=CONNECTIONS)
    yield Figure(f"{what}: time", middle.seconds * 1e3, "ms", at_most=3000)
    yield Figure(f"{what}: processor of the switch", middle.switch * 1e3, "ms", at_most=500)
    yield Figure(f"{what}: processor of the program", middle.program * 1e3, "ms", at_most=2000)
    yield Figure(f"{what}: bytes of the answer", middle.bytes, "", at_most=200_000)
    began = time.perf_counter()
    zones = {n: sighting.ZonePort(p, "blue", f"default/{p}", "") for n, p in enumerate(PORTS, 1)}
    list(conntrack.sightings(dump, zones, 0.0))
    yield Figure(f"{what}: reading the dump", (time.perf_counter() - began) * 1e3, "ms")
    yield Figure(f"{what}: bytes of the dump", len(dump), "", at_most=onnode.MOST_BYTES)
    answer = sighting.parse(flooded.answer)
    yield Figure("a look at a flooded node: time", flooded.seconds * 1e3, "ms", at_most=5000)
    yield Figure("a look at a flooded node: bytes", flooded.bytes, "", at_most=200_000)
    yield Figure("a look at a flooded node: notices", len(answer.notices), "", at_least=1)
    yield Figure("a look at a flooded node: memory of the switch", grown / 1e6, "MB", at_most=64)
