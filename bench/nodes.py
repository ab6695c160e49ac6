"""Measures how long it takes until every other node reaches a new one on the default network.

Until a pod of each other node has been answered by the new node's router: rows, tunnels and flows
on all of them. Counted from the moment at which its Node says all that the other zones need, and,
with the start of its daemons, from its being asked for.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterable
from ipaddress import ip_interface
from statistics import median
from typing import Any

import orjson

from bench import stream
from bench.figures import Figure
from weft import names, ranges
from weft.kube import cache, client, resources
from weft.model import ObjectKey
from weft_lab import spec, up
from weft_lab.runtime import toolchain

LAB = "bench-nodes"
NODES = 3
REPEATS = 5
NEEDED = (names.NODE_CHASSIS_ID, names.NODE_ENCAP_IPS, names.NODE_TRANSIT, names.NODE_SUBNETS)

# Asks every 2 ms, prints when it was first answered, by the clock that all processes share.
PROBE = """
import select, socket, struct, sys, time
print("ready", flush=True)
to = sys.stdin.readline().strip()
link = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
def echo(number):
    head = struct.pack("!BBHHH", 8, 0, 0, 0x77, number)
    total = sum(struct.unpack("!4H", head))
    return struct.pack("!BBHHH", 8, 0, ~(total + (total >> 16)) & 0xFFFF, 0x77, number)
number = 0
while True:
    number = (number + 1) & 0xFFFF
    link.sendto(echo(number), (to, 0))
    while select.select([link], [], [], 0.002)[0]:
        data, (source, _) = link.recvfrom(2048)
        if source == to and data[20] == 0:
            print(time.monotonic(), flush=True)
            sys.exit()
"""


def run() -> Iterable[Figure]:
    with (
        tempfile.TemporaryDirectory(prefix="weft-bench-") as state,
        stream.lab(LAB, NODES, state) as found,
    ):
        times = asyncio.run(measure(found["kubeconfig"]))
    reached = f"new node reached from every other of {NODES}, from its"
    complete, requested = (1000 * median(each) for each in zip(*times, strict=True))
    yield Figure(f"{reached} Node's being complete", complete, "ms", at_most=1000)
    yield Figure(f"{reached} being asked for", requested, "ms")


async def measure(kubeconfig: str) -> list[tuple[float, float]]:
    async with client.Client.from_kubeconfig(kubeconfig) as api:
        pods = [stream.pod(f"p{number}", f"node{number}") for number in range(1, NODES + 1)]
        await stream.running(api, pods)
        nodes = cache.Cache(api, resources.NODES)
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(nodes.run())
            await nodes.synced()
            times = [await once(nodes) for _ in range(REPEATS)]
            watch.cancel()
    return times


async def once(nodes: cache.Cache) -> tuple[float, float]:
    """Add a node, and take it away again; seconds from its being complete, and from asking."""
    probes = [await probe(f"node{number}", f"p{number}") for number in range(1, NODES + 1)]
    begun = time.monotonic()
    grown = asyncio.create_task(resize(NODES + 1))
    node = await nodes.wait_for(ObjectKey("", f"node{NODES + 1}"), is_complete, 60)
    complete = time.monotonic()
    subnets = orjson.loads(node["metadata"]["annotations"][names.NODE_SUBNETS])
    gateway = ranges.router(ip_interface(subnets[names.DEFAULT_NETWORK][0]).network).ip
    replies = await asyncio.gather(*(each.communicate(f"{gateway}\n".encode()) for each in probes))
    await grown
    gone = asyncio.Event()
    nodes.subscribe(lambda key, old, new: gone.set() if new is None else None)
    await resize(NODES)
    await gone.wait()
    reached = max(float(out) for out, _ in replies)
    return reached - complete, reached - begun


async def probe(node: str, pod: str) -> asyncio.subprocess.Process:
    """A prober in a pod's network, which reads the address from standard input."""
    verb, *inside = await asyncio.to_thread(stream.inside, LAB, node, pod)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "weft", "lab", verb, "--name", LAB, *inside),
        *(sys.executable, "-c", PROBE),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    await process.stdout.readline()
    return process


async def resize(nodes: int) -> None:
    options = spec.Options(nodes=nodes)
    await asyncio.to_thread(up.up, LAB, options, tools=toolchain.ensure())


def is_complete(node: dict[str, Any] | None) -> bool:
    notes = node["metadata"].get("annotations", {}) if node else {}
    return all(key in notes for key in NEEDED)
