"""Moves a virtual machine from node to node, and counts what its peers lose of it.

A lab of three nodes with a peer on each. Peers ping the machine's guest every 10 ms, and one holds
a TCP connection to it; all run throughout, and each migration is a cut of what they saw. QEMU's
standstill is what nobody can go below for answers: a guest that stands still answers late.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from bench.figures import Figure
from bench.stream import inside, lab, pod, running
from tests.support import objects, pinger
from weft.kube import cache, client, resources
from weft.model import ObjectKey

LAB = "bench-migration"
NODES = ("node1", "node2", "node3")
NETWORK, SUBNET = "moving", "10.97.0.0/24"
MACHINE = ObjectKey("default", "mover")
WEFT = (sys.executable, "-m", "weft")
INTERVAL = 0.01
SETTLE = 1.5  # seconds after a migration that still count as its
PORT = 5000
TIMES = int(os.environ.get("BENCH_MIGRATIONS", "20"))

ECHO = """
import json, select, socket, sys, time
link = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10)
link.setblocking(False)
print("started", flush=True)
arrived, due = [], time.monotonic()
while True:
    now = time.monotonic()
    if now >= due:
        try: link.send(b"x" * 64)
        except BlockingIOError: pass
        due = now + 0.01
    ready, _, _ = select.select([link, sys.stdin], [], [], max(0, due - now))
    if sys.stdin in ready and not sys.stdin.readline(): break
    if link in ready:
        if not link.recv(65536): break
        arrived.append(time.monotonic())
json.dump(arrived, sys.stdout)
"""


@dataclass(frozen=True, slots=True)
class Move:
    """One migration: which nodes, when (monotonic seconds), and what QEMU says of it."""

    source: str
    target: str
    begun: float
    ended: float
    cost: dict[str, int]


@dataclass(frozen=True, slots=True)
class Seen:
    """What one peer saw of one migration: milliseconds without answer, and answers twice."""

    role: str
    outage: float
    lost: int
    twice: int


class Peer:
    """A program in a pod's network namespace that runs until it is asked for what it saw."""

    def __init__(self, where: tuple[str, ...], *argv: str) -> None:
        command = [*WEFT, "lab", where[0], "--name", LAB, *where[1:]]
        self._process = subprocess.Popen(
            [*command, sys.executable, "-I", *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "started\n"

    def end(self) -> Any:
        """What it saw."""
        return json.loads(self._process.communicate()[0])


def run() -> Iterable[Figure]:
    """Figures of TIMES migrations."""
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as state, lab(LAB, 3, state) as found:
        yield from figures(*asyncio.run(_measured(found["kubeconfig"])))


def figures(moves: Sequence[Move], pings: dict[str, Any], echoes: Sequence[float]) -> list[Figure]:
    """What peers lost of each migration, beside the time that the guest stood still."""
    seen = [each for move in moves for each in _seen(move, pings)]
    still = [float(move.cost.get("standstillMilliseconds", 0)) for move in moves]
    worst = [max(each.outage for each in _seen(move, pings)) for move in moves]
    stalls = [_gap(echoes, move.begun, move.ended + SETTLE) for move in moves]
    found = [
        Figure("lost, worst peer, p50", _quantile(worst, 0.5), "ms", at_most=20),
        Figure("lost, worst peer, p99", _quantile(worst, 0.99), "ms", at_most=60),
        Figure(
            "answered twice, all peers, a migration", sum(e.twice for e in seen) / len(moves), ""
        ),
        Figure("guest stood still, p50", _quantile(still, 0.5), "ms"),
        Figure("guest stood still, p99", _quantile(still, 0.99), "ms"),
        Figure("TCP without answer, p50", _quantile(stalls, 0.5), "ms"),
        Figure("TCP without answer, p99", _quantile(stalls, 0.99), "ms"),
    ]
    for role in ("source", "target", "third"):
        of = [each.outage for each in seen if each.role == role]
        found += [
            Figure(f"lost, peer on {role} node, p50", _quantile(of, 0.5), "ms"),
            Figure(f"lost, peer on {role} node, p99", _quantile(of, 0.99), "ms"),
        ]
    return found


def _seen(move: Move, pings: dict[str, Any]) -> Iterable[Seen]:
    for node, seen in pings.items():
        role = {move.source: "source", move.target: "target"}.get(node, "third")
        begin, longest, since, lost, twice = seen["begin"], 0.0, 0.0, 0, 0
        for sent, _, times in seen["pings"]:
            if not move.begun <= begin + sent <= move.ended + SETTLE:
                continue
            since = sent if times or not since else since
            lost += not times
            twice += times > 1
            longest = max(longest, sent - since)
        yield Seen(role, longest * 1000, lost, twice)


def _gap(times: Sequence[float], begin: float, end: float) -> float:
    inside = [each for each in times if begin <= each <= end]
    return max((b - a for a, b in pairwise(inside)), default=end - begin) * 1000


def _quantile(values: Sequence[float], part: float) -> float:
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(part * len(ranked)))]


