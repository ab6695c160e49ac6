"""Holds a cluster's namespaces; when it ends, for whatever reason, all of the cluster is gone.

    keeper (outside)  the way to the API server from this machine's loopback; removes what is left
      └ control       process 1 of the cluster, with the bridges between the machines
          └ node1 …   process 1 of a node

All of a cluster lives in one PID namespace, and its process 1 dies with the keeper.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from tests.cluster import cgroups, machine, roots, spec
from weft_lab.runtime import namespaces
from weft_lab.runtime.links import Links
from weft_lab.runtime.namespaces import (
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUTS,
)

GROUPS, LAYOUT = "cgroups.json", "layout.json"
_EVERYTHING = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC
_PR_SET_PDEATHSIG = 1
_MTU = 1500
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a cluster keeps its files, and what its machines are made of."""

    state: Path
    cluster: spec.Cluster
    tree: Path
    shared: dict[str, dict[str, str]]  # by machine: place in it -> folder outside
    read_only: dict[str, str]

    def folder(self, name: str) -> Path:
        return self.state / name

    def root(self, name: str) -> roots.Root:
        shared = {place: Path(source) for place, source in self.shared[name].items()}
        read_only = {place: Path(source) for place, source in self.read_only.items()}
        return roots.Root(self.tree, self.folder(name), shared, read_only)


def hold(layout: Layout, listener: socket.socket, lifeline: int, ready: int) -> None:
    """Until told to end, until `lifeline` closes, or until the cluster's process 1 ends.

    `listener` is the socket on this machine that leads to the API server; a byte to `ready` says
    that all machines are there.
    """
    groups = {
        node.name: cgroups.make(f"weft-cluster-{layout.cluster.name}", node.name)
        for node in layout.cluster.members
    }
    record = sorted({str(path.parent) for paths in groups.values() for path in paths})
    (layout.state / GROUPS).write_text(json.dumps(record))
    reader, writer = os.pipe2(os.O_CLOEXEC)
    first = os.fork()
    if first == 0:
        _guarded(lambda: _leave(layout, groups, writer))
    os.close(writer)
    pid = int(os.read(reader, 16) or b"0")
    if not pid:
        os.waitpid(first, 0)
        clean(layout.state)
        raise SystemExit("the cluster's machines cannot be made; the reason stands above")
    control = os.pidfd_open(pid)
    os.write(ready, b"1")
    os.close(ready)
    try:
        asyncio.run(_relay(listener, pid, (control, lifeline)))
    finally:
        os.kill(first, signal.SIGKILL)
        os.waitpid(first, 0)
        select.select([control], [], [])
        clean(layout.state)


def clean(state: Path) -> None:
    """Remove what is left of a cluster that does not run."""
    with contextlib.suppress(FileNotFoundError):
        left = cgroups.remove(map(Path, json.loads((state / GROUPS).read_text())))
        if left:  # the next one tries again
            print("still there:", *left, file=sys.stderr)
            return
    shutil.rmtree(state, ignore_errors=True)


def _guarded(body: Callable[[], None]) -> NoReturn:
    """In a child: run to the end, and never return into the parent's code."""
    try:
        body()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _leave(layout: Layout, groups: dict[str, tuple[Path, ...]], tell: int) -> None:
    _die_with_parent()
    namespaces.unshare(_EVERYTHING)
    child = os.fork()
    if child == 0:
        _guarded(lambda: _be_control(layout, groups, tell))
    os.close(tell)
    os.waitpid(child, 0)


def _be_control(layout: Layout, groups: dict[str, tuple[Path, ...]], tell: int) -> None:
    _die_with_parent()
    namespaces.rename_process("control")
    outer = int(os.readlink("/proc/self"))  # /proc is still that of outside
    socket.sethostname(spec.CONTROL)
    namespaces.mount("none", "/", flags=namespaces.MS_REC | namespaces.MS_PRIVATE)
    namespaces.mount("proc", "/proc", "proc")
    links = Links()
    links.raise_up("lo")
    for bridge in ("underlay", "tunnels"):
        links.add_bridge(bridge, mtu=_MTU)
        links.raise_up(bridge)
    links.add_address("underlay", layout.cluster.control_address)
    for node in layout.cluster.members:
        _add_node(layout, node, groups[node.name], links)
    links.close()
    listener = machine.listen(layout.folder(spec.CONTROL))
    roots.enter(layout.root(spec.CONTROL))
    os.write(tell, str(outer).encode())
    os.close(tell)
    asyncio.run(machine.Machine().serve(listener))


