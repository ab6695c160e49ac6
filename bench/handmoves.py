"""Moves a guest from node to node by hand: its rows written by one process that hears QEMU itself.

The same lab, guest, QEMU, pace and rows as weft's migrations, and none of weft's control path: a
switch of its own in every zone, OVSDB connections that stay open, QEMU's events in this process,
and no encryption.
Before a move all zones copy packets to both nodes; the target waits for the guest's announcement.
With `is_early` its gate is opened at QEMU's STOP already. All zones follow a moment later.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support import objects
from weft import errors
from weft.ovsdb.session import Session
from weft_lab import layout
from weft_lab.runtime import toolchain
from weft_lab.vm import accelerator, cloudinitdisk, guest, machine, migrationpace, qemu, qmpsession

SWITCH, PORT, KEY, SWITCH_KEY = "hand-moving", "hand-vm", 10, 20001
ADDRESS, SUBNET_LENGTH, MAC, MTU = "10.96.0.20", 24, "0a:58:0a:60:00:14", 1300
STRATEGY = "activation-strategy"
NOTE = "additional-chassis-activated"
FLIP = 0.3  # seconds from RESUME until the zones follow
WAIT = 120_000  # milliseconds that OVN or QEMU has for a step

# In a node: namespaces for a peer and for the guest, each with a port of the integration bridge.
PREPARE = """
import ctypes, os, subprocess, sys
from pyroute2 import IPRoute
from weft_lab.vm import links
peer, mac, address, guest_mac, mtu = sys.argv[1:]
CLONE_NEWNET = 0x40000000
def enter(file):
    assert not ctypes.CDLL(None).setns(file, CLONE_NEWNET)
def plug(where, device, *ids):
    path = f"/run/netns/{where}"
    open(path, "w").close()
    subprocess.run(["unshare", f"--net={path}", "true"], check=True)
    settings = [f"external_ids:{each}" for each in ids]
    subprocess.run(["ovs-vsctl", "add-port", "br-int", device, "--", "set", "Interface", device,
                    "type=internal", f"mtu_request={mtu}", *settings], check=True)
    with IPRoute() as link:
        index = link.link_lookup(ifname=device)[0]
        link.link("set", index=index, net_ns_fd=os.open(path, os.O_RDONLY))
    enter(os.open(path, os.O_RDONLY))
def run(*argv):
    subprocess.run(["busybox", *argv], check=True)
own = os.open("/proc/self/ns/net", os.O_RDONLY)
plug("hand-peer", "handp", f"iface-id={peer}")
run("ip", "link", "set", "handp", "address", mac)
run("ip", "addr", "add", address, "dev", "handp")
run("ip", "link", "set", "handp", "up")
enter(own)
plug("hand-vm", "handv")
run("ip", "link", "set", "handv", "address", guest_mac)
run("ip", "link", "set", "handv", "up")
links.take_over("handv", "handbr", "handtap")
"""


@dataclass
class Node:
    """One zone: its databases, and where its files are on this side."""

    name: str
    chassis: str
    files: Path
    nb: Session
    sb: Session
    ovs: Session

    async def north(self, options: Mapping[str, str], *, without: Iterable[str] = ()) -> None:
        """Changes options of the guest's port."""
        await self.nb.transact("OVN_Northbound", [_options(options, without)])

    async def south(self, *operations: Any) -> None:
        await self.sb.transact("OVN_Southbound", operations)

    async def wired(self, *, is_so: bool) -> None:
        """Gives the guest's interface here its logical port, or takes it."""
        ids = ["map", [["iface-id", PORT]]] if is_so else ["set", ["iface-id", "ovn-installed"]]
        mutation = ["external_ids", "insert" if is_so else "delete", ids]
        where = [["name", "==", "handv"]]
        change = {"op": "mutate", "table": "Interface", "where": where, "mutations": [mutation]}
        await self.ovs.transact("Open_vSwitch", [change])


@dataclass
class Moved:
    """One move, in seconds of the monotonic clock: its steps, and how long the guest stood, also by
    QEMU's own account."""

    source: str
    target: str
    begun: float
    ended: float = 0.0
    stopped: float = 0.0
    standstill: float = 0.0
    downtime: float = 0.0


