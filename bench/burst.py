"""Measures how soon each pod of a burst on one network is annotated, and whether the rate keeps up.

API server, cluster manager and creator are processes of their own, as they are in a lab. A pod's
time runs from when its create is sent to when a watch shows its annotation. The peer of the
annotated rate is the rate at which the same API server took the creates of the same burst.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import uvloop

from bench.figures import Figure
from weft import names
from weft.kube.client import Client
from weft.kube.resources import NADS, PODS

BURST = 1000
CROWD = 5000
REPEATS = 5
IN_FLIGHT = 32
PATIENCE = 300.0  # until all are annotated; not a limit of speed
ROOT = Path(__file__).resolve().parents[1]


def nad(name: str) -> dict[str, Any]:
    config = {
        "cniVersion": "1.0.0",
        "type": names.CNI_TYPE,
        "name": name,
        "topology": "layer2",
        "subnets": "10.100.0.0/16",
        "mtu": 1300,
        "netAttachDefName": f"default/{name}",
    }
    return {
        "apiVersion": NADS.api_version,
        "kind": NADS.kind,
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"config": json.dumps(config)},
    }


def pod(name: str, network: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "default",
            "annotations": {names.NETWORKS: network} if network else {},
        },
        "spec": {"nodeName": "node1", "containers": [{"name": "c", "image": "busybox"}]},
    }


async def each(call: Callable[[int], Awaitable[object]], count: int) -> None:
    """`call` for each number, IN_FLIGHT at a time."""
    numbers = iter(range(count))

    async def some() -> None:
        for number in numbers:
            await call(number)

    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(some())


async def create(client: Client, prefix: str, count: int, network: str) -> dict[str, float]:
    """When each create was sent."""
    sent: dict[str, float] = {}

    async def one(number: int) -> None:
        name = f"{prefix}-{number}"
        sent[name] = time.perf_counter()
        await client.create(PODS, pod(name, network))

    await each(one, count)
    return sent


async def annotated(client: Client, prefix: str, count: int, version: str) -> dict[str, float]:
    """When each pod's annotation was seen; TimeoutError if some never are."""
    seen: dict[str, float] = {}
    if not count:
        return seen
    async with asyncio.timeout(PATIENCE):
        async for _, obj in client.watch(PODS, version, "default"):
            meta = obj["metadata"]
            name = meta["name"]
            if (
                name.startswith(prefix)
                and name not in seen
                and names.POD_NETWORKS in meta["annotations"]
            ):
                seen[name] = time.perf_counter()
                if len(seen) == count:
                    break
    return seen


async def burst(
    kubeconfig: str, prefix: str, count: int, network: str, fate: str
) -> dict[str, float]:
    """One burst; its pods stay or, with `fate` "removed", go afterwards."""
    async with Client.from_kubeconfig(kubeconfig) as client:
        none = await client.list(PODS, "default", field_selector="metadata.name=none")
        version = none.resource_version
        watch = asyncio.create_task(annotated(client, prefix, count if network else 0, version))
        begin = time.perf_counter()
        sent = await create(client, prefix, count, network)
        end = time.perf_counter()
        seen = await watch
        if fate == "removed":
            await each(lambda i: client.delete(PODS, f"{prefix}-{i}", "default", grace=0), count)
    created = count / (end - begin)
    if not network:
        return {"created_per_second": created}
    times = sorted(seen[name] - sent[name] for name in sent)
    annotated_rate = count / (max(seen.values()) - begin)
    return {
        "created_per_second": created,
        "annotated_per_second": annotated_rate,
        "kept_up": annotated_rate / created,
        "p50_ms": 1000 * statistics.median(times),
        "p99_ms": 1000 * times[int(len(times) * 0.99)],
    }


