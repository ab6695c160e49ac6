"""Moves a virtual machine from node to node, and counts what its peers lose of it.

A lab of three nodes with a peer on each. Peers ping the machine's guest every 10 ms, and one holds
a TCP connection to it; all run throughout, and each migration is a cut of what they saw. QEMU's
standstill is what nobody can go below for answers: a guest that stands still answers late.

Two kinds of migration take turns: the lab announces the guest when QEMU stops it, or nobody but the
guest does, as with KubeVirt. After each, another guest is moved the same way by hand (`handmoves`).
BENCH_MIGRATIONS=50 makes 100 moves by weft, half of each kind, and 100 by hand between them.
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
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from bench import handmoves, losses
from bench.figures import Figure
from bench.losses import SETTLE, Move
from bench.stream import inside, lab, pod, running
from tests.support import objects, pinger
from weft import errors
from weft.kube import cache, client, resources
from weft.model import ObjectKey
from weft_lab.vm import migrationtarget

LAB = "bench-migration"
NODES = ("node1", "node2", "node3")
NETWORK, SUBNET = "moving", "10.97.0.0/24"
MACHINE = ObjectKey("default", "mover")
WEFT = (sys.executable, "-m", "weft")
PORT = 5000
PATIENCE = 120.0  # seconds for a move
TIMES = int(os.environ.get("BENCH_MIGRATIONS", "10"))  # of each kind, by weft and by hand
SECONDS = float(os.environ.get("BENCH_SECONDS", "inf"))  # no move begins later
BY_HAND = int(os.environ.get("BENCH_BY_HAND", "1"))  # one by hand for so many of weft's; 0: none

ECHO = """
import json, select, socket, sys, time
end = time.monotonic() + 120  # a guest boots slowly on a busy machine
while True:
    try:
        link = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10)
        break
    except OSError:
        if time.monotonic() > end: raise
        time.sleep(0.1)
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
    """Figures of TIMES migrations of each kind by weft, and of TIMES / BY_HAND by hand."""
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as state, lab(LAB, 3, state) as found:
        moves, failed, seen = asyncio.run(_measured(found, Path(state)))
        beside = f"by hand {failed['hand']}" if BY_HAND else ""
        yield Figure("migrations that failed", failed["weft"], "", at_most=0, beside=beside)
        yield from losses.figures(moves, dict(zip(("weft", "hand"), seen, strict=False)))


async def _measured(
    found: Mapping[str, Any], folder: Path
) -> tuple[list[Move], Counter[str], list[losses.Witnesses]]:
    """All moves, how many failed beside them, and what was seen of weft's guest and of the one by
    hand, if there is one. Which is moved no more once it failed: nobody knows how it is."""
    async with client.Client.from_kubeconfig(found["kubeconfig"]) as api, AsyncExitStack() as stack:
        hand = None
        if BY_HAND:
            there = handmoves.prepared(LAB, int(found["pid"]), folder, NODES)
            hand = await stack.enter_async_context(there)
        await api.create(resources.NADS, objects.nad(NETWORK, SUBNET, mtu=1300))
        await running(api, [pod(f"peer-{node}", node, NETWORK) for node in NODES])
        await api.create(resources.VMS, _machine())
        address = await _address(api)
        _serve()
        where = {node: inside(LAB, node, f"peer-{node}") for node in NODES}
        watched = [_watch(where, address)]
        if hand is not None:
            by_hand = {node: hand.peer(node) for node in NODES}
            watched.append(_watch(by_hand, handmoves.ADDRESS))
        await asyncio.sleep(1)
        moves: list[Move] = []
        failed, end = Counter[str](), time.monotonic() + SECONDS
        for number in range(2 * TIMES):
            if time.monotonic() > end:
                break
            is_early = not number % 2
            for who in ("weft", "hand"):
                if who == "weft":
                    moved = await _moved(api, f"move-{number}", is_early=is_early)
                elif hand is not None and not failed["hand"] and number // 2 % BY_HAND == 0:
                    moved = await _moved_by_hand(hand, is_early=is_early)
                else:
                    continue
                print(
                    f"{number + 1} of {2 * TIMES}: {moved or f'failed by {who}'}", file=sys.stderr
                )
                if moved is None:
                    failed[who] += 1
                else:
                    moves.append(moved)
                await asyncio.sleep(SETTLE)
        return moves, failed, [_witnesses(*each) for each in watched]


def _watch(where: Mapping[str, tuple[str, ...]], address: str) -> tuple[dict[str, Peer], Peer]:
    peers = {
        node: Peer(there, pinger.__file__, address, f"{losses.INTERVAL:g}")
        for node, there in where.items()
    }
    return peers, Peer(where["node3"], "-c", ECHO, address, str(PORT))


def _witnesses(peers: Mapping[str, Peer], echo: Peer) -> losses.Witnesses:
    told = {node: peer.end() for node, peer in peers.items()}
    pings = {node: losses.Pings(each["begin"], each["pings"]) for node, each in told.items()}
    return losses.Witnesses(pings, echo.end())


async def _moved_by_hand(hand: handmoves.Hand, *, is_early: bool) -> Move | None:
    target = NODES[(NODES.index(hand.where) + 1) % len(NODES)]
    try:
        async with asyncio.timeout(PATIENCE):
            did = await hand.move(target, is_early=is_early)
    except (errors.WeftError, OSError, TimeoutError, subprocess.SubprocessError) as error:
        print(f"by hand to {target}: {error!r}", file=sys.stderr)
        return None
    ends = did.source, did.target, did.begun, did.ended, did.stopped
    return Move("hand", is_early, *ends, did.standstill * 1000, did.downtime * 1000)


async def _moved(api: client.Client, name: str, *, is_early: bool) -> Move | None:
    """One migration; None if it failed."""
    by = None if is_early else migrationtarget.BY_GUEST
    marked = {"metadata": {"annotations": {migrationtarget.ANNOUNCE: by}}}
    await api.patch(resources.VMIS, MACHINE.name, MACHINE.namespace, marked)
    begun = time.monotonic()
    made = {
        **objects.named(resources.VMIMS, name),
        "spec": {"vmiName": MACHINE.name},
    }
    await api.create(resources.VMIMS, made)
    migrations = cache.Cache(api, resources.VMIMS)
    async with asyncio.TaskGroup() as group:
        watch = group.create_task(migrations.run())
        ended = await migrations.wait_for(ObjectKey("default", name), _has_ended, PATIENCE)
        watch.cancel()
    done = time.monotonic()
    # As KubeVirt does with all but the last few.
    await api.delete(resources.VMIMS, name, "default")
    status = ended["status"]
    if status["phase"] != "Succeeded":
        print(f"{name}: {status}", file=sys.stderr)
        return None
    state, cost = status["migrationState"], status.get("cost") or {}
    still, downtime = (
        float(cost.get(f"{name}Milliseconds", 0)) for name in ("standstill", "downtime")
    )
    # It is known to have stopped after its memory was sent for the first time.
    sent = (cost.get("connectMilliseconds", 0) + cost.get("memoryMilliseconds", 0)) / 1000
    ends = state["sourceNode"], state["targetNode"], begun, done, begun + sent
    return Move("weft", is_early, *ends, still, downtime)


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