@dataclass
class Hand:
    """The guest, and the zones it moves between."""

    lab: str
    folder: Path
    nodes: dict[str, Node]
    where: str = ""
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def peer(self, node: str) -> tuple[str, ...]:
        """Arguments of `weft lab` that run a command beside a node's peer."""
        return ("exec", node, "--", "nsenter", "--net=/run/netns/hand-peer")

    async def start(self, node: str) -> None:
        """Boots the guest on a node."""
        self.where = node
        await self.nodes[node].wired(is_so=True)
        self._launch(node)

    async def move(self, target: str, *, is_early: bool) -> Moved:
        """Moves the guest; returns when the zones have followed."""
        source, self.where = self.where, target
        moved = Moved(source, target, time.monotonic())
        there = self.nodes[target]
        await self._prepare(source, target)
        self._launch(target, "-incoming", "defer")
        ends = _connected()
        stopped = asyncio.get_running_loop().create_future()

        def heard(event: qmpsession.Event) -> None:
            if event["event"] == "STOP" and not stopped.done():
                stopped.set_result(time.monotonic())
                if is_early:  # at once: no turn of the loop in between
                    there.nb.request("transact", ["OVN_Northbound", _options({}, (STRATEGY,))])

        async with (
            _monitor(self._socket(source), heard) as old,
            _monitor(self._socket(target)) as new,
        ):
            for each, end in zip((old, new), ends, strict=True):
                migrationpace.keep_short(end)
                await each.pass_on("moving", end.fileno())
                end.close()
            await migrationpace.begin(old, {}, copies=False)
            await new.execute(
                "migrate-set-capabilities", capabilities=[{"capability": "events", "state": True}]
            )
            await new.execute("migrate-incoming", uri="fd:moving")
            await old.execute("migrate", uri="fd:moving")
            pacing = asyncio.create_task(_paced(old, stopped))
            while (event := await new.events.get()) is not None:
                if event["event"] == "RESUME":
                    break
            moved.stopped = await stopped
            moved.standstill = time.monotonic() - moved.stopped
            await pacing
            moved.downtime = (await old.ask("query-migrate")).get("downtime", 0) / 1000
            await asyncio.sleep(FLIP)
            await asyncio.gather(*(self._follow(each, target) for each in self.nodes.values()))
            with contextlib.suppress(Exception):  # it closes the connection first
                await old.execute("quit")
        self.running.pop(source).wait(20)
        await self.nodes[source].wired(is_so=False)
        moved.ended = time.monotonic()
        return moved

    async def _prepare(self, source: str, target: str) -> None:
        """All zones copy what is sent to the guest to both nodes; the target waits for it."""
        there, chassis = self.nodes[target], self.nodes[source].chassis
        options = {"requested-chassis": f"{chassis},{there.chassis}", STRATEGY: "rarp"}
        await there.north(options)
        await there.wired(is_so=True)
        await there.south(_wait("additional_chassis", await _chassis(there, there.chassis)))
        for node in self.nodes.values():
            if node is not there:
                second = ["uuid", await _chassis(node, there.chassis)]
                await node.south(_update({"additional_chassis": second}))
        where = [["name", "==", "handv"]]
        while True:
            select = {"op": "select", "table": "Interface", "where": where}
            (found,) = await there.ovs.transact("Open_vSwitch", [select])
            if "ovn-installed" in dict(found["rows"][0]["external_ids"][1]):
                return
            await asyncio.sleep(0.01)

    async def _follow(self, node: Node, target: str) -> None:
        """The guest is on `target` alone from now on."""
        chassis = self.nodes[target].chassis
        main = await _chassis(node, chassis)
        is_there = node.name == target
        requested = chassis if is_there else f"{chassis},{chassis}"
        await node.north({"requested-chassis": requested}, without=(STRATEGY,))
        await node.south(_wait("chassis", main), _update({"additional_chassis": ["set", []]}))
        if is_there:
            mutation = ["options", "delete", ["set", [NOTE]]]
            await node.south({**_binding(), "op": "mutate", "mutations": [mutation]})

    def _launch(self, node: str, *more: str) -> None:
        tools = toolchain.ensure()
        image = guest.ensure(tools)
        kind = accelerator.choose(tools, image)
        card = qemu.Card(MAC, "handtap", MTU, bus="port0")
        line = qemu.KERNEL_ARGUMENTS + ("" if kind == "kvm" else qemu.KERNEL_ARGUMENTS_TCG)
        control = self._inside(node)
        drive = {"driver": "file", "node-name": "seed", "read-only": True, "filename": self._seed()}
        devices: tuple[dict[str, object], ...] = (
            {"driver": "pcie-root-port", "id": "port0", "chassis": 1},
            {**qemu.front(card, 0)},
            {"driver": "virtio-blk-pci", "drive": "seed", "serial": qemu.SEED_SERIAL},
        )
        argv = [tools.program(qemu.PROGRAM), "-nodefaults", "-no-user-config", "-display", "none"]
        argv += ["-machine", "q35,usb=off,vmport=off,hpet=off", "-m", "192M", "-smp", "1"]
        argv += ["-accel", "kvm" if kind == "kvm" else "tcg,thread=multi,tb-size=64"]
        argv += ["-cpu", "host" if kind == "kvm" else "max"]
        argv += ["-qmp", f"unix:{control},server=on,wait=off"]
        argv += ["-netdev", json.dumps(qemu.backend(card, 0))]
        argv += ["-blockdev", json.dumps(drive)]
        argv += [word for each in devices for word in ("-device", json.dumps(each))]
        argv += ["-kernel", str(image.kernel), "-initrd", str(image.initrd), "-append", line, *more]
        where = ("exec", "--name", self.lab, node, "--", "nsenter", "--net=/run/netns/hand-vm")
        # In a session of its own, as weft's: Linux shares the processors out among sessions.
        self.running[node] = subprocess.Popen(
            [sys.executable, "-m", "weft", "lab", *where, *argv], start_new_session=True
        )

    def _seed(self) -> str:
        """The guest's seed disk, which gives it its address and a service that echoes."""
        path = self.folder / "hand-seed.iso"
        if not path.exists():
            ethernets = {"eth0": {"addresses": [f"{ADDRESS}/{SUBNET_LENGTH}"]}}
            volume = {
                "networkData": json.dumps({"version": 2, "ethernets": ethernets}),
                "userData": "#cloud-config\nruncmd: ['nc -ll -p 5000 -e cat >/dev/null 2>&1 &']\n",
            }
            vmi = objects.vmi("hand", objects.nic("lan", "hand"))
            vmi["spec"]["volumes"] = [{"name": "seed", "cloudInitNoCloud": volume}]
            path.write_bytes(cloudinitdisk.image(machine.read(vmi), vmi["spec"], [MAC]))
        return str(path)

    def _inside(self, node: str) -> str:
        return f"/run/hand-{node}.qmp"

    def _socket(self, node: str) -> Path:
        return self.nodes[node].files / f"hand-{node}.qmp"