def elsewhere(
    kubeconfig: Path, prefix: str, count: int, network: str = "burst", fate: str = "removed"
) -> dict[str, float]:
    """`burst` in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.burst", str(kubeconfig), prefix, str(count), network, fate],
        stdout=subprocess.PIPE,
        check=True,
        cwd=ROOT,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def middle(runs: list[dict[str, float]], *, by: str) -> dict[str, float]:
    """The run that is the median in one of its values."""
    return sorted(runs, key=lambda run: run[by])[len(runs) // 2]


@contextmanager
def process(*arguments: str, logs: bytes = b"", pass_fds: tuple[int, ...] = ()) -> Iterator[int]:
    """The pid of a process that has logged `logs`. The rest is read: a full pipe would stop it."""
    child = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=pass_fds,
        cwd=ROOT,
    )
    assert child.stderr is not None
    rest = threading.Thread(target=child.stderr.read)
    try:
        while logs and logs not in child.stderr.readline():
            assert child.poll() is None, f"{' '.join(arguments)} ended before it logged {logs!r}"
        rest.start()
        yield child.pid
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait()
        if rest.ident is not None:
            rest.join()


@contextmanager
def api_server(folder: Path) -> Iterator[Path]:
    """A running API server's kubeconfig."""
    reader, writer = os.pipe()
    arguments = ["--state", str(folder), "--listen", "https://127.0.0.1:0"]
    arguments += ["--crds", str(ROOT / "lab/weft_lab/crds"), "--ready-fd", str(writer)]
    with process("weft_lab.apiserver.main", *arguments, pass_fds=(writer,)):
        os.close(writer)
        with os.fdopen(reader) as ready:
            ready.readline()
        yield folder / "kubeconfig"


@contextmanager
def cluster_manager(kubeconfig: Path) -> Iterator[int]:
    """The pid of a cluster manager that is in charge."""
    arguments = ["cluster-manager", "--kubeconfig", str(kubeconfig)]
    with process("weft.cli.main", *arguments, logs=b"in charge") as pid:
        yield pid


def resident(pid: int) -> float:
    """MiB that a process holds of memory."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


async def declare(kubeconfig: Path, network: str) -> None:
    async with Client.from_kubeconfig(str(kubeconfig)) as client:
        await client.create(NADS, nad(network))


def run() -> Iterable[Figure]:
    return measured(api_server)


def measured(
    server: Callable[[Path], AbstractContextManager[Path]], *, bounds_times: bool = True
) -> Iterator[Figure]:
    """The figures beside an API server, which is given a folder and tells its kubeconfig.

    `bounds_times`: the times have limits, too. Most of a time may be the server's own.
    """
    slowest, slower = (500, 1.2) if bounds_times else (None, None)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weft-bench-")))
        kubeconfig = stack.enter_context(server(folder))
        asyncio.run(declare(kubeconfig, "burst"))
        alone = elsewhere(kubeconfig, "alone", BURST, "")
        yield Figure("creates, no manager", alone["created_per_second"], "pods/s")
        manager = stack.enter_context(cluster_manager(kubeconfig))
        yield Figure("manager's memory, idle", resident(manager), "MiB")
        elsewhere(kubeconfig, "warm", 100)
        first = []
        for number in range(REPEATS):
            first.append(elsewhere(kubeconfig, f"first-{number}", BURST))
            if not number:
                yield Figure(f"manager's memory, {BURST} pods", resident(manager), "MiB")
        yield from figures(first, "burst", slowest)
        elsewhere(kubeconfig, "crowd", CROWD, fate="stay")
        later = [elsewhere(kubeconfig, f"later-{i}", BURST) for i in range(REPEATS)]
        yield from figures(later, f"burst beside {CROWD}", slowest)
        slow, before = middle(later, by="p99_ms")["p99_ms"], middle(first, by="p99_ms")["p99_ms"]
        yield Figure(f"p99 beside {CROWD}", slow, "ms", "beside none", before, at_most=slower)
        yield Figure(f"manager's memory, {CROWD} pods", resident(manager), "MiB")


def figures(runs: list[dict[str, float]], name: str, slowest: float | None) -> Iterator[Figure]:
    usual = middle(runs, by="p99_ms")
    yield Figure(f"{name}: p50", usual["p50_ms"], "ms")
    yield Figure(f"{name}: p99", usual["p99_ms"], "ms", at_most=slowest)
    kept_up = middle(runs, by="kept_up")
    rate, created = kept_up["annotated_per_second"], kept_up["created_per_second"]
    yield Figure(f"{name}: annotated", rate, "pods/s", "created", created, at_least=0.9)


if __name__ == "__main__":
    kubeconfig, prefix, count, network, fate = sys.argv[1:]
    print(json.dumps(uvloop.run(burst(kubeconfig, prefix, int(count), network, fate))))
