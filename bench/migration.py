"""Moves a virtual machine from node to node, and counts what its peers lose of it.

A lab of three nodes with a peer on each. Peers ping the machine's guest every 10 ms, and one holds
a TCP connection to it; all run throughout, and each migration is a cut of what they saw. QEMU's
standstill is what nobody can go below for answers: a guest that stands still answers late.

Two kinds of migration take turns: the lab announces the guest when QEMU stops it, or nobody but the
guest does, as with KubeVirt. With BENCH_BY_HAND another guest is moved by hand between them
(`handmoves`).
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
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench import handmoves
from bench.figures import Figure
from bench.stream import inside, lab, pod, running
from tests.support import objects, pinger
from weft.kube import cache, client, resources
from weft.model import ObjectKey
from weft_lab.vm import migrationtarget

LAB = "bench-migration"
NODES = ("node1", "node2", "node3")
NETWORK, SUBNET = "moving", "10.97.0.0/24"
MACHINE = ObjectKey("default", "mover")
WEFT = (sys.executable, "-m", "weft")
INTERVAL = 0.01
SETTLE = 1.0  # seconds after a migration that still count as its
PORT = 5000
TIMES = int(os.environ.get("BENCH_MIGRATIONS", "20"))  # of each kind
SECONDS = float(os.environ.get("BENCH_SECONDS", "inf"))  # no move begins later
BY_HAND = int(os.environ.get("BENCH_BY_HAND", "0"))  # one by hand for so many of weft's; 0: none
RETRANSMISSION = 200  # milliseconds: Linux's least, TCP_RTO_MIN
LATE = 60  # milliseconds that an answer may take on a busy machine
ROLES = ("source", "target", "third")

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
    """One migration by `who`: which nodes, when (monotonic seconds), and the guest's standstill.

    `is_early`: the network is told at QEMU's stop, else by the guest alone. `stopped` is no later
    than that stop.
    """

    who: str
    is_early: bool
    source: str
    target: str
    begun: float
    ended: float
    stopped: float
    standstill: float


@dataclass(frozen=True, slots=True)
class Seen:
    """What one peer saw of one migration: milliseconds without answer, in all and before the guest
    stopped, and answers twice."""

    role: str
    outage: float
    early: float
    twice: int


@dataclass(frozen=True, slots=True)
class Cost:
    """One migration, in milliseconds: the worst peer's outage, the guest's standstill, and the
    longest time without an answer by TCP."""

    outage: float
    standstill: float
    stall: float
    twice: int
    peers: Mapping[str, Seen]


@dataclass(frozen=True, slots=True)
class Witnesses:
    """What peers saw of one guest all the time: pings by node, and answers by TCP."""

    pings: dict[str, Any]
    echoes: Sequence[float]


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
        moves, seen = asyncio.run(_measured(found, Path(state)))
        yield from figures(moves, dict(zip(("weft", "hand"), seen, strict=False)))


def figures(moves: Sequence[Move], seen: Mapping[str, Witnesses]) -> list[Figure]:
    """What peers lost of each kind of move, weft's beside the same by hand."""
    found = []
    for is_early, kind in ((True, "announced at stop"), (False, "announced by the guest")):
        of = {
            who: [each for each in moves if (each.who, each.is_early) == (who, is_early)]
            for who in seen
        }
        costs = {who: [_cost(each, seen[who]) for each in of[who]] for who in seen}
        if costs["weft"]:
            found += _of_kind(kind, is_early, costs)
    return found


def _of_kind(kind: str, is_early: bool, costs: Mapping[str, Sequence[Cost]]) -> list[Figure]:
    weft, hand = costs["weft"], costs.get("hand", ())

    def pair(
        what: str, of: Callable[[Cost], float], part: float, at_most: float | None = None
    ) -> Figure:
        """weft's quantile, with its limit; the peer's is only shown."""
        name = f"{kind}: {what}, p{part * 100:.0f}"
        mine, theirs = (_quantile(list(map(of, each)), part) for each in (weft, hand or weft))
        return Figure(name, mine, f"ms; by hand {theirs:.0f}" if hand else "ms", at_most=at_most)

    lost = ("lost", lambda cost: cost.outage) if is_early else ("lost beyond standstill", _beyond)
    least, most = (20, 60) if is_early else (15, 60)
    found = [
        Figure(f"{kind}: migrations", len(weft), f"; by hand {len(hand)}" if hand else ""),
        pair(lost[0], lost[1], 0.5, least),
        pair(lost[0], lost[1], 0.99, most),
        Figure(
            f"{kind}: packets answered twice",
            sum(each.twice for each in weft),
            f"; by hand {sum(each.twice for each in hand)}" if hand else "",
            at_most=0,
        ),
    ]
    for what, of, limit in (
        ("guest stood still", lambda cost: cost.standstill, None),
        ("TCP without answer", lambda cost: cost.stall, None),
        ("TCP beyond standstill and a retransmission", _late_stream, LATE),
        *((f"lost, peer on {role} node", _outage_of(role), None) for role in ROLES),
        *((f"lost before the stop, peer on {role} node", _early_of(role), None) for role in ROLES),
    ):
        found += [pair(what, of, 0.5), pair(what, of, 0.99, limit)]
    return found