@asynccontextmanager
async def prepared(lab: str, pid: int, folder: Path, names: tuple[str, ...]) -> AsyncIterator[Hand]:
    """The zones of a lab, of process `pid`, with switch, peers and a place for the guest."""
    async with AsyncExitStack() as stack:
        nodes = {}
        for name in names:
            files = Path(f"/proc/{pid}/root") / str(layout.seen(name, "/run")).lstrip("/")
            links = [
                await _connect(stack, files / path)
                for path in ("ovn/ovnnb_db.sock", "ovn/ovnsb_db.sock", "openvswitch/db.sock")
            ]
            chassis = _inside(
                lab, name, "ovs-vsctl", "get", "Open_vSwitch", ".", "external_ids:system-id"
            )
            nodes[name] = Node(name, chassis.strip().strip('"'), files, *links)
        for number, (name, node) in enumerate(nodes.items(), start=1):
            _declare(lab, node, nodes, names[0])
            mac, address = f"0a:58:0a:60:00:{number:02x}", f"10.96.0.{number}/{SUBNET_LENGTH}"
            peer = (f"hand-{name}", mac, address, MAC, str(MTU))
            _inside(lab, name, sys.executable, "-c", PREPARE, *peer)
        hand = Hand(lab, folder, nodes)
        try:
            await hand.start(names[0])
            yield hand
        finally:
            for process in hand.running.values():
                process.terminate()
                process.wait(20)


