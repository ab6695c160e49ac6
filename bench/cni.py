"""Measures how long the CNI plugin keeps a runtime waiting: the whole process, from start to exit.

A lab of one node without kubelet: pods are objects, this is their runtime. A fresh pod's ADD is
called as soon as the pod is created, so it also waits for the address, the zone's rows and OVN;
an annotated pod's ADD waits for what happens on the node alone. 100 pods are there before.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.figures import Figure

CROWD = 100
SAMPLES = 100
SHIM_SAMPLES = 60
COMPONENTS = ("api", "cluster-manager", "agent")
CONFIG = {
    "cniVersion": "1.1.0",
    "type": "ovn-k8s-cni-overlay",
    "name": "bench",
    "topology": "layer2",
    "subnets": "10.100.0.0/16",
    "mtu": 1300,
    "netAttachDefName": "default/bench",
}
ROOT = Path(__file__).resolve().parents[1]


def run() -> Iterable[Figure]:
    from weft_lab import spec, up
    from weft_lab.runtime import toolchain

    tools = toolchain.ensure()
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as state:
        os.environ["XDG_STATE_HOME"] = state
        try:
            up.up("cni", spec.Options(nodes=1, primary="none"), tools=tools, components=COMPONENTS)
            command = [sys.executable, "-m", "weft", "lab", "exec", "--name", "cni", "node1", "--"]
            tokens = Path(state, "weft/cni/tokens.csv").read_text()
            inside = [sys.executable, "-m", "bench.cni", tokens.partition(",")[0]]
            done = subprocess.run(
                [*command, *inside], check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT
            )
            times = json.loads(done.stdout)
        finally:
            up.down("cni")
            del os.environ["XDG_STATE_HOME"]
    yield Figure("CNI plugin's own time, VERSION", statistics.median(times["shim"]), "ms")
    yield Figure("bare interpreter -I -S -E", statistics.median(times["bare"]), "ms")
    for name, limits in (("fresh", (120.0, 300.0)), ("annotated", (120.0, 300.0))):
        for share, limit in zip((50, 99), limits, strict=True):
            value = statistics.quantiles(times[name], n=100)[share - 1]
            what = f"CNI ADD, {name} pod, {CROWD} pods there, p{share}"
            yield Figure(what, value, "ms", at_most=limit)
    yield Figure("CNI DEL, p50", statistics.median(times["del"]), "ms")


class Runtime:
    """The runtime's side, inside the node."""

    def __init__(self, api: Any, plugin: Path) -> None:
        self.api, self.plugin = api, plugin
        self.uids: dict[str, str] = {}

    async def pod(self, name: str, *, annotated: bool) -> None:
        from weft import names
        from weft.host import netns
        from weft.kube.resources import PODS

        meta = {"name": name, "namespace": "default", "annotations": {names.NETWORKS: "bench"}}
        body = {"nodeName": "node1", "containers": [{"name": "c", "image": "busybox"}]}
        netns.make(Path("/run/netns") / name)
        made = await self.api.create(
            PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": body}
        )
        self.uids[name] = made["metadata"]["uid"]
        if annotated:
            version = made["metadata"]["resourceVersion"]
            selector = f"metadata.name={name}"
            events = self.api.watch(PODS, version, "default", field_selector=selector)
            async for _, pod in events:
                if names.POD_NETWORKS in pod["metadata"]["annotations"]:
                    break

    async def call(self, command: str, name: str) -> float:
        """Milliseconds that one execution of the plugin takes."""
        env = {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": name,
            "CNI_NETNS": f"/run/netns/{name}",
            "CNI_IFNAME": "net1",
            "CNI_ARGS": f"K8S_POD_NAMESPACE=default;K8S_POD_NAME={name};"
            f"K8S_POD_UID={self.uids.get(name, '')}",
            "CNI_PATH": str(self.plugin.parent),
        }
        return await timed([str(self.plugin)], env, json.dumps(CONFIG).encode())


async def timed(argv: list[str], env: dict[str, str], data: bytes = b"") -> float:
    start = time.perf_counter()
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*argv, stdin=pipe, stdout=pipe, env=env)
    out, _ = await process.communicate(data)
    took = 1000 * (time.perf_counter() - start)
    if process.returncode:
        raise SystemExit(f"{argv} failed: {out.decode()}")
    return took


def administrators(folder: Path, token: str) -> str:
    """The node's kubeconfig, with this token instead of its own."""
    config = json.loads(Path("/run/weft/kubeconfig").read_text())
    config["users"][0]["user"] = {"token": token}
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    return str(path)


async def inside(token: str) -> dict[str, list[float]]:
    """What runs in the node; the times by kind. The token is an administrator's."""
    from weft.cni import install
    from weft.kube.client import Client
    from weft.kube.resources import NADS

    plugin = install.install(Path("/run/weft/bench"))[0]
    times: dict[str, list[float]] = {"fresh": [], "annotated": [], "del": [], "shim": []}
    async with Client.from_kubeconfig(administrators(plugin.parent, token)) as api:
        nad = {
            "apiVersion": NADS.api_version,
            "kind": NADS.kind,
            "metadata": {"name": "bench", "namespace": "default"},
            "spec": {"config": json.dumps(CONFIG)},
        }
        await api.create(NADS, nad)
        runtime = Runtime(api, plugin)
        for number in range(CROWD):
            await runtime.pod(f"crowd{number}", annotated=True)
            await runtime.call("ADD", f"crowd{number}")
        for kind in ("fresh", "annotated"):
            for number in range(SAMPLES):
                name = f"{kind}{number}"
                await runtime.pod(name, annotated=kind == "annotated")
                times[kind].append(await runtime.call("ADD", name))
                times["del"].append(await runtime.call("DEL", name))
        times["shim"] = [await runtime.call("VERSION", "none") for _ in range(SHIM_SAMPLES)]
        bare = [sys.executable, "-ISEc", ""]
        times["bare"] = [await timed(bare, {}) for _ in range(SHIM_SAMPLES)]
    return times


if __name__ == "__main__":
    print(json.dumps(asyncio.run(inside(sys.argv[1]))))