def _beyond(cost: Cost) -> float:
    return cost.outage - cost.standstill


def _late_stream(cost: Cost) -> float:
    """Linux doubles a retransmission's pause, so the last one before the guest runs again is at
    most as long as the standstill before it."""
    return cost.stall - (2 * cost.standstill + RETRANSMISSION)


def _outage_of(role: str) -> Callable[[Cost], float]:
    return lambda cost: cost.peers[role].outage


def _early_of(role: str) -> Callable[[Cost], float]:
    return lambda cost: cost.peers[role].early


def _cost(move: Move, seen: Witnesses) -> Cost:
    peers = {each.role: each for each in _seen(move, seen.pings)}
    stall = _gap(seen.echoes, move.begun, move.ended + SETTLE)
    worst = max(each.outage for each in peers.values())
    return Cost(worst, move.standstill, stall, sum(each.twice for each in peers.values()), peers)


def _seen(move: Move, pings: dict[str, Any]) -> Iterable[Seen]:
    """`early` is what a peer lost before the guest stopped, which no standstill explains."""
    for node, seen in pings.items():
        role = {move.source: "source", move.target: "target"}.get(node, "third")
        begin, since, twice = seen["begin"], 0.0, 0
        longest = {True: 0.0, False: 0.0}
        for sent, _, times in seen["pings"]:
            if not move.begun <= begin + sent <= move.ended + SETTLE:
                continue
            since = sent if times or not since else since
            twice += times > 1
            is_early = begin + sent < move.stopped - 2 * INTERVAL
            longest[is_early] = max(longest[is_early], sent - since)
        yield Seen(role, max(longest.values()) * 1000, longest[True] * 1000, twice)


def _gap(times: Sequence[float], begin: float, end: float) -> float:
    inside = [each for each in times if begin <= each <= end]
    return max((b - a for a, b in pairwise(inside)), default=end - begin) * 1000


def _quantile(values: Sequence[float], part: float) -> float:
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(part * len(ranked)))]


async def _measured(found: Mapping[str, Any], folder: Path) -> tuple[list[Move], list[Witnesses]]:
    """All moves, and what was seen of weft's guest and of the one by hand, if there is one."""
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
        end = time.monotonic() + SECONDS
        for number in range(TIMES):
            if time.monotonic() > end:
                break
            for is_early in (True, False):
                moves.append(await _moved(api, f"move-{number}-{is_early:d}", is_early=is_early))
                print(moves[-1], file=sys.stderr)
                if hand is not None and number % BY_HAND == 0:
                    await asyncio.sleep(SETTLE)
                    moves.append(await _moved_by_hand(hand, is_early=is_early))
                    print(moves[-1], file=sys.stderr)
                await asyncio.sleep(SETTLE)
        return moves, [_witnesses(*each) for each in watched]


def _watch(where: Mapping[str, tuple[str, ...]], address: str) -> tuple[dict[str, Peer], Peer]:
    peers = {
        node: Peer(there, pinger.__file__, address, f"{INTERVAL:g}")
        for node, there in where.items()
    }
    return peers, Peer(where["node3"], "-c", ECHO, address, str(PORT))


def _witnesses(peers: Mapping[str, Peer], echo: Peer) -> Witnesses:
    return Witnesses({node: peer.end() for node, peer in peers.items()}, echo.end())


async def _moved_by_hand(hand: handmoves.Hand, *, is_early: bool) -> Move:
    target = NODES[(NODES.index(hand.where) + 1) % len(NODES)]
    did = await hand.move(target, is_early=is_early)
    ends = did.source, did.target, did.begun, did.ended, did.stopped
    return Move("hand", is_early, *ends, did.standstill * 1000)


async def _moved(api: client.Client, name: str, *, is_early: bool) -> Move:
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
        ended = await migrations.wait_for(ObjectKey("default", name), _has_ended, 120)
        watch.cancel()
    done = time.monotonic()
    status = ended["status"]
    assert status["phase"] == "Succeeded", status
    state, cost = status["migrationState"], status.get("cost") or {}
    still = float(cost.get("standstillMilliseconds", 0))
    # It is known to have stopped after its memory was sent for the first time.
    sent = (cost.get("connectMilliseconds", 0) + cost.get("memoryMilliseconds", 0)) / 1000
    ends = state["sourceNode"], state["targetNode"], begun, done, begun + sent
    return Move("weft", is_early, *ends, still)


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