def _declare(lab: str, node: Node, nodes: Mapping[str, Node], home: str) -> None:
    """The switch in one zone, a port for each peer, and the guest's, which is at `home`."""
    ports = [(f"hand-{name}", key, name, _peer(key)) for key, name in enumerate(nodes, start=1)]
    ports.append((PORT, KEY, home, f"{MAC} {ADDRESS}"))
    rows = ["ls-add", SWITCH, "--", "set", "Logical_Switch", SWITCH]
    rows += ["other_config:interconn-ts=hand", f"other_config:requested-tnl-key={SWITCH_KEY}"]
    for name, key, owner, address in ports:
        there = nodes[owner].chassis
        bound = there if nodes[owner] is node else f"{there},{there}"
        rows += ["--", "lsp-add", SWITCH, name, "--", "lsp-set-addresses", name, address]
        rows += ["--", "set", "Logical_Switch_Port", name]
        rows += [f'options:requested-chassis="{bound}"', f"options:requested-tnl-key={key}"]
    _inside(lab, node.name, "ovn-nbctl", *rows)


def _peer(key: int) -> str:
    return f"0a:58:0a:60:00:{key:02x} 10.96.0.{key}"


async def _connect(stack: AsyncExitStack, path: Path) -> Session:
    session = await Session.connect(f"unix:{path}")
    stack.push_async_callback(session.close)
    return session


@asynccontextmanager
async def _monitor(
    path: Path, heard: Any = lambda event: None
) -> AsyncIterator[qmpsession.Session]:
    """A monitor, as soon as QEMU has it; what an earlier one left is no socket that answers."""
    end = time.monotonic() + WAIT / 1000
    async with AsyncExitStack() as stack:
        while True:
            try:
                session = await stack.enter_async_context(qmpsession.Session(path, heard))
                break
            except (errors.Unavailable, FileNotFoundError):
                if time.monotonic() > end:
                    raise
                await asyncio.sleep(0.01)
        yield session


async def _paced(session: qmpsession.Session, stopped: asyncio.Future[float]) -> None:
    """As weft's lab does, until the guest has stopped."""
    while not stopped.done() and (event := await session.events.get()) is not None:
        if event["event"] == "MIGRATION_PASS":
            await migrationpace.follow(session, event["data"].get("pass"))


def _connected() -> tuple[socket.socket, socket.socket]:
    """Both ends of a TCP connection, as between two nodes."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        one = socket.create_connection(door.getsockname())
        return one, door.accept()[0]


async def _chassis(node: Node, name: str) -> str:
    select = {"op": "select", "table": "Chassis", "where": [["name", "==", name]]}
    (found,) = await node.sb.transact("OVN_Southbound", [{**select, "columns": ["_uuid"]}])
    return str(found["rows"][0]["_uuid"][1])


def _binding() -> dict[str, Any]:
    return {"table": "Port_Binding", "where": [["logical_port", "==", PORT]]}


def _update(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"op": "update", **_binding(), "row": row}


def _wait(column: str, uuid: str) -> dict[str, Any]:
    """The server answers when the column is this row alone."""
    asked = {**_binding(), "op": "wait", "timeout": WAIT, "columns": [column], "until": "=="}
    return {**asked, "rows": [{column: ["uuid", uuid]}]}


def _options(options: Mapping[str, str], without: Iterable[str]) -> dict[str, Any]:
    mutations: list[list[Any]] = [["options", "delete", ["set", sorted({*options, *without})]]]
    if options:
        pairs = [[key, options[key]] for key in sorted(options)]
        mutations.append(["options", "insert", ["map", pairs]])
    where = [["name", "==", PORT]]
    table = {"op": "mutate", "table": "Logical_Switch_Port", "where": where}
    return {**table, "mutations": mutations}


def _inside(lab: str, node: str, *argv: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "weft", "lab", "exec", "--name", lab, node, "--", *argv],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