async def _measured(kubeconfig: str) -> tuple[list[Move], dict[str, Any], list[float]]:
    async with client.Client.from_kubeconfig(kubeconfig) as api:
        await api.create(resources.NADS, objects.nad(NETWORK, SUBNET, mtu=1300))
        await running(api, [pod(f"peer-{node}", node, NETWORK) for node in NODES])
        await api.create(resources.VMS, _machine())
        address = await _address(api)
        _serve()
        where = {node: inside(LAB, node, f"peer-{node}") for node in NODES}
        await asyncio.sleep(1)
        peers = {
            node: Peer(there, pinger.__file__, address, f"{INTERVAL:g}")
            for node, there in where.items()
        }
        echo = Peer(where["node3"], "-c", ECHO, address, str(PORT))
        moves = []
        for number in range(TIMES):
            moves.append(await _moved(api, f"move-{number}"))
            print(moves[-1], file=sys.stderr)
            await asyncio.sleep(SETTLE)
        return moves, {node: peer.end() for node, peer in peers.items()}, echo.end()


async def _moved(api: client.Client, name: str) -> Move:
    begun = time.monotonic()
    made = {
        **objects.named(resources.VMIMS, name),
        "spec": {"vmiName": MACHINE.name},
    }
    await api.create(resources.VMIMS, made)
    migrations = cache.Cache(api, resources.VMIMS)
    async with asyncio.TaskGroup() as group:
        watch = group.create_task(migrations.run())
        ended = await migrations.wait_for(ObjectKey("default", name), _has_ended, 120)
        watch.cancel()
    done = time.monotonic()
    status = ended["status"]
    assert status["phase"] == "Succeeded", status
    state = status["migrationState"]
    return Move(state["sourceNode"], state["targetNode"], begun, done, status.get("cost") or {})


def _has_ended(migration: Any) -> bool:
    status = migration.get("status") or {}
    return status.get("phase") == "Failed" or (
        status.get("phase") == "Succeeded" and "cost" in status
    )


def _machine() -> dict[str, Any]:
    network = {"version": 2, "ethernets": {"eth0": {"dhcp4": True}}}
    source = {"networkData": json.dumps(network)}
    return {
        **objects.named(resources.VMS, MACHINE.name),
        "spec": {
            "runStrategy": "Always",
            "template": {
                "spec": {
                    "terminationGracePeriodSeconds": 5,
                    "domain": {
                        "devices": {
                            "disks": [{"name": "cloudinitdisk", "disk": {"bus": "virtio"}}],
                            "interfaces": [{"name": "lan", "bridge": {}}],
                        },
                        "resources": {"requests": {"memory": "192M"}},
                    },
                    "networks": [{"name": "lan", "multus": {"networkName": NETWORK}}],
                    "volumes": [{"name": "cloudinitdisk", "cloudInitNoCloud": source}],
                }
            },
        },
    }


async def _address(api: client.Client) -> str:
    """The guest's address, once it has it."""
    instances = cache.Cache(api, resources.VMIS)
    async with asyncio.TaskGroup() as group:
        watch = group.create_task(instances.run())
        found = await instances.wait_for(MACHINE, lambda vmi: bool(_lan(vmi)), 120)
        watch.cancel()
    return _lan(found)


def _lan(vmi: Any) -> str:
    listed = (vmi.get("status") or {}).get("interfaces") or ()
    connected = any(
        each["type"] == "AgentConnected" and each["status"] == "True"
        for each in (vmi.get("status") or {}).get("conditions") or ()
    )
    found = (str(each.get("ipAddress", "")) for each in listed if each.get("name") == "lan")
    return next(found, "") if connected else ""


def _serve() -> None:
    """The guest answers on PORT with what it is sent."""
    line = f"nc -ll -p {PORT} -e cat >/dev/null 2>&1 & echo ser''ving\n"
    done = subprocess.run(
        [*WEFT, "lab", "console", MACHINE.name, "--name", LAB, "--quiet", "3"],
        input=line,
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.search(r"^serving", done.stdout, re.MULTILINE), done.stdout