def _add_node(layout: Layout, node: spec.Node, groups: tuple[Path, ...], links: Links) -> None:
    """Its process 1, connected to both bridges before it has a root of its own."""
    made, tell = os.pipe2(os.O_CLOEXEC)
    wait, go = os.pipe2(os.O_CLOEXEC)
    if os.fork() == 0:
        os.close(made)
        os.close(go)
        _guarded(lambda: _leave_control(layout, node, groups, tell, wait))
    os.close(tell)
    os.close(wait)
    pid = int(os.read(made, 16))
    space = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    for link, bridge in (("eth0", "underlay"), ("eth1", "tunnels")):
        ours = f"{node.name}-{link}"
        links.add_veth(ours, link, space, mtu=_MTU)
        links.enslave(ours, bridge)
        links.raise_up(ours)
    os.close(space)
    os.write(go, b"1")
    os.close(go)
    if not os.read(made, 1):
        raise OSError(f"{node.name} cannot be made")
    os.close(made)


def _leave_control(
    layout: Layout, node: spec.Node, groups: tuple[Path, ...], tell: int, wait: int
) -> None:
    _die_with_parent()
    cgroups.enter(groups)
    namespaces.unshare(_EVERYTHING)
    child = os.fork()
    if child == 0:
        _guarded(lambda: _be_node(layout, node, tell, wait))
    os.write(tell, str(child).encode())
    os.close(tell)
    os.close(wait)
    os.waitpid(child, 0)


def _be_node(layout: Layout, node: spec.Node, tell: int, wait: int) -> None:
    _die_with_parent()
    namespaces.rename_process(node.name)
    os.read(wait, 1)
    socket.sethostname(node.name)
    links = Links()
    for link in ("lo", "eth0", "eth1"):
        links.raise_up(link)
    links.add_address("eth0", node.address)
    links.add_address("eth1", node.tunnel_address)
    links.close()
    listener = machine.listen(layout.folder(node.name))
    roots.enter(layout.root(node.name))
    os.write(tell, b"1")
    os.close(tell)
    asyncio.run(machine.Machine().serve(listener))


async def _relay(listener: socket.socket, pid: int, ends: Sequence[int]) -> None:
    """Pass connections on to the API server until a signal, or one of `ends` is readable."""
    loop = asyncio.get_running_loop()
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    for descriptor in ends:
        if descriptor >= 0:
            loop.add_reader(descriptor, ending.set)
    network = f"/proc/{pid}/ns/net"

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            with namespaces.inside(network):
                far = socket.socket()
            far.setblocking(False)
            try:
                await loop.sock_connect(far, ("127.0.0.1", spec.API_PORT))
            except OSError:
                far.close()
                raise
            back, forth = await asyncio.open_connection(sock=far)
            await asyncio.gather(_copy(reader, forth), _copy(back, writer))
        writer.close()

    server = await asyncio.start_server(talk, sock=listener)
    await ending.wait()
    server.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


def described(stored: dict[str, Any]) -> spec.Cluster:
    """The cluster of a stored layout."""
    found = stored["cluster"]
    return spec.Cluster(**{**found, "multus": spec.Multus(found["multus"])})


def main() -> None:
    """keeper STATE LISTENER LIFELINE READY: a cluster's folder, and numbers of descriptors."""
    state, listener, lifeline, ready = Path(sys.argv[1]), *map(int, sys.argv[2:5])
    stored = json.loads((state / LAYOUT).read_text())
    layout = Layout(
        state, described(stored), Path(stored["tree"]), stored["shared"], stored["read_only"]
    )
    hold(layout, socket.socket(fileno=listener), lifeline, ready)


if __name__ == "__main__":
    main()
